//! Which of a host's devices no module of a release drives.

/// The modaliases that match none of the patterns, in their order, without repeats.
pub(super) fn unserved(modaliases: &[String], patterns: &[String]) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for alias in modaliases {
        let served = patterns
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), alias.as_bytes()));
        if !served && !missing.contains(alias) {
            missing.push(alias.clone());
        }
    }
    missing
}

/// Shell pattern as in `modules.alias`: `*`, `?`, `[...]`. In time of pattern times text at most:
/// only the last star is ever tried again.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        let step = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[at..], text[seen]),
            Some(byte) if *byte == text[seen] => Some(1),
            _ => None,
        };
        match (step, &mut star) {
            (Some(length), _) => {
                at += length;
                seen += 1;
            }
            (None, Some((after, from))) => {
                *from += 1;
                (at, seen) = (*after, *from);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The length of the class that `pattern` begins with, when `byte` is in it.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|b| *b == b']')? + 2;
    let mut inside = &pattern[1..end];
    let mut found = false;
    while let Some((first, rest)) = inside.split_first() {
        inside = match rest {
            [b'-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&byte);
                rest
            }
            rest => {
                found |= *first == byte;
                rest
            }
        };
    }
    found.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_modules_alias_match_as_the_kernel_means_them() {
        for (pattern, text, want) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
            ("virtio:d00000001v*", "virtio:d00000002v00001AF4", false),
            (
                "pci:v00008086d*sv*sd*bc01sc08i02*",
                "pci:v00008086d0000F1A8sv00008086sd0000390Dbc01sc08i02",
                true,
            ),
            ("usb:v0BDAp815[0-36]d*", "usb:v0BDAp8153d3000", true),
            ("usb:v0BDAp815[0-36]d*", "usb:v0BDAp8155d3000", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a[", "a[", false),
            ("a[]", "a]", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                want,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn only_the_devices_without_a_driver_are_named_and_once() {
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let found = unserved(&texts(&["pci:a", "pci:b", "pci:b"]), &texts(&["pci:a*"]));
        assert_eq!(found, ["pci:b"]);
    }
}
