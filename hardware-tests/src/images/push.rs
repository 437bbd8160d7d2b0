//! Pushing by `skopeo`: a registry must be filled by a stranger's tool, or our own reading of
//! the specification would only be tested against itself.
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::layout::Layout;

/// A registry to push to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `host:port`.
    pub registry: &'a str,
    /// Folder with the registry's `ca.crt`; none for a registry without TLS.
    pub certificates: Option<&'a Path>,
    /// An auth file as `skopeo login` makes it; none for an open registry.
    pub auth_file: Option<&'a Path>,
}

/// Pushes `layout` as `registry/repository:tag`. The manifest keeps its digest.
///
/// # Errors
/// skopeo is missing or the registry refuses.
pub fn push(layout: &Layout, target: Target<'_>, repository: &str, tag: &str) -> Result<()> {
    let name = format!("docker://{}/{repository}:{tag}", target.registry);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--insecure-policy", "--preserve-digests"]);
    match target.certificates {
        Some(folder) => skopeo.arg("--dest-cert-dir").arg(folder),
        None => skopeo.arg("--dest-tls-verify=false"),
    };
    if let Some(file) = target.auth_file {
        skopeo.arg("--dest-authfile").arg(file);
    }
    skopeo
        .arg(format!("oci:{}", layout.path.display()))
        .arg(&name);
    burin_iso::packages::run(&mut skopeo)
        .map(|_| ())
        .with_context(|| {
            format!(
                "pushing {repository}:{tag} to {} (skopeo comes with the package skopeo)",
                target.registry
            )
        })
}
