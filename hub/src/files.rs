//! The files of the data directory.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Who may read a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Readers {
    Owner,
    Everybody,
}

/// Replaces a file: written beside, synced, renamed, the folder synced.
pub(crate) fn replace(path: &Path, bytes: &[u8], readers: Readers) -> anyhow::Result<()> {
    let doing = || format!("writing {}", path.display());
    let folder = path.parent().context("a file without a folder")?;
    let beside = path.with_extension("new");
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Everybody => 0o644,
    };
    // A leftover of an earlier crash may have another mode.
    match fs::remove_file(&beside) {
        Ok(()) => {}
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
        Err(err) => return Err(err).with_context(doing),
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .with_context(doing)?;
    file.write_all(bytes).with_context(doing)?;
    file.sync_all().with_context(doing)?;
    fs::rename(&beside, path).with_context(doing)?;
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(doing)
}

/// The file's bytes; none when there is no such file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err).with_context(|| format!("reading {}", path.display())),
    }
}

/// Lets this process hold as many files open as the machine allows: every host keeps a connection.
/// Programs begin with a soft limit of 1,024 for the sake of select(2), which nothing here calls.
pub(crate) fn allow_many_open() -> anyhow::Result<()> {
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")
}
