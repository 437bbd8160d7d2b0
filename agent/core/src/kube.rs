//! Kubernetes distributions: paths, configuration, versions. K3s first; one file for each.

pub mod k3s;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where the merge lays the files of manifests layers, in the verified root; one folder a layer.
pub const IMAGE_MANIFESTS: &str = "usr/share/burin/manifests";

/// A Kubernetes version as distributions write it, for example `v1.33.4+k3s1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
    /// What stands after `+` or `-`, with that sign; empty without.
    pub suffix: String,
}

/// The text is no version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a Kubernetes version; one looks like `v1.33.4+k3s1`")]
pub struct VersionError(pub String);

/// A change of version that Kubernetes does not support.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StepError {
    #[error(
        "from {from} to {to} is a downgrade; Kubernetes cannot read what the newer version wrote"
    )]
    Downgrade { from: String, to: String },
    #[error("from {from} to {to} skips a minor version; go one minor version at a time")]
    Skips { from: String, to: String },
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refuse = || VersionError(text.chars().take(80).collect());
        let rest = text.strip_prefix('v').ok_or_else(refuse)?;
        let end = rest.find(['+', '-']).unwrap_or(rest.len());
        let (numbers, suffix) = rest.split_at(end);
        let plain = |c: char| c.is_ascii_alphanumeric() || ".+-".contains(c);
        if suffix.len() == 1 || !suffix.chars().all(plain) {
            return Err(refuse());
        }
        let mut parts = numbers.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u32>().ok()).flatten()
        });
        let mut number = || parts.next().flatten().ok_or_else(refuse);
        let (major, minor, patch) = (number()?, number()?, number()?);
        if parts.next().is_some() {
            return Err(refuse());
        }
        Ok(Self {
            major,
            minor,
            patch,
            suffix: suffix.to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            patch,
            suffix,
        } = self;
        write!(f, "v{major}.{minor}.{patch}{suffix}")
    }
}

/// Whether a host that ran `from` may start `to`. Patches may go either way.
///
/// # Errors
/// A lower minor version, or more than one minor version at once.
pub fn check_step(from: &Version, to: &Version) -> Result<(), StepError> {
    let (from_text, to_text) = (from.to_string(), to.to_string());
    let (old, new) = ((from.major, from.minor), (to.major, to.minor));
    if new < old {
        return Err(StepError::Downgrade {
            from: from_text,
            to: to_text,
        });
    }
    if new == old || (to.major == from.major && to.minor == from.minor.saturating_add(1)) {
        return Ok(());
    }
    Err(StepError::Skips {
        from: from_text,
        to: to_text,
    })
}

/// The version in the first line of `k3s --version`: `k3s version v1.33.4+k3s1 (148243c4)`.
#[must_use]
pub fn version_of_output(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        for text in [
            "v1.33.4+k3s1",
            "v1.33.4",
            "v1.34.0-rc.1+k3s1",
            "v1.26.15+rke2r1",
        ] {
            assert_eq!(version(text).to_string(), text);
        }
        for text in [
            "1.33.4",
            "v1.33",
            "v1.33.4.5",
            "v1.x.4",
            "",
            "v1.33.4+",
            "v1.33.4+k3s 1",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
        assert_eq!(
            version_of_output("k3s version v1.33.4+k3s1 (148243c4)\ngo version go1.24.5\n"),
            Some(version("v1.33.4+k3s1"))
        );
    }

    #[test]
    fn one_minor_version_at_a_time_and_never_down() {
        for (from, to, allowed) in [
            ("v1.33.4+k3s1", "v1.33.4+k3s1", true),
            ("v1.33.4+k3s1", "v1.34.0+k3s1", true),
            ("v1.33.4+k3s1", "v1.33.1+k3s1", true),
            ("v1.33.4+k3s1", "v1.35.0+k3s1", false),
            ("v1.33.4+k3s1", "v1.32.9+k3s1", false),
            ("v1.33.4+k3s1", "v2.0.0", false),
        ] {
            let outcome = check_step(&version(from), &version(to));
            assert_eq!(outcome.is_ok(), allowed, "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            if let Ok(parsed) = text.parse::<Version>() {
                prop_assert_eq!(parsed.to_string().parse::<Version>(), Ok(parsed));
            }
        }
    }
}
