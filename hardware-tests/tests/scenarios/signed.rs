//! A release key, and whoever has it: away from the hub, as docs/releases.md asks for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    site::{PROFILE, Site},
};

/// A stick with a release key.
#[derive(Debug)]
pub(crate) struct Signer {
    stick: PathBuf,
}

impl Signer {
    /// Makes a key in `folder`, and has the root document of the hub of `site` list it from its next start
    /// on, which is now.
    pub(crate) fn begin(site: &mut Site, folder: &Path) -> Result<Self> {
        let signer = Self {
            stick: folder.join("stick"),
        };
        fs::create_dir_all(&signer.stick).context("making a folder for the release key")?;
        let (key, public) = (signer.path("release.key"), signer.path("release.key.pub"));
        site.hub.run(&["release", "key", "init", &key])?;
        site.hub.rotate(&["--add-release-key", &public])?;
        let port = site.hub.port();
        site.start_hub_again(&Artifacts::built(Profile::Thin), port)?;
        Ok(signer)
    }

    fn path(&self, name: &str) -> String {
        self.stick.join(name).display().to_string()
    }

    /// Signs the published version of [`PROFILE`], after it was held against the document that it was
    /// published from, and gives the envelope to the hub.
    pub(crate) fn sign(&self, site: &Site) -> Result<()> {
        let release = format!("{PROFILE}@1.0.0");
        let (statement, envelope) = (self.path("statement.json"), self.path("envelope.json"));
        fs::write(&statement, site.hub.run(&["release", "export", &release])?)?;
        let (key, profile) = (self.path("release.key"), site.profile());
        let profile = profile.display().to_string();
        let mut sign = vec!["release", "sign", "--key", &key, "--profile", &profile];
        sign.push(&statement);
        let shown = site.hub.run(&sign).err();
        let shown = format!("{:#}", shown.context("it signed what nobody examined")?);
        let (_, digest) = shown
            .rsplit_once("--examined ")
            .with_context(|| format!("no digest to be examined in {shown}"))?;
        let digest = digest.split_whitespace().next().context("no digest")?;
        sign.extend(["--examined", digest]);
        fs::write(&envelope, site.hub.run(&sign)?)?;
        site.hub.run(&["release", "import", &envelope])?;
        Ok(())
    }
}
