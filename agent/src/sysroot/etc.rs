//! `/etc`: a tmpfs filled at every boot, so that it cannot drift. The image's own files first, then
//! what the host keeps.

use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::MsFlags;

use super::BASE_SHADOW;
use super::copy::{self, Existing};
use super::identity;
use super::site::{self, Site};
use crate::machine::file::{self, Mode};
use crate::machine::mount::{Source, mount};

/// Put together here, then moved over the root's own: a half-filled `/etc` is never seen.
const STAGE: &str = "/run/burin/etc";

/// Fills `/etc` of the new root. Mistakes in user-data are among the troubles of what is returned.
///
/// # Errors
/// When something cannot be read or written; the generation cannot start then.
pub(super) fn render(system: &Path, root: &Path, generation: u64) -> Result<Site> {
    let stage = Path::new(STAGE);
    let source = Source {
        device: Path::new("tmpfs"),
        kind: "tmpfs",
        flags: MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        options: "mode=0755,size=64m",
    };
    mount(source, stage)?;
    copy::tree(&root.join("etc"), stage, Existing::Keep).context("copying the image's /etc")?;
    identity::render(system, stage)?;
    let mut site = site::render(system, root, stage, generation);
    if let Some(base) = site.base_shadow.take() {
        let path = Path::new("/").join(BASE_SHADOW);
        let kept = file::replace(&path, base.expose().as_bytes(), Mode::Private);
        let kept = kept.context("a password that is changed now is lost at the next boot");
        site.troubles
            .extend(kept.err().map(|err| format!("{err:#}")));
    }
    tracing::debug!(generation, "rendered /etc");
    let none = None::<&str>;
    nix::mount::mount(Some(stage), &root.join("etc"), none, MsFlags::MS_MOVE, none)
        .context("moving the rendered /etc to its place")?;
    Ok(site)
}
