//! What to build: the strict document that `burin-iso build --spec` reads.
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use crate::Refused;

/// Room that is kept for user-data when the spec does not say, in bytes.
const USER_DATA_AREA: u64 = 256 * 1024;
/// Largest user-data area, in bytes: what a firmware that loads files slowly still takes.
const USER_DATA_AREA_LIMIT: u64 = 64 * 1024 * 1024;
/// Parameters that decide what is booted and are burin's own, or would open the machine.
const RESERVED: [&str; 7] = [
    "init=",
    "rdinit=",
    "root=",
    "initrd=",
    "composefs",
    "burin.",
    "systemd.debug",
];

/// The processor architectures that an ISO can be built for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// 64-bit x86 with UEFI.
    #[default]
    Amd64,
}

/// How the boot loader finds kernel and initramfs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Boot {
    /// systemd-boot with entries of the Boot Loader Specification, type 1.
    #[default]
    Entries,
}

/// Which loader the firmware starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecureBoot {
    /// The distribution's signed shim, which starts its signed systemd-boot. Boots with the
    /// firmware's factory keys, and with Secure Boot off.
    #[default]
    Shim,
    /// systemd-boot without a shim: only with Secure Boot off or own keys.
    None,
}

/// Everything that decides the bytes of an ISO, beside the files it names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spec {
    /// Version of this format; 1.
    pub version: u32,
    /// Architecture of the machines to be installed.
    #[serde(default)]
    pub arch: Architecture,
    /// How kernel and initramfs are found.
    #[serde(default)]
    pub boot: Boot,
    /// Which loader the firmware starts.
    #[serde(default)]
    pub secure_boot: SecureBoot,
    /// The static `burin` binary.
    pub agent: Option<PathBuf>,
    /// Folder of extracted packages, as `burin-iso packages` makes it.
    pub packages: Option<PathBuf>,
    /// User-data to be built in.
    pub user_data: Option<PathBuf>,
    /// Bytes kept for user-data, so that a finished ISO can be given other user-data.
    #[serde(default = "default_area")]
    pub user_data_area: u64,
    /// More kernel parameters, for every boot entry.
    #[serde(default)]
    pub extra_cmdline: Vec<String>,
    /// Own driver patterns instead of the list that comes with burin.
    pub drivers: Option<PathBuf>,
    /// Seconds that the boot menu waits before it installs.
    #[serde(default = "default_timeout")]
    pub menu_timeout: u32,
}

fn default_area() -> u64 {
    USER_DATA_AREA
}

fn default_timeout() -> u32 {
    3
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            version: 1,
            arch: Architecture::default(),
            boot: Boot::default(),
            secure_boot: SecureBoot::default(),
            agent: None,
            packages: None,
            user_data: None,
            user_data_area: default_area(),
            extra_cmdline: Vec::new(),
            drivers: None,
            menu_timeout: default_timeout(),
        }
    }
}

impl Spec {
    /// Reads a spec; `name` is said in errors. Relative paths are taken from the spec's folder.
    ///
    /// # Errors
    /// [`Refused`] with file, line and column, and what was expected.
    pub fn parse(text: &str, name: &Path) -> Result<Self, Refused> {
        let mut spec: Self = serde_yaml::from_str(text).map_err(|error| {
            let place = error.location();
            let place = place
                .map(|at| format!(":{}:{}", at.line(), at.column()))
                .unwrap_or_default();
            Refused(format!("{}{place}: {error}", name.display()))
        })?;
        let folder = name.parent().unwrap_or(Path::new(""));
        let paths = [
            &mut spec.agent,
            &mut spec.packages,
            &mut spec.user_data,
            &mut spec.drivers,
        ];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        spec.check()
            .map_err(|error| Refused(format!("{}: {error}", name.display())))?;
        Ok(spec)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`Refused`] that names the field.
    pub fn check(&self) -> Result<(), Refused> {
        let refuse = |text: String| Err(Refused(text));
        if self.version != 1 {
            return refuse(format!("version: found {}, expected 1", self.version));
        }
        if !self.user_data_area.is_multiple_of(4096) || self.user_data_area == 0 {
            return refuse(format!(
                "user-data-area: found {}, expected a multiple of 4096 bytes",
                self.user_data_area
            ));
        }
        if self.user_data_area > USER_DATA_AREA_LIMIT {
            return refuse(format!(
                "user-data-area: found {} bytes, expected at most {USER_DATA_AREA_LIMIT}",
                self.user_data_area
            ));
        }
        for word in &self.extra_cmdline {
            let bare =
                word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control());
            if bare || !word.is_ascii() {
                return refuse(format!(
                    "extra-cmdline: {word:?}: expected one parameter without spaces"
                ));
            }
            if let Some(reserved) = RESERVED.iter().find(|prefix| word.starts_with(**prefix)) {
                return refuse(format!(
                    "extra-cmdline: {word:?}: {reserved} is set by burin alone"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Spec, String> {
        Spec::parse(text, Path::new("dir/iso.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_taken_from_the_folder_of_the_spec() {
        let spec = parse("version: 1\nagent: burin\npackages: /p\n").unwrap();
        assert_eq!(spec.agent.unwrap(), Path::new("dir/burin"));
        assert_eq!(spec.packages.unwrap(), Path::new("/p"));
        assert_eq!(
            (spec.user_data_area, spec.menu_timeout),
            (USER_DATA_AREA, 3)
        );
    }

    #[test]
    fn the_spec_of_the_documentation_is_understood() {
        let page = include_str!("../../docs/iso.md");
        let text = page.split("```yaml\n").nth(1).unwrap();
        let spec = parse(text.split("```").next().unwrap()).unwrap();
        assert_eq!(spec.drivers.unwrap(), Path::new("dir/drivers.list"));
        assert_eq!(spec.user_data_area, USER_DATA_AREA);
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        for (text, want) in [
            (
                "version: 1\nagnet: x\n",
                "dir/iso.yaml:2:1: unknown field `agnet`",
            ),
            (
                "version: 1\narch: arm64\n",
                "unknown variant `arm64`, expected `amd64`",
            ),
            (
                "version: 1\nboot: uki\n",
                "unknown variant `uki`, expected `entries`",
            ),
            ("version: 2\n", "dir/iso.yaml: version: found 2, expected 1"),
            ("version: 1\nmenu-timeout: soon\n", "dir/iso.yaml:2:15: "),
            ("version: 1\nuser-data-area: 1000\n", "a multiple of 4096"),
            (
                "version: 1\nextra-cmdline: ['a b']\n",
                "one parameter without spaces",
            ),
            (
                "version: 1\nextra-cmdline: ['rdinit=/bin/sh']\n",
                "rdinit= is set by burin alone",
            ),
            ("agent: x\n", "missing field `version`"),
            ("- 1\n", "dir/iso.yaml"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(want), "{text:?}: {error}");
        }
    }
}
