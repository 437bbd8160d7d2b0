//! Paths that an extra image may not replace or remove.

use super::Protected;

/// Patterns; `*` stands for one whole part of a path, a `*` at the end of a part for its rest.
/// With a merged `/usr` the short forms are symbolic links, but an image may carry either form.
const PATTERNS: [(&str, Protected); 17] = [
    ("sbin/init", Protected::Init),
    ("usr/sbin/init", Protected::Init),
    ("usr/bin/init", Protected::Init),
    ("lib/systemd/systemd", Protected::Init),
    ("usr/lib/systemd/systemd", Protected::Init),
    ("boot/vmlinu*", Protected::Kernel),
    ("boot/Image*", Protected::Kernel),
    ("boot/config-*", Protected::Kernel),
    ("lib/modules/*/vmlinuz", Protected::Kernel),
    ("lib/modules/*/config", Protected::Kernel),
    ("usr/lib/modules/*/vmlinuz", Protected::Kernel),
    ("usr/lib/modules/*/config", Protected::Kernel),
    ("vmlinuz", Protected::Kernel),
    ("usr/lib/burin", Protected::Burin),
    ("lib/burin", Protected::Burin),
    ("usr/lib/systemd/system/burin*", Protected::Burin),
    ("etc/systemd/system/burin*", Protected::Burin),
];

/// To what a path belongs, when it is protected. Everything below a protected directory is too.
pub fn is_protected(path: &str) -> Option<Protected> {
    let path: Vec<&str> = path.split('/').collect();
    PATTERNS
        .iter()
        .find(|(pattern, _)| {
            let pattern: Vec<&str> = pattern.split('/').collect();
            path.len() >= pattern.len() && pattern.iter().zip(&path).all(|(p, s)| part(p, s))
        })
        .map(|(_, what)| *what)
}

/// What would go with a directory when it is removed or emptied: the empty path is the root.
pub fn covers_protected(path: &str) -> Option<Protected> {
    let path: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    PATTERNS
        .iter()
        .find(|(pattern, _)| {
            let pattern: Vec<&str> = pattern.split('/').collect();
            path.len() < pattern.len() && pattern.iter().zip(&path).all(|(p, s)| part(p, s))
        })
        .map(|(_, what)| *what)
}

fn part(pattern: &str, part: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => part.starts_with(start),
        None => part == pattern,
    }
}
