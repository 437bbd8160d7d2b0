//! The rules by which images become one root, as decisions about single entries.
//!
//! The store (which holds a tree of objects) and the hub (which looks for conflicts at publish) ask
//! the same questions: [`normalize`] a path, [`classify`] an entry by itself, [`settle`] it against
//! what lies there already. [`Outline`] keeps the minimum of a tree for those who have none.

mod outline;
mod protected;

use std::fmt;

use burin_api::desired::LayerKind;

pub use outline::{Outline, OutlineEntry};
pub use protected::{covers_protected, is_protected};

/// The longest path, bytes (kernel: `PATH_MAX` with its zero byte).
pub const MAX_PATH: usize = 4095;
/// The longest name, bytes (kernel: `NAME_MAX`).
pub const MAX_NAME: usize = 255;
/// The deepest path: absurd entries cost memory in every later step.
pub const MAX_DEPTH: usize = 128;
/// The most entries of one layer. The largest desktop images have under a million.
pub const MAX_ENTRIES: u64 = 4_000_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Directory,
    File,
    Symlink,
    /// A second name of a file of the same tar.
    HardLink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

/// From which image an entry comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub kind: LayerKind,
    /// Whether the profile lets it replace the init, the kernel or burin's own files.
    pub replaces_system: bool,
}

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Keep,
    /// A whiteout: what lies at this path, from layers below, goes.
    Remove(String),
    /// An opaque marker: everything in this directory from layers below goes.
    Empty(String),
    Drop(DropReason),
}

/// Why an entry is left out without making the image unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Device nodes and sockets: the kernel makes the first, running programs the second.
    Special,
    /// Content of a place that is a file system of its own at run time.
    Volatile,
    /// machine-id and SSH host keys: a host makes its own.
    HostSecret,
    /// Accounts, `os-release`, package databases, caches of an image that is not the OS.
    ForOsOnly,
    /// Index of kernel modules: made anew for the merged tree.
    ModuleIndex,
    /// Lies where burin puts its own files.
    Reserved,
}

/// Why an image is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("an entry has no path")]
    EmptyPath,
    #[error("`{0}` leaves the image with `..`")]
    Traversal(String),
    #[error("`{0}` is not UTF-8 or has a control character in it")]
    Encoding(String),
    #[error("`{0}...` is too long or too deep")]
    TooLong(String),
    #[error("whiteout `{0}` names nothing")]
    Whiteout(String),
    #[error(
        "`{path}` belongs to the {what}; only a layer with `replaces_system: true` may replace or remove it"
    )]
    Protected { path: String, what: Protected },
    #[error("hard link `{path}` points to `{target}`, which is not a file of the same layer")]
    HardLink { path: String, target: String },
    #[error(
        "`{path}` lies below `{parent}`, which is a {found} and not a directory; map it with `files:`"
    )]
    Parent {
        path: String,
        parent: String,
        found: EntryKind,
    },
    #[error("`{path}` is a {new} here and a {below} in an image below; map it with `files:`")]
    Conflict {
        path: String,
        new: EntryKind,
        below: EntryKind,
    },
    #[error("`{0}` occurs twice in one layer")]
    Duplicate(String),
    #[error("the layer has more than {MAX_ENTRIES} entries")]
    TooMany,
}

/// What must not be replaced unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protected {
    Init,
    Kernel,
    Burin,
}

impl fmt::Display for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "init",
            Self::Kernel => "kernel",
            Self::Burin => "agent",
        })
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
            Self::File => "file",
            Self::Symlink => "symbolic link",
            Self::HardLink => "hard link",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "pipe",
            Self::Socket => "socket",
        })
    }
}

/// The path of a tar entry as all rules want it: no slash at either end, no `.` parts. The root
/// itself is the empty text.
///
/// # Errors
/// `..`, bytes that are not UTF-8, control characters, a path or name that is too long.
pub fn normalize(path: &[u8]) -> Result<String, Refusal> {
    let lossy = || -> String { String::from_utf8_lossy(path).chars().take(80).collect() };
    if path.is_empty() {
        return Err(Refusal::EmptyPath);
    }
    if path.len() > MAX_PATH {
        return Err(Refusal::TooLong(lossy()));
    }
    let text = std::str::from_utf8(path).map_err(|_| Refusal::Encoding(lossy()))?;
    if text.chars().any(char::is_control) {
        return Err(Refusal::Encoding(text.escape_debug().take(80).collect()));
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(Refusal::Traversal(text.to_owned())),
            part if part.len() > MAX_NAME => return Err(Refusal::TooLong(lossy())),
            part => parts.push(part),
        }
    }
    if parts.len() > MAX_DEPTH {
        return Err(Refusal::TooLong(lossy()));
    }
    Ok(parts.join("/"))
}

/// Decides about one entry of an image's tar by itself. `path` is [`normalize`]d.
///
/// # Errors
/// A whiteout without a name, and whatever would replace or remove a protected file.
pub fn classify(path: &str, kind: EntryKind, origin: Origin) -> Result<Decision, Refusal> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if let Some(hidden) = name.strip_prefix(".wh.") {
        return whiteout(path, parent, hidden, origin);
    }
    if matches!(
        kind,
        EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Socket
    ) {
        return Ok(Decision::Drop(DropReason::Special));
    }
    if let Some(reason) = dropped(path, kind, origin.kind) {
        return Ok(Decision::Drop(reason));
    }
    match is_protected(path) {
        // Directories only lead to what is protected; replacing one by something else is refused
        // by `settle`.
        Some(what) if kind != EntryKind::Directory && !may_replace(origin) => {
            Err(Refusal::Protected {
                path: path.to_owned(),
                what,
            })
        }
        Some(Protected::Burin) if kind != EntryKind::Directory && !origin.replaces_system => {
            Ok(Decision::Drop(DropReason::Reserved))
        }
        _ => Ok(Decision::Keep),
    }
}

fn may_replace(origin: Origin) -> bool {
    origin.kind == LayerKind::Os || origin.replaces_system
}

/// `.wh.name` removes `name`, `.wh..wh..opq` empties its directory (OCI image specification,
/// "Whiteouts"). Other `.wh..wh.*` are AUFS's own records and mean nothing.
fn whiteout(path: &str, parent: &str, hidden: &str, origin: Origin) -> Result<Decision, Refusal> {
    let target = match hidden {
        ".wh..opq" => parent.to_owned(),
        aufs if aufs.starts_with(".wh.") => return Ok(Decision::Drop(DropReason::Special)),
        "" | "." | ".." => return Err(Refusal::Whiteout(path.to_owned())),
        name if parent.is_empty() => name.to_owned(),
        name => format!("{parent}/{name}"),
    };
    // Inside the OS image whiteouts are the builder's business; across images they are not.
    if !may_replace(origin)
        && let Some(what) = is_protected(&target).or_else(|| covers_protected(&target))
    {
        return Err(Refusal::Protected { path: target, what });
    }
    if hidden == ".wh..opq" {
        Ok(Decision::Empty(target))
    } else {
        Ok(Decision::Remove(target))
    }
}

/// Accounts, identity of the system, package databases and caches: they describe one whole image,
/// and the OS image's stay in force.
const FOR_OS_ONLY: [&str; 24] = [
    "etc/passwd",
    "etc/passwd-",
    "etc/group",
    "etc/group-",
    "etc/shadow",
    "etc/shadow-",
    "etc/gshadow",
    "etc/gshadow-",
    "etc/subuid",
    "etc/subgid",
    "etc/os-release",
    "usr/lib/os-release",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "etc/fstab",
    "etc/mtab",
    "etc/ld.so.cache",
    "var/lib/dpkg",
    "var/lib/rpm",
    "usr/lib/sysimage/rpm",
    "var/lib/apt",
    "var/lib/pacman",
    "lib/apk",
];

/// Directories that are file systems of their own, or empty, at run time.
const VOLATILE: [&str; 5] = ["dev", "proc", "sys", "run", "tmp"];

fn dropped(path: &str, kind: EntryKind, layer: LayerKind) -> Option<DropReason> {
    let below = |folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    if VOLATILE.iter().any(|v| below(v)) {
        return Some(DropReason::Volatile);
    }
    if matches!(path, "etc/machine-id" | "var/lib/dbus/machine-id") || is_host_key(path) {
        return Some(DropReason::HostSecret);
    }
    if layer == LayerKind::Os {
        return None;
    }
    if FOR_OS_ONLY.iter().any(|f| path == *f || below(f)) || below("var/cache") {
        return Some(DropReason::ForOsOnly);
    }
    (kind != EntryKind::Directory && is_module_index(path)).then_some(DropReason::ModuleIndex)
}

/// `etc/ssh/ssh_host_rsa_key`, `...key.pub`.
fn is_host_key(path: &str) -> bool {
    path.strip_prefix("etc/ssh/ssh_host_")
        .is_some_and(|rest| rest.ends_with("_key") || rest.ends_with("_key.pub"))
}

/// What depmod(8) writes. `modules.order` and `modules.builtin*` come with the kernel.
fn is_module_index(path: &str) -> bool {
    const NAMES: [&str; 5] = ["dep", "alias", "softdep", "symbols", "devname"];
    let Some(rest) = path
        .strip_prefix("usr/lib/modules/")
        .or_else(|| path.strip_prefix("lib/modules/"))
    else {
        return false;
    };
    let Some((_, file)) = rest.split_once('/') else {
        return false;
    };
    file.strip_prefix("modules.")
        .map(|n| n.strip_suffix(".bin").unwrap_or(n))
        .is_some_and(|n| NAMES.contains(&n))
}

/// Whether an extended attribute of an entry is taken.
///
/// `trusted.overlay.*` and `user.overlay.*` steer overlayfs and would let an image redirect paths of
/// the mounted root; every other `trusted.*` is the machine's own business.
pub fn keeps_xattr(name: &str) -> bool {
    !name.starts_with("trusted.") && !name.starts_with("user.overlay.")
}

/// Whether two entries are of one image or of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    SameImage,
    OtherImage,
}

/// What happens where an entry meets another one of a layer below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// A directory over a directory: the newer owner, mode and attributes, the content of both.
    Merge,
    /// The entry below goes, with all its content if it is a directory.
    Replace,
}

/// Decides about an entry that meets one of a layer below.
///
/// Across images a directory never takes the place of something else or the other way round: `/bin`
/// of an upstream image over a merged `/usr` would take away every program of the OS. Inside one
/// image it is the builder's decision.
///
/// # Errors
/// [`Refusal::Conflict`].
pub fn settle(
    path: &str,
    new: EntryKind,
    below: EntryKind,
    from: Below,
) -> Result<Settled, Refusal> {
    use EntryKind::Directory;
    match (new, below, from) {
        (Directory, Directory, _) => Ok(Settled::Merge),
        (Directory, _, Below::OtherImage) | (_, Directory, Below::OtherImage) => {
            Err(Refusal::Conflict {
                path: path.to_owned(),
                new,
                below,
            })
        }
        _ => Ok(Settled::Replace),
    }
}

/// Checks a hard link: its target must be a file that the same layer's tar already had.
/// `target` is as the tar has it, `same_layer` says what the layer has at a normalized path.
/// Returns the normalized target.
///
/// # Errors
/// [`Refusal::HardLink`], or a target that is not a path.
pub fn hard_link(
    path: &str,
    target: &[u8],
    same_layer: &dyn Fn(&str) -> Option<EntryKind>,
) -> Result<String, Refusal> {
    let target = normalize(target)?;
    match same_layer(&target) {
        Some(EntryKind::File | EntryKind::HardLink) if target != path => Ok(target),
        _ => Err(Refusal::HardLink {
            path: path.to_owned(),
            target,
        }),
    }
}

/// Which layers of an image are new to a stack: those of an image built FROM the OS that are already
/// there are not applied twice. Both lists hold diff-ids, lowest first.
pub fn new_layers<'a>(stack: &[String], image: &'a [String]) -> &'a [String] {
    // Only a common beginning is the same base: a layer that comes later may undo another.
    let common = image.iter().zip(stack).take_while(|(a, b)| a == b).count();
    &image[common..]
}

#[cfg(test)]
mod tests;
