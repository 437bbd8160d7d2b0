//! The programs under test, built from this repository and used as anybody would use them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{process, workspace};

/// How the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Small and quick, as shipped: for figures.
    Release,
    /// As release, but quick to build: for scenarios.
    Thin,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Thin => "thin",
        }
    }
}

/// The built programs.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// Builds `burin`, `burin-hub`, `burin-iso` and `k3s-standin`.
    ///
    /// # Errors
    /// When cargo fails; what it said is on standard error.
    pub fn build(profile: Profile) -> Result<Self> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .current_dir(workspace::root())
            // The whole workspace, always: cargo unites features over what is built together, and a
            // smaller set would be compiled once more.
            .args(["build", "--workspace", "--bins"])
            .args(["--profile", profile.name()]);
        // Cargo tells its own build's settings to programs it runs; they would make this build differ.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_") && name != "CARGO_HOME" && name != "CARGO_TARGET_DIR" {
                command.env_remove(name);
            }
        }
        process::run(&mut command).context("building the programs under test")?;
        Ok(Self::built(profile))
    }

    /// What was built before.
    pub fn built(profile: Profile) -> Self {
        Self {
            folder: workspace::target()
                .join("x86_64-unknown-linux-gnu")
                .join(profile.name()),
        }
    }

    /// What was built together with the running program.
    ///
    /// # Errors
    /// When the kernel does not say where that lies.
    pub fn beside_this_program() -> Result<Self> {
        let program = std::env::current_exe().context("asking where this program lies")?;
        let folder = program.parent().context("a program lies in a folder")?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// The agent.
    pub fn burin(&self) -> PathBuf {
        self.folder.join("burin")
    }

    /// The hub.
    pub fn hub(&self) -> PathBuf {
        self.folder.join("burin-hub")
    }

    /// The ISO builder.
    pub fn iso(&self) -> PathBuf {
        self.folder.join("burin-iso")
    }

    /// The stand-in for K3s, which is never shipped.
    pub fn standin(&self) -> PathBuf {
        self.folder.join("k3s-standin")
    }

    /// Makes an ISO with `user_data` built in; the installer also talks on the first serial port.
    ///
    /// # Errors
    /// When the builder refuses or fails.
    pub fn make_iso(&self, user_data: &Path, out: &Path) -> Result<()> {
        self.make_iso_with(&[], user_data, out)
    }

    /// Makes an ISO without user-data, for a hub to make others of.
    ///
    /// # Errors
    /// As [`Self::make_iso`].
    pub fn make_base_iso(&self, out: &Path) -> Result<()> {
        self.build_iso(&[], None, out)
    }

    /// As [`Self::make_iso`], with more `parameters` for the installer's kernel.
    ///
    /// # Errors
    /// As [`Self::make_iso`].
    pub fn make_iso_with(&self, parameters: &[&str], user_data: &Path, out: &Path) -> Result<()> {
        self.build_iso(parameters, Some(user_data), out)
    }

    fn build_iso(&self, parameters: &[&str], user_data: Option<&Path>, out: &Path) -> Result<()> {
        let mut command = Command::new(self.iso());
        command
            .args(["build", "--force", "--agent"])
            .arg(self.burin());
        if let Some(user_data) = user_data {
            command.arg("--user-data").arg(user_data);
        }
        for parameter in [&["console=ttyS0"], parameters].concat() {
            command.arg(format!("--extra-cmdline={parameter}"));
        }
        command.arg("--out").arg(out);
        process::output(&mut command).context("making the ISO")?;
        Ok(())
    }
}
