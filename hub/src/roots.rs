//! `burin-hub root`: the root key, which the hub itself never needs. Everything works on files; a
//! running hub shows a new root document after its next start.

mod images;
mod reach;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use burin_api::dsse::Envelope;
use burin_api::message::{ImageKey, RootDocument};
use burin_api::release::ReleaseKey;
use burin_api::root::{self, Anchor};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::clock;
use crate::files::{self, Readers};
use crate::keys::{CHAIN, HubKeys, NEXT_ONLINE, ONLINE, ROOT, SigningKey, seal_all};
use crate::release::key::ReleaseKeys;
use images::ImageKeys;
use reach::{Overlap, Reach};

/// Root documents that a host follows at most (and a hub makes).
const MOST_VERSIONS: u32 = 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum RootCommand {
    /// Make the keys of a new hub, the root key in a file of its own to be kept off the hub.
    #[command(
        after_help = "Example:\n  burin-hub root init --data /var/lib/burin-hub --root-key /media/stick/root.key"
    )]
    Init {
        /// Where to write the root key; neither there nor in the data folder is one yet.
        #[arg(long, value_name = "FILE")]
        root_key: PathBuf,
    },
    /// Sign the next root document: another root key, another online key, other release or image
    /// keys, other addresses of the hub.
    #[command(
        after_help = "Examples:\n  burin-hub root rotate --data ~/burin-hub --root-key ./hub/root-unprotected.key --new-root-key /media/stick/root.key\n  burin-hub root rotate --data ~/burin-hub --root-key /media/stick/root.key --new-online-key\n  burin-hub root rotate --data ~/burin-hub --root-key /media/stick/root.key --add-release-key release.key.pub --release-profile retail\n  burin-hub root rotate --data ~/burin-hub --root-key /media/stick/root.key --address https://hub2.example:8443"
    )]
    Rotate(Rotation),
    /// Show the newest root document.
    #[command(after_help = "Example:\n  burin-hub root show --data ~/burin-hub --json")]
    Show,
}

/// What the next root document changes.
#[derive(Debug, Default, Args)]
pub(crate) struct Rotation {
    /// The root key of now.
    #[arg(long, value_name = "FILE")]
    root_key: PathBuf,
    /// Make another root key and write it there.
    #[arg(long, value_name = "FILE")]
    new_root_key: Option<PathBuf>,
    /// Make another online key.
    #[arg(long)]
    new_online_key: bool,
    #[command(flatten)]
    overlap: Overlap,
    #[command(flatten)]
    release: ReleaseKeys,
    #[command(flatten)]
    images: ImageKeys,
    #[command(flatten)]
    reach: Reach,
}

impl Rotation {
    /// Whether anything is to change.
    fn is_some(&self) -> bool {
        let keys = self.new_root_key.is_some() || self.new_online_key;
        keys || self.release.is_some() || self.images.is_some() || self.reach.is_some()
    }
}

/// What a command says of the newest root document.
#[derive(Debug, Serialize)]
pub(crate) struct RootInfo {
    pub(crate) version: u32,
    pub(crate) hub_id: String,
    /// What hosts pin: `burin.hub.root` of user-data.
    pub(crate) root: String,
    /// The root key lies beside the database.
    pub(crate) unprotected: bool,
    /// Keys that sign releases; hosts take signed releases only when there is one.
    pub(crate) release: Vec<ReleaseKey>,
    /// Keys that sign images.
    pub(crate) images: Vec<ImageKey>,
    /// Where hosts reach the hub; none: where their user-data says.
    pub(crate) addresses: Vec<String>,
    /// Until when an online key of before is believed, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overlap_until: Option<u64>,
    /// The root key of a first start, as long as it lies in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leftover: Option<PathBuf>,
}

/// Carries out a command on the keys of a data folder.
///
/// # Errors
/// A key that is not the root key of now, a file that exists, a folder that cannot be written.
pub(crate) fn run(folder: &Path, command: &RootCommand) -> anyhow::Result<RootInfo> {
    match command {
        RootCommand::Init { root_key } => init(folder, root_key)?,
        RootCommand::Rotate(rotation) => rotate(folder, rotation, clock::wire(clock::now_ms()))?,
        RootCommand::Show => {}
    }
    info(folder, &newest(&chain(folder)?)?)
}

fn info(folder: &Path, document: &RootDocument) -> anyhow::Result<RootInfo> {
    let key = document
        .root
        .first()
        .context("a root document lists a key")?;
    Ok(RootInfo {
        version: document.version,
        hub_id: document.hub_id.clone(),
        root: format!("sha256:{}", key.thumbprint()?),
        unprotected: document.unprotected,
        release: document.release.clone(),
        images: document.images.clone(),
        addresses: document.addresses.clone(),
        overlap_until: document.retiring.iter().map(|it| it.until).max(),
        leftover: leftover(folder),
    })
}

fn chain(folder: &Path) -> anyhow::Result<Vec<Envelope>> {
    let file = folder.join(CHAIN);
    let bytes = files::read(&file)?.with_context(|| {
        format!(
            "{} is missing: start the hub once, or use `root init`",
            file.display()
        )
    })?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", file.display()))
}

fn newest(chain: &[Envelope]) -> anyhow::Result<RootDocument> {
    root::follow(Anchor::FirstContact, chain).context("checking the root documents")
}

fn init(folder: &Path, root_key: &Path) -> anyhow::Result<()> {
    ensure!(
        files::read(&folder.join(CHAIN))?.is_none(),
        "the hub in {} has its keys already; `root rotate` gives it another root key",
        folder.display()
    );
    crate::folder::make_private(folder)?;
    let root = new_key(folder, root_key)?;
    let online = SigningKey::create(&folder.join(ONLINE))?;
    let document = RootDocument {
        version: 1,
        hub_id: root.public().thumbprint()?,
        root: vec![root.public()],
        online: vec![online.public()],
        release: Vec::new(),
        retiring: Vec::new(),
        addresses: Vec::new(),
        images: Vec::new(),
        unprotected: false,
    };
    write_chain(folder, &[root.seal(&document)?])
}

/// `now` in milliseconds since 1970.
fn rotate(folder: &Path, rotation: &Rotation, now: u64) -> anyhow::Result<()> {
    let Rotation {
        root_key,
        new_root_key,
        new_online_key,
        overlap,
        release,
        images,
        reach,
    } = rotation;
    ensure!(
        rotation.is_some(),
        "say what is to be another: --new-root-key FILE, --new-online-key, --add-release-key KEY, \
         --remove-release-key KEY, --add-image-key NAME=FILE, --remove-image-key NAME, --address URL \
         or --no-addresses"
    );
    let mut chain = chain(folder)?;
    let held = newest(&chain)?;
    ensure!(
        held.version < MOST_VERSIONS,
        "the hub has made {MOST_VERSIONS} root documents; hosts follow no more"
    );
    let old = read_key(root_key)?;
    ensure!(
        held.root == [old.public()],
        "{} is not the root key of root document {}",
        root_key.display(),
        held.version
    );
    let release = release.apply(&held.release)?;
    let images = images.apply(&held.images)?;
    let addresses = reach.apply(&held.addresses)?;
    let replaced: &[_] = if *new_online_key { &held.online } else { &[] };
    let retiring = overlap.apply(&held.retiring, replaced, now);
    let new = new_root_key.as_ref().map(|file| new_key(folder, file));
    let new = new.transpose()?;
    let online = match *new_online_key {
        true => Some(SigningKey::create(&folder.join(NEXT_ONLINE))?),
        false => None,
    };
    let document = RootDocument {
        version: held.version + 1,
        hub_id: held.hub_id,
        root: vec![new.as_ref().unwrap_or(&old).public()],
        online: match &online {
            Some(key) => vec![key.public()],
            None => held.online,
        },
        release,
        retiring,
        addresses,
        images,
        unprotected: held.unprotected && new.is_none(),
    };
    let mut signers = vec![&old];
    signers.extend(&new);
    chain.push(seal_all(&document, &signers)?);
    newest(&chain)?;
    write_chain(folder, &chain)?;
    // Loading puts a new online key into its place, also after a power cut right here.
    HubKeys::load_or_create(folder).map(drop)
}

/// Makes a root key in a file that is not there yet and does not lie beside the database.
fn new_key(folder: &Path, file: &Path) -> anyhow::Result<SigningKey> {
    ensure!(
        files::read(file)?.is_none(),
        "{} exists; a root key is never written over another file",
        file.display()
    );
    let parent = match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => bail!("{} is no file name", file.display()),
    };
    let resolve = |path: &Path| {
        path.canonicalize()
            .with_context(|| format!("looking for {}", path.display()))
    };
    ensure!(
        !resolve(parent)?.starts_with(resolve(folder)?),
        "{} lies in the hub's own folder; keep the root key elsewhere, best off this machine",
        file.display()
    );
    SigningKey::create(
        &resolve(parent)?.join(file.file_name().context("a root key needs a file name")?),
    )
}

fn read_key(file: &Path) -> anyhow::Result<SigningKey> {
    let bytes = files::read(file)?.with_context(|| format!("{} is missing", file.display()))?;
    SigningKey::from_pkcs8(&bytes).with_context(|| format!("reading {}", file.display()))
}

fn write_chain(folder: &Path, chain: &[Envelope]) -> anyhow::Result<()> {
    let bytes = serde_json::to_vec_pretty(chain)?;
    files::replace(&folder.join(CHAIN), &bytes, Readers::Everybody)
}

/// Where the root key of a first start lies, if it is there still.
fn leftover(folder: &Path) -> Option<PathBuf> {
    let file = folder.join(ROOT);
    file.exists().then_some(file)
}

#[cfg(test)]
mod tests;
