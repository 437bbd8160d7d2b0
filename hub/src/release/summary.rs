//! A statement as an engineer reads it before signing: everything that will be signed.

use std::fmt::Write as _;

use burin_api::desired::{HealthCheck, Layer, Registry, Release};
use burin_api::release::Statement;

use crate::client::time;
use crate::secret::sha256;

/// All of a statement, a line a fact.
pub(super) fn summary(statement: &Statement) -> String {
    let release = &statement.release;
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing into a string cannot fail.
        writeln!(out, "{name:<12}{}", shown(value)).unwrap_or_default();
    };
    line("release", &format!("{}@{}", release.name, release.version));
    line("hub", &statement.hub_id);
    line("counter", &statement.counter.to_string());
    match i64::try_from(statement.expires) {
        Ok(at @ 1..) => line("good until", &time(at)),
        _ => line("good until", "(the signer says)"),
    }
    line("agent", statement.agent.as_deref().unwrap_or("any"));
    settings(release, &mut line);
    for entry in &release.registries {
        line("registry", &registry(entry));
    }
    for one in &release.layers {
        layer(one, &mut line);
    }
    out
}

fn settings(release: &Release, line: &mut impl FnMut(&str, &str)) {
    match &release.kubernetes {
        None => line("kubernetes", "none"),
        Some(it) => {
            line("kubernetes", &format!("{} {}", it.distribution, it.version));
            for (key, value) in &it.config {
                line("", &format!("{key}: {value}"));
            }
        }
    }
    line("cmdline", &release.cmdline.join(" "));
    let health = &release.health;
    let times = format!("within {} s, for {} s", health.deadline, health.soak);
    line("health", &times);
    for check in &health.checks {
        match check {
            HealthCheck::Http(url) => line("", &format!("GET {url}")),
            HealthCheck::Command(words) => line("", &format!("run {}", words.join(" "))),
        }
    }
}

fn registry(entry: &Registry) -> String {
    let mut text = entry.host.clone();
    if entry.plain_http {
        text.push_str(", plain HTTP");
    }
    if let Some(realm) = &entry.token_realm {
        text.push_str(&format!(", tokens from {realm}"));
    }
    for pem in &entry.ca {
        text.push_str(&format!(", root sha256:{}", sha256(pem.trim().as_bytes())));
    }
    text
}

fn layer(layer: &Layer, line: &mut impl FnMut(&str, &str)) {
    let kind = serde_json::json!(layer.kind);
    let kind = kind.as_str().unwrap_or_default();
    line("layer", &format!("{} ({kind})", layer.name));
    if !layer.reference.is_empty() {
        line("  image", &layer.reference);
        line(
            "  manifest",
            &format!("{}/{}@{}", layer.registry, layer.repository, layer.manifest),
        );
    }
    if !layer.resolved.is_empty() && layer.resolved != layer.manifest {
        line("  index", &layer.resolved);
    }
    if !layer.verify.is_empty() {
        line("  signed by", &layer.verify.join(" or "));
    }
    for blob in &layer.blobs {
        line("  blob", &format!("{} {} bytes", blob.digest, blob.size));
        line(
            "    holds",
            &format!("{} {} bytes", blob.diff_id, blob.unpacked),
        );
    }
    for (target, source) in &layer.files {
        line("  file", &format!("{target} from {source}"));
    }
    if layer.replaces_system {
        line(
            "  system",
            "may replace the init, the kernel and burin's files",
        );
    }
    for (name, text) in &layer.inline {
        let digest = sha256(text.as_bytes());
        line("  manifests", &format!("{name} sha256:{digest}"));
        for text in text.lines() {
            line("    |", text);
        }
    }
    if let Some(kernel) = &layer.facts.kernel {
        line("  kernel", kernel);
    }
}

/// A text without what would move the cursor or turn its letters around: it comes from a hub that
/// somebody may have taken over.
fn shown(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            c if c.is_control() || turns(c) => c.escape_unicode().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_what_is_there() {
        assert_eq!(
            shown("a\u{1b}[2Jb\r\u{202e}c"),
            "a\\u{1b}[2Jb\\u{d}\\u{202e}c"
        );
    }
}
