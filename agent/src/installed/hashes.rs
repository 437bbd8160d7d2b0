//! Password hashes that somebody changes on the host are kept on the system partition: `/etc` is
//! rendered anew at every boot.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use burin_api::event::EventKind;
use burin_core::render::changed_shadow;
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

use crate::context::Paths;
use crate::events::Events;
use crate::machine::file::{self, Mode};
use crate::sysroot::{BASE_SHADOW, SAVED_SHADOW};

/// The longest file that is read, bytes: what the renderer reads as well.
const LIMIT: usize = 4 << 20;

/// Keeps what was changed, now and whenever `shadow` is replaced or written, for as long as the agent
/// lives.
///
/// # Errors
/// When the folder cannot be watched, no thread be started, or the hashes not be kept.
pub fn watch(paths: &Paths, events: &Events) -> Result<()> {
    let news = follow(paths)?;
    keep(paths)?;
    let (paths, events) = (paths.clone(), events.clone());
    // Reading the news blocks until there are some.
    std::thread::Builder::new()
        .name("hashes".to_owned())
        .spawn(move || {
            if let Err(err) = keep_on(&news, &paths, &events) {
                let err = err.context("watching for changed passwords");
                events.report(EventKind::Note, "", &err);
            }
        })
        .context("starting the thread that watches for changed passwords")?;
    Ok(())
}

/// The folder is watched and not the file: passwd(1) puts another one in its place.
fn follow(paths: &Paths) -> Result<OwnedFd> {
    let folder = paths.root.join("etc");
    let doing = || format!("watching {}", folder.display());
    let news = init(CreateFlags::CLOEXEC).with_context(doing)?;
    let which = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE | WatchFlags::ONLYDIR;
    add_watch(&news, &folder, which).with_context(doing)?;
    Ok(news)
}

fn keep_on(news: &OwnedFd, paths: &Paths, events: &Events) -> Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(news, &mut buffer);
    loop {
        let shadow = match reader.next() {
            // Without a name: news were lost, so any file may have changed.
            Ok(event) => event.file_name().is_none_or(|name| name == c"shadow"),
            Err(rustix::io::Errno::INTR) => continue,
            Err(err) => return Err(err).context("reading the news of /etc"),
        };
        if !shadow {
            continue;
        }
        match keep(paths) {
            Ok(true) => events.note("a changed password is kept for the next boots"),
            Ok(false) => {}
            Err(err) => events.report(EventKind::Note, "", &err),
        }
    }
}

/// Writes what is changed, if it is other than what is kept. Returns whether it was.
fn keep(paths: &Paths) -> Result<bool> {
    let text = |path: std::path::PathBuf| -> Result<Option<String>> {
        let bytes = file::read_if_there(&path, LIMIT)?;
        let text = bytes.map(String::from_utf8).transpose();
        text.with_context(|| format!("reading {}: it is not UTF-8", path.display()))
    };
    // Without one the initramfs is of an older agent: nobody can tell what was changed.
    let Some(base) = text(paths.root.join(BASE_SHADOW))? else {
        return Ok(false);
    };
    let now = text(paths.root.join("etc/shadow"))?.unwrap_or_default();
    let place = paths.system.join(SAVED_SHADOW);
    let kept = text(place.clone())?.unwrap_or_default();
    let changed =
        changed_shadow(&base, &now, &kept).context("finding out which passwords were changed")?;
    if changed == kept {
        return Ok(false);
    }
    file::replace(&place, changed.as_bytes(), Mode::Private)
        .context("keeping the changed passwords")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    const BASE: &str = "root:*:1::::::\nada:$6$old:1::::::\n";

    fn host() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        for folder in ["etc", "run/burin/system"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join(BASE_SHADOW), BASE).unwrap();
        std::fs::write(root.path().join("etc/shadow"), BASE).unwrap();
        (root, paths)
    }

    #[test]
    fn a_changed_password_is_kept_when_it_changes() {
        let (root, paths) = host();
        let events = Events::new("boot");
        watch(&paths, &events).unwrap();
        let kept = paths.system.join(SAVED_SHADOW);
        assert!(!kept.exists());
        // As passwd(1) does it.
        let next = root.path().join("etc/nshadow");
        std::fs::write(&next, BASE.replace("old", "new")).unwrap();
        std::fs::rename(&next, root.path().join("etc/shadow")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !kept.exists() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(
            std::fs::read_to_string(&kept).unwrap(),
            "ada:$6$new:1::::::\n"
        );
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{:?}", events.after(0, 9)).contains("$6$"));
    }

    #[test]
    fn a_shadow_that_is_not_understood_costs_nothing_that_was_kept() {
        let (root, paths) = host();
        let kept = paths.system.join(SAVED_SHADOW);
        std::fs::write(&kept, "ada:$6$new:1::::::\n").unwrap();
        std::fs::write(root.path().join("etc/shadow"), "torn").unwrap();
        assert!(keep(&paths).is_err());
        assert!(std::fs::read_to_string(&kept).unwrap().contains("new"));
        std::fs::remove_file(root.path().join(BASE_SHADOW)).unwrap();
        assert!(!keep(&paths).unwrap(), "an older initramfs");
    }
}
