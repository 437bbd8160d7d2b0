//! The kernel's command line of a generation.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The kernel's own limit on amd64 without the final zero (`COMMAND_LINE_SIZE` is 2048).
pub const MAX_COMMAND_LINE: usize = 2047;
/// Parameters by which a profile or user-data could leave the verified root.
const FORBIDDEN: [&str; 3] = ["init", "rdinit", "root"];
const FORBIDDEN_PREFIXES: [&str; 3] = ["composefs", "burin.", "systemd.debug"];
/// Always there: a kernel that panics must restart, or the loader never counts the try.
const ALWAYS: &str = "panic=10";

/// Why an argument or a whole line was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    #[error(
        "`{0}` may not be set: init, rdinit, root, composefs*, burin.* and systemd.debug* belong to burin"
    )]
    Forbidden(String),
    #[error(
        "`{0}` is not one argument: write it without spaces, quotes and control characters, one list item each"
    )]
    Malformed(String),
    #[error(
        "`--` ends the kernel's own arguments and hands the rest to init: remove it from the list"
    )]
    EndOfArguments,
    #[error(
        "the command line has {0} bytes, the kernel takes {MAX_COMMAND_LINE}: shorten the extra arguments"
    )]
    TooLong(usize),
}

/// Whether a profile or user-data may add this argument.
///
/// # Errors
/// It is forbidden or is not a single plain argument. The kernel takes `-` and `_` as the same
/// letter in names, so the comparison does too.
pub fn check_argument(argument: &str) -> Result<(), ArgumentError> {
    if argument == "--" {
        return Err(ArgumentError::EndOfArguments);
    }
    let plain = !argument.is_empty()
        && argument
            .chars()
            .all(|c| c.is_ascii_graphic() && c != '"' && c != '\'');
    if !plain {
        return Err(ArgumentError::Malformed(argument.to_owned()));
    }
    let name = argument
        .split_once('=')
        .map_or(argument, |(name, _)| name)
        .replace('-', "_")
        .to_ascii_lowercase();
    let forbidden = FORBIDDEN.contains(&name.as_str())
        || FORBIDDEN_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if forbidden {
        return Err(ArgumentError::Forbidden(argument.to_owned()));
    }
    Ok(())
}

/// What the initramfs is told: which images to mount from which partition, for which generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTarget {
    pub generation: u64,
    /// Identity of the root as composefs writes it, `v1-sha512-12:<hex>`.
    pub root: String,
    /// fs-verity digest of the agent's image, hex.
    pub agent: String,
    /// PARTUUID of `burin-system`, lower case.
    pub system: String,
}

/// Why the line does not name a generation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    #[error("the kernel's command line has no `{0}`: this entry was not written by burin")]
    Missing(&'static str),
    #[error("the kernel's command line has `{0}` twice")]
    Twice(&'static str),
    #[error("`{key}={value}` on the kernel's command line is not {expected}")]
    Malformed {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
}

const DIGEST: &str = "composefs.digest";
const AGENT: &str = "burin.agent";
const SYSTEM: &str = "burin.system";
const GENERATION: &str = "burin.generation";

impl BootTarget {
    /// Reads the kernel's command line (`/proc/cmdline`).
    ///
    /// # Errors
    /// A value is missing, there twice, or of the wrong form.
    pub fn parse(line: &str) -> Result<Self, TargetError> {
        let root = value(line, DIGEST)?;
        if !root_identity(&root) {
            return Err(malformed(
                DIGEST,
                root,
                "`v1-sha512-12:` and 128 hex digits",
            ));
        }
        let agent = value(line, AGENT)?;
        if !hex_digest(&agent) {
            return Err(malformed(AGENT, agent, "128 hex digits"));
        }
        let system = value(line, SYSTEM)?;
        let Some(guid) = system.strip_prefix("PARTUUID=").filter(|g| is_guid(g)) else {
            return Err(malformed(SYSTEM, system, "`PARTUUID=` and a GUID"));
        };
        let number = value(line, GENERATION)?;
        let Ok(generation) = number.parse() else {
            return Err(malformed(GENERATION, number, "a number"));
        };
        Ok(Self {
            generation,
            agent,
            system: guid.to_ascii_lowercase(),
            root,
        })
    }
}

fn malformed(key: &'static str, value: String, expected: &'static str) -> TargetError {
    TargetError::Malformed {
        key,
        value,
        expected,
    }
}

/// The value of a key that must stand exactly once.
fn value(line: &str, key: &'static str) -> Result<String, TargetError> {
    let mut values = line.split_ascii_whitespace().filter_map(|argument| {
        argument
            .split_once('=')
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value)
    });
    let found = values.next().ok_or(TargetError::Missing(key))?;
    if values.next().is_some() {
        return Err(TargetError::Twice(key));
    }
    Ok(found.to_owned())
}

fn hex_digest(text: &str) -> bool {
    text.len() == 128
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn root_identity(text: &str) -> bool {
    text.strip_prefix("v1-sha512-12:").is_some_and(hex_digest)
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// A command line whose arguments were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(String);

impl CommandLine {
    /// The line of a generation: what burin needs first, then what profile and user-data add.
    ///
    /// # Errors
    /// An extra argument is not allowed, or the line is longer than the kernel takes.
    pub fn build(target: &BootTarget, extra: &[String]) -> Result<Self, ArgumentError> {
        for argument in extra {
            check_argument(argument)?;
        }
        let mut line = format!(
            "{DIGEST}={} {AGENT}={} {SYSTEM}=PARTUUID={} {GENERATION}={} {ALWAYS}",
            target.root, target.agent, target.system, target.generation
        );
        for argument in extra {
            line.push(' ');
            line.push_str(argument);
        }
        if line.len() > MAX_COMMAND_LINE {
            return Err(ArgumentError::TooLong(line.len()));
        }
        Ok(Self(line))
    }

    /// The text for the entry's `options`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target() -> BootTarget {
        BootTarget {
            generation: 4,
            root: format!("v1-sha512-12:{}", "ab".repeat(64)),
            agent: "cd".repeat(64),
            system: "0fc63daf-8483-4772-8e79-3d69d8477de4".into(),
        }
    }

    #[test]
    fn the_line_of_a_generation_is_golden_and_read_back() {
        let line = CommandLine::build(&target(), &["console=ttyS0".into()]).unwrap();
        assert_eq!(
            line.as_str(),
            format!(
                "composefs.digest=v1-sha512-12:{} burin.agent={} \
                 burin.system=PARTUUID=0fc63daf-8483-4772-8e79-3d69d8477de4 \
                 burin.generation=4 panic=10 console=ttyS0",
                "ab".repeat(64),
                "cd".repeat(64)
            )
        );
        assert_eq!(BootTarget::parse(line.as_str()), Ok(target()));
    }

    #[test]
    fn what_could_leave_the_verified_root_is_forbidden() {
        for argument in [
            "init=/bin/sh",
            "rdinit=/bin/sh",
            "root=/dev/sda1",
            "composefs=abc",
            "composefs.digest=x",
            "burin.agent=x",
            "burin.config=http://x",
            "systemd.debug-shell",
            "systemd.debug_shell=1",
            "INIT=/x",
        ] {
            assert_eq!(
                check_argument(argument),
                Err(ArgumentError::Forbidden(argument.into())),
                "{argument}"
            );
        }
        for argument in ["", "a b", "\"init=/bin/sh\"", "x=\ny", "ü=1"] {
            assert_eq!(
                check_argument(argument),
                Err(ArgumentError::Malformed(argument.into())),
                "{argument:?}"
            );
        }
        assert_eq!(check_argument("--"), Err(ArgumentError::EndOfArguments));
        for argument in [
            "quiet",
            "console=ttyS0,115200n8",
            "selinux=0",
            "rootwait",
            "initcall_debug",
        ] {
            assert_eq!(check_argument(argument), Ok(()), "{argument}");
        }
    }

    #[test]
    fn a_line_longer_than_the_kernel_takes_is_refused() {
        let extra = vec![format!("x={}", "y".repeat(MAX_COMMAND_LINE))];
        assert!(matches!(
            CommandLine::build(&target(), &extra),
            Err(ArgumentError::TooLong(_))
        ));
    }

    #[test]
    fn a_line_that_burin_did_not_write_is_refused() {
        assert_eq!(
            BootTarget::parse("quiet"),
            Err(TargetError::Missing("composefs.digest"))
        );
        let line = CommandLine::build(&target(), &[]).unwrap();
        let twice = format!("{} burin.agent={}", line.as_str(), "cd".repeat(64));
        assert_eq!(
            BootTarget::parse(&twice),
            Err(TargetError::Twice("burin.agent"))
        );
        let short = line.as_str().replace(&"cd".repeat(64), "cd");
        assert!(matches!(
            BootTarget::parse(&short),
            Err(TargetError::Malformed {
                key: "burin.agent",
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn an_argument_that_passes_never_changes_the_target(argument in "[ -~]{0,60}") {
            if let Ok(line) = CommandLine::build(&target(), &[argument]) {
                prop_assert_eq!(BootTarget::parse(line.as_str()), Ok(target()));
            }
        }
    }
}
