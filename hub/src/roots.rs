//! `burin-hub root`: the root key, which the hub itself never needs. Everything works on files; a
//! running hub shows a new root document after its next start.

mod reach;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use burin_api::dsse::Envelope;
use burin_api::message::RootDocument;
use burin_api::release::ReleaseKey;
use burin_api::root::{self, Anchor};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::clock;
use crate::files::{self, Readers};
use crate::keys::{CHAIN, HubKeys, NEXT_ONLINE, ONLINE, ROOT, SigningKey, seal_all};
use crate::release::key::ReleaseKeys;
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
    /// Sign the next root document: another root key, another online key, other release keys, other
    /// addresses of the hub.
    #[command(
        after_help = "Examples:\n  burin-hub root rotate --data ./hub --root-key ./hub/root-unprotected.key --new-root-key /media/stick/root.key\n  burin-hub root rotate --data ./hub --root-key /media/stick/root.key --new-online-key\n  burin-hub root rotate --data ./hub --root-key /media/stick/root.key --add-release-key release.key.pub --release-profile retail\n  burin-hub root rotate --data ./hub --root-key /media/stick/root.key --address https://hub2.example:8443"
    )]
    Rotate(Rotation),
    /// Show the newest root document.
    #[command(after_help = "Example:\n  burin-hub root show --data ./hub --json")]
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
    reach: Reach,
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
    crate::serve::make_private(folder)?;
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
        reach,
    } = rotation;
    ensure!(
        new_root_key.is_some() || *new_online_key || release.is_some() || reach.is_some(),
        "say what is to be another: --new-root-key FILE, --new-online-key, --add-release-key KEY, \
         --remove-release-key KEY, --address URL or --no-addresses"
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
    let addresses = reach.apply(&held.addresses)?;
    let replaced: &[_] = if *new_online_key { &held.online } else { &[] };
    let retiring = overlap.apply(&held.retiring, replaced, now);
    let new = match new_root_key {
        Some(file) => Some(new_key(folder, file)?),
        None => None,
    };
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
mod tests {
    use super::*;

    fn rotated(root_key: &Path, new: Option<&Path>, online: bool) -> RootCommand {
        RootCommand::Rotate(Rotation {
            root_key: root_key.to_owned(),
            new_root_key: new.map(Path::to_owned),
            new_online_key: online,
            ..Rotation::default()
        })
    }

    fn rotation(root_key: &Path, online: bool, overlap: &str) -> Rotation {
        Rotation {
            root_key: root_key.to_owned(),
            new_online_key: online,
            overlap: Overlap::of(overlap.parse().unwrap()),
            ..Rotation::default()
        }
    }

    #[test]
    fn a_replaced_online_key_is_believed_for_the_overlap_and_a_stolen_one_no_longer() {
        let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, root_key) = (hub.path(), stick.path().join("1"));
        init(folder, &root_key).unwrap();
        let speakers = |now| {
            let keys = HubKeys::load_or_create(folder).unwrap();
            keys.root.speakers(now).len()
        };
        rotate(folder, &rotation(&root_key, true, "30s"), 1_000).unwrap();
        assert_eq!((speakers(30_999), speakers(31_000)), (2, 1));
        rotate(folder, &rotation(&root_key, true, "30s"), 11_000).unwrap();
        assert_eq!((speakers(30_999), speakers(31_000)), (3, 2));
        rotate(folder, &rotation(&root_key, true, "0"), 12_000).unwrap();
        let chain = chain(folder).unwrap();
        let before: RootDocument = chain[2].peek().unwrap();
        let after = newest(&chain).unwrap();
        assert!(!after.speakers(12_000).contains(&&before.online[0]));
        // Those before the stolen key are believed as it was promised.
        assert_eq!((speakers(30_999), speakers(31_000)), (3, 2));
    }

    #[test]
    fn addresses_stay_until_others_are_given() {
        let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, root_key) = (hub.path(), stick.path().join("1"));
        init(folder, &root_key).unwrap();
        let change = |reach| {
            let rotation = Rotation {
                reach,
                ..rotation(&root_key, false, "0")
            };
            run(folder, &RootCommand::Rotate(rotation))
        };
        let two = ["https://b.example:8443/", "https://a.example"];
        let want = ["https://b.example:8443", "https://a.example"];
        let info = change(Reach::at(&two)).unwrap();
        assert_eq!(
            (info.version, info.addresses),
            (2, want.map(str::to_owned).to_vec())
        );
        let kept = run(folder, &rotated(&root_key, None, true)).unwrap();
        assert_eq!(kept.addresses, want);
        for wrong in [
            vec!["http://a.example"],
            vec!["https://a.example/x"],
            vec!["https://u@a.example"],
            vec!["https://a.example"; root::MOST_ADDRESSES + 1],
        ] {
            assert!(change(Reach::at(&wrong)).is_err(), "{wrong:?}");
        }
        assert!(change(Reach::nowhere()).unwrap().addresses.is_empty());
    }

    #[test]
    fn release_keys_come_and_go_by_the_root_alone() {
        let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, key) = (hub.path(), |name: &str| stick.path().join(name));
        let root_key = key("root");
        run(folder, &RootCommand::Init { root_key }).unwrap();
        let public = crate::release::key::init(&key("release")).unwrap();
        let change = |add: &[String], remove: &[String]| {
            let release = ReleaseKeys {
                add_release_key: add.to_vec(),
                remove_release_key: remove.to_vec(),
                release_profile: vec!["retail".to_owned()],
            };
            run(
                folder,
                &RootCommand::Rotate(Rotation {
                    root_key: key("root"),
                    release,
                    ..Rotation::default()
                }),
            )
        };
        let file = key("release.pub").to_str().unwrap().to_owned();
        let info = change(std::slice::from_ref(&file), &[]).unwrap();
        assert_eq!((info.version, info.release.len()), (2, 1));
        assert_eq!(info.release[0].key, public);
        assert!(info.release[0].may_sign("retail") && !info.release[0].may_sign("other"));
        assert!(
            change(&[], &["00".repeat(32)]).is_err(),
            "a key that is not listed"
        );
        let info = change(&[], &[public.thumbprint().unwrap()]).unwrap();
        assert_eq!((info.version, info.release), (3, Vec::new()));
        // A document without the root's signature, made by whoever holds the online key.
        let held = newest(&chain(folder).unwrap()[..2]).unwrap();
        let online = HubKeys::load_or_create(folder).unwrap().online;
        let forged = RootDocument {
            version: 3,
            release: Vec::new(),
            ..held.clone()
        };
        let forged = [online.seal(&forged).unwrap()];
        assert!(root::follow(Anchor::Held(&held), &forged).is_err());
    }

    #[test]
    fn a_host_of_the_first_day_follows_every_rotation() {
        let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, key) = (hub.path(), |name: &str| stick.path().join(name));
        let root_key = key("1");
        let first = run(folder, &RootCommand::Init { root_key }).unwrap();
        assert!(!first.unprotected);
        let before = HubKeys::load_or_create(folder).unwrap();
        assert_eq!(before.pin, first.root);
        run(folder, &rotated(&key("1"), Some(&key("2")), false)).unwrap();
        run(folder, &rotated(&key("2"), None, true)).unwrap();
        let last = run(folder, &rotated(&key("2"), Some(&key("3")), true)).unwrap();
        assert_eq!((last.version, &last.hub_id), (4, &first.hub_id));

        let after = HubKeys::load_or_create(folder).unwrap();
        assert_ne!(after.online.public(), before.online.public());
        for anchor in [Anchor::Pinned(&first.root), Anchor::Held(&before.root)] {
            let found = root::follow(anchor, &after.chain).unwrap();
            assert_eq!(found.version, 4);
            assert_eq!(found.online, [after.online.public()]);
        }
    }

    #[test]
    fn a_trial_hub_becomes_a_protected_one() {
        let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = hub.path();
        assert!(HubKeys::load_or_create(folder).unwrap().root.unprotected);
        let old = leftover(folder).unwrap();
        let new = stick.path().join("root.key");
        let info = run(folder, &rotated(&old, Some(&new), false)).unwrap();
        assert!(!info.unprotected);
        assert!(!HubKeys::load_or_create(folder).unwrap().root.unprotected);
    }

    #[test]
    fn a_wrong_key_a_file_that_exists_and_the_hubs_own_folder_are_refused() {
        let (hub, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, key) = (hub.path(), |name: &str| stick.path().join(name));
        let init = |root_key: PathBuf| run(folder, &RootCommand::Init { root_key });
        assert!(init(folder.join("root.key")).is_err());
        init(key("1")).unwrap();
        assert!(init(key("2")).is_err());
        SigningKey::create(&key("other")).unwrap();
        for command in [
            rotated(&key("other"), Some(&key("2")), false),
            rotated(&key("none"), Some(&key("2")), false),
            rotated(&key("1"), Some(&key("1")), false),
            rotated(&key("1"), Some(&folder.join("2")), false),
            rotated(&key("1"), None, false),
        ] {
            assert!(run(folder, &command).is_err(), "{command:?}");
        }
        assert_eq!(run(folder, &RootCommand::Show).unwrap().version, 1);
        HubKeys::load_or_create(folder).unwrap();
    }
}
