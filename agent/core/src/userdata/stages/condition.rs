//! Conditions of steps, decided before the host is there as far as that can be.

use crate::yaml::{Map, Node, Reader, Value};

/// When a step counts.
pub(super) enum Condition {
    Always,
    Never(String),
    /// On images with one of these IDs, see [`super::Step::only_os`].
    OnlyOs(Vec<String>),
    /// When this test of a shell says so.
    Shell(String),
}

/// Files by which steps find out how Kairos booted, and whether an installed host has them.
const SENTINELS: [(&str, bool); 9] = [
    ("/run/cos/active_mode", true),
    ("/run/cos/live_mode", false),
    ("/run/cos/passive_mode", false),
    ("/run/cos/recovery_mode", false),
    ("/run/cos/autoreset_mode", false),
    ("/run/cos/uki_boot_mode", false),
    ("/run/cos/uki_install_mode", false),
    ("$STYLUS_ROOT/opt/spectrocloud/state/agent-mode", false),
    ("/opt/spectrocloud/state/agent-mode", false),
];

pub(super) fn read(map: &mut Map<'_>, node: &Node, reader: &mut Reader) -> Condition {
    for key in ["node", "only_os_version"] {
        if map.get(key).is_some() {
            return Condition::Never(format!("`{key}` is not decided by burin"));
        }
    }
    if map.get("if_files").is_some() {
        return Condition::Never("write `if` with `[ -e path ]` instead of `if_files`".to_owned());
    }
    for (key, own) in [
        ("only_arch", ["amd64", "x86_64"].as_slice()),
        ("only_service_manager", ["systemd"].as_slice()),
    ] {
        if let Some(at) = map.get(key)
            && let Some(text) = reader.text_of(at, key)
            && !alternatives(&text)
                .iter()
                .any(|one| own.contains(&one.as_str()))
        {
            return Condition::Never(format!("it is only for {text}"));
        }
    }
    let test = map.get("if").and_then(|at| shell(at, reader));
    let os = map
        .get("only_os")
        .and_then(|at| reader.text_of(at, "only_os"));
    match (test, os) {
        (None, None) => Condition::Always,
        (None, Some(os)) => match ids(&os) {
            Some(ids) => Condition::OnlyOs(ids),
            None => Condition::Never(format!("`only_os: {os}` is not a list of names")),
        },
        (Some(test), None) => match decide(&test) {
            Some(true) => Condition::Always,
            Some(false) => {
                Condition::Never("its `if` is never true on an installed host".to_owned())
            }
            None => Condition::Shell(test),
        },
        (Some(_), Some(_)) => {
            reader.warn(node, "`if` and `only_os` together are not decided by burin");
            Condition::Never("write one of them".to_owned())
        }
    }
}

/// The text of `if`. Some documents write the brackets of the test as those of a list.
fn shell(node: &Node, reader: &mut Reader) -> Option<String> {
    if let Value::Sequence(words) = &node.value {
        let words: Vec<&str> = words.iter().filter_map(Node::text).collect();
        return Some(format!("[ {} ]", words.join(", ")));
    }
    reader.text_of(node, "if")
}

/// `^a|b$` as words.
fn alternatives(text: &str) -> Vec<String> {
    let inner = text
        .trim()
        .trim_start_matches(['^', '('])
        .trim_end_matches(['$', ')']);
    inner.split('|').map(|one| one.trim().to_owned()).collect()
}

/// Names of systems, `.*` at the end for more; none for any other pattern.
fn ids(text: &str) -> Option<Vec<String>> {
    let all = alternatives(text).into_iter().map(|one| {
        let (name, more) = match one.strip_suffix(".*") {
            Some(name) => (name, "*"),
            None => (one.as_str(), ""),
        };
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        (plain && !name.is_empty()).then(|| format!("{name}{more}"))
    });
    all.collect()
}

/// Decides tests of the known files, joined by `&&` or by `||`; none where another thing is tested.
fn decide(test: &str) -> Option<bool> {
    let (and, or) = (test.contains("&&"), test.contains("||"));
    if and && or {
        return None;
    }
    let parts = test.split(if or { "||" } else { "&&" }).map(one);
    let mut unknown = false;
    for part in parts {
        match part {
            Some(true) if or => return Some(true),
            Some(false) if !or => return Some(false),
            None => unknown = true,
            _ => {}
        }
    }
    (!unknown).then_some(!or)
}

/// `[ ! -f "/run/cos/live_mode" ]`
fn one(test: &str) -> Option<bool> {
    let inner = test.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut words: Vec<&str> = inner.split_whitespace().collect();
    let not = words.first() == Some(&"!");
    if not {
        words.remove(0);
    }
    let ["-e" | "-f", path] = words.as_slice() else {
        return None;
    };
    let path = path.trim_matches(['"', '\'']);
    let (_, there) = SENTINELS.iter().find(|(name, _)| *name == path)?;
    Some(*there != not)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tests_of_known_files_are_decided() {
        for (test, want) in [
            ("[ -f /run/cos/active_mode ]", Some(true)),
            ("[ ! -f \"/run/cos/recovery_mode\" ]", Some(true)),
            (
                "[ -e '/run/cos/uki_boot_mode' ] && [ -f /etc/x ]",
                Some(false),
            ),
            ("[ -f /run/cos/active_mode ] && [ -f /etc/x ]", None),
            ("[ -f /run/cos/active_mode ] || [ -f /etc/x ]", Some(true)),
            (
                "[ -f /run/cos/live_mode ] || [ -f /run/cos/passive_mode ]",
                Some(false),
            ),
            (
                "[ ! -f $STYLUS_ROOT/opt/spectrocloud/state/agent-mode ]",
                Some(true),
            ),
            ("[ -f /run/cos/active_mode ] && true || false", None),
            ("grep -q x /etc/y", None),
            ("", None),
        ] {
            assert_eq!(decide(test), want, "{test}");
        }
    }

    #[test]
    fn names_of_systems_are_read() {
        for (text, want) in [
            ("ubuntu", Some(vec!["ubuntu"])),
            ("^ubuntu.*|debian$", Some(vec!["ubuntu*", "debian"])),
            ("u[b]untu", None),
            ("", None),
        ] {
            let want = want.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(ids(text), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_test_makes_it_panic(test in "[\\[\\]!&|fe/ \"'-]{0,40}") {
            let _ = (decide(&test), ids(&test));
        }
    }
}
