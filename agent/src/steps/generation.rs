//! Writes `generations/<n>/`.

use std::os::linux::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use burin_api::desired::{Layer, Release};
use burin_core::boot::{BootTarget, CommandLine};
use burin_core::generations::{Content, Generation, LayerIdentity, Reason};

use crate::context::{Context, Paths};
use crate::installed::generations::{self, Settings};
use crate::machine::block;
use crate::steps::sealed::SealedRelease;
use crate::steps::{Failure, Outcome};
use crate::store::Root;
use crate::sysroot::ahead;
use crate::sysroot::pack::{self, BootFiles};

/// This program, also after its file was replaced or removed.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Writes the directory of a generation: what it is made of and everything that a boot without a
/// hub needs to render it.
///
/// # Errors
/// When nothing was sealed, an argument for the kernel is not allowed, the root has no kernel that
/// can start a host, or the disk fails.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context, generation: u64) -> Result<Outcome> {
    let release = ctx.release()?;
    let sealed = SealedRelease::find(&ctx.paths, generation, release)?
        .with_context(|| format!("generation {generation} was not sealed yet"))?;
    let root = ctx.store()?.root(&sealed.root)?;
    refuse_conflicts(&ctx.paths, &root)?;
    let files = pack::boot_files(&root, Path::new(OWN_PROGRAM))?;
    let target = BootTarget {
        generation,
        root: format!("v1-sha512-12:{}", sealed.root),
        agent: sealed.agent.clone(),
        system: partition_guid(&ctx.paths)?,
    };
    let mut arguments = release.cmdline.clone();
    arguments.extend(ctx.user_data.install.cmdline.iter().cloned());
    let line = CommandLine::build(&target, &arguments).map_err(|err| {
        Failure::never(
            "the kernel's arguments are not allowed",
            "Correct them in the profile or in install.grub_options of the user-data.",
        )
        .because(err)
    })?;
    let host_id = ctx.identity.registration().host_id;
    let user_data = &ctx.user_data;
    let named = user_data.hostname.clone().or(user_data.host.name.clone());
    let settings = Settings {
        release: release.clone(),
        host_name: named.unwrap_or_else(|| host_id.clone()),
        host_id,
    };
    let staged = Generation::staged(content(release, &target, &line, &files));
    if let Err(err) = ahead::keep_resolver(&ctx.paths.root, &ctx.paths.system) {
        // The host can still ask DHCP, or user-data names its servers.
        tracing::warn!(error = format!("{err:#}"), "the name servers are not kept");
    }
    generations::create(&ctx.paths, &staged, &settings, &ctx.user_data_text.0)?;
    Ok(Outcome::Done)
}

/// A root whose users would own what belongs to others on this host is never armed.
fn refuse_conflicts(paths: &Paths, root: &Root<'_>) -> Result<()> {
    let found = ahead::conflicts(&paths.system, |path| {
        root.find(path).map(|_| root.read_file(path)).transpose()
    })?;
    let Some(first) = found.into_iter().next() else {
        return Ok(());
    };
    let failure = Failure::never(
        "users or groups of the image have numbers of others on this host",
        "Keep the numbers of users and groups in the OS image, or give the new ones free numbers.",
    );
    Err(failure.because(first).into())
}

fn content(
    release: &Release,
    target: &BootTarget,
    line: &CommandLine,
    files: &BootFiles,
) -> Content {
    let kubernetes = release.kubernetes.as_ref();
    Content {
        number: target.generation,
        profile: release.name.clone(),
        version: release.version.clone(),
        layers: release.layers.iter().map(identity).collect(),
        root: target.root.clone(),
        agent: target.agent.clone(),
        kernel_release: files.release.clone(),
        kernel: pack::digest(&files.kernel),
        initramfs: pack::digest(&files.initramfs),
        cmdline: line.as_str().to_owned(),
        kubernetes: kubernetes.map_or_else(String::new, |it| {
            format!("{} {}", it.distribution, it.version)
        }),
        reason: if target.generation == 1 {
            Reason::Install
        } else {
            Reason::Upgrade
        },
        made: now(),
    }
}

fn identity(layer: &Layer) -> LayerIdentity {
    let blobs = layer.blobs.iter();
    LayerIdentity {
        name: layer.name.clone(),
        manifest: layer.manifest.clone(),
        diff_ids: blobs.map(|blob| blob.diff_id.clone()).collect(),
    }
}

/// PARTUUID of the partition that is mounted as system.
fn partition_guid(paths: &Paths) -> Result<String> {
    let doing = || format!("finding the partition of {}", paths.system.display());
    let device = std::fs::metadata(&paths.system)
        .with_context(doing)?
        .st_dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let folder = paths.root.join(format!("sys/dev/block/{major}:{minor}"));
    block::guid_of(&paths.root, &folder).with_context(doing)
}

/// Milliseconds since 1970 by the host's clock.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
}
