//! Files and folders of steps.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::{LAYER, Step};
use crate::persistent::PERSISTENT;
use crate::userdata::Secret;
use crate::userdata::users::is_user_name;
use crate::yaml::{Map, Node, Reader, Value};

/// The largest file outside of `/etc`, bytes: it is one line of tmpfiles.d(5), four bytes for one.
const MOST: usize = 64 * 1024;

/// A file to write at each boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageFile {
    /// Absolute.
    pub path: String,
    pub content: Secret,
    pub mode: u32,
    pub owner: Owner,
}

/// A folder to make at each boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Absolute.
    pub path: String,
    pub mode: u32,
    pub owner: Owner,
}

/// User and group, by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub user: String,
    pub group: String,
}

impl Owner {
    /// Whether it is root in both.
    #[must_use]
    pub fn is_root(&self) -> bool {
        [&self.user, &self.group]
            .iter()
            .all(|who| matches!(who.as_str(), "0" | "root"))
    }
}

impl StageFile {
    /// The path below `/etc`, when the file can be rendered with the rest of it. The other places
    /// are mounted later.
    #[must_use]
    pub fn below_etc(&self) -> Option<&str> {
        below_etc(&self.path)
    }
}

pub(super) fn below_etc(path: &str) -> Option<&str> {
    let inside = |top: &str| {
        path[1..]
            .strip_prefix(top)
            .is_some_and(|r| r.starts_with('/'))
    };
    let mounted = PERSISTENT.iter().any(|one| inside(one.path));
    path.strip_prefix("/etc/").filter(|_| !mounted)
}

/// Places that can be written to at boot, besides `/etc` and `install.bind_mounts`.
const WRITABLE: [&str; 6] = [
    "/var/",
    "/run/",
    "/tmp/",
    "/root/",
    "/opt/cni/bin/",
    "/etc/",
];
/// Files of `/etc` that burin renders from other keys, and what to write instead.
const OURS: [(&str, &str); 10] = [
    ("passwd", "`users`"),
    ("shadow", "`users`"),
    ("group", "`users`"),
    ("gshadow", "`users`"),
    ("hostname", "`hostname`"),
    ("resolv.conf", "`burin.network.dns`"),
    ("machine-id", "no such file: it is the host's own"),
    (
        "systemd/system/burin.service",
        "no such file: it is burin's own",
    ),
    ("burin/proxy.env", "`burin.network.proxy`"),
    ("burin/stages", "no such file: it is burin's own"),
];

pub(super) fn read(map: &mut Map<'_>, step: &mut Step, bound: &[String], reader: &mut Reader) {
    let name = map.name("files");
    for node in reader.list(map, "files") {
        step.files.extend(file(node, &name, bound, reader));
    }
    let name = map.name("directories");
    for node in reader.list(map, "directories") {
        step.folders.extend(folder(node, &name, bound, reader));
    }
}

pub(super) fn file(
    node: &Node,
    name: &str,
    bound: &[String],
    reader: &mut Reader,
) -> Option<StageFile> {
    let mut map = reader.map(node, name)?;
    let path = path(&mut map, node, bound, reader);
    let content = content(&mut map, reader);
    let mode = mode(&mut map, 0o644, reader);
    let owner = owner(&mut map, reader);
    map.idle(
        &[
            ("ownerstring", "write `owner_string`"),
            ("permission", "write `permissions`"),
            ("defer", "files are there before anything starts"),
        ],
        reader,
    );
    map.finish_foreign(reader);
    let file = StageFile {
        path: path?,
        content: content?,
        mode,
        owner,
    };
    if file.below_etc().is_none() && file.content.expose().len() > MOST {
        reader.error(
            node,
            format!("`{}` is too long for a file outside of /etc", file.path),
            format!("at most {MOST} bytes, or {LAYER}"),
        );
        return None;
    }
    Some(file)
}

fn folder(node: &Node, name: &str, bound: &[String], reader: &mut Reader) -> Option<Folder> {
    let mut map = reader.map(node, name)?;
    let path = path(&mut map, node, bound, reader);
    let mode = mode(&mut map, 0o755, reader);
    let owner = owner(&mut map, reader);
    map.finish_foreign(reader);
    Some(Folder {
        path: path?,
        mode,
        owner,
    })
}

fn path(map: &mut Map<'_>, node: &Node, bound: &[String], reader: &mut Reader) -> Option<String> {
    let Some(at) = map.get("path") else {
        reader.error(
            node,
            format!("`{}` is missing", map.name("path")),
            "`path: /etc/...`",
        );
        return None;
    };
    let path = reader.text_of(at, &map.name("path"))?;
    let plain = path
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\\%\"'".contains(&b));
    let mut parts = path.split('/').skip(1);
    if !path.starts_with('/') || !plain || parts.any(|part| matches!(part, "" | "." | "..")) {
        let message = format!("`{path}` is not a plain absolute path");
        reader.error(at, message, "for example `/etc/motd`");
        return None;
    }
    let inside = |top: &&str| path.starts_with(*top);
    let mounted = bound.iter().any(|top| path.starts_with(&format!("{top}/")));
    if !mounted && !WRITABLE.iter().any(inside) {
        let message = format!("`{path}` cannot be written on an installed host");
        reader.error(
            at,
            message,
            format!("a path below /etc or /var, or {LAYER}"),
        );
        return None;
    }
    let ours = OURS.iter().find(|(own, _)| {
        let rest = path
            .strip_prefix("/etc/")
            .and_then(|below| below.strip_prefix(own));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if let Some((_, instead)) = ours {
        reader.error(at, format!("`{path}` is rendered by burin"), *instead);
        return None;
    }
    Some(path)
}

/// Text, or text in base64. Never in a message: it may be a secret.
fn content(map: &mut Map<'_>, reader: &mut Reader) -> Option<Secret> {
    let encoding = reader_text(map, "encoding");
    let node = map.get("content");
    let text = match node {
        Some(node) => reader.text_of(node, &map.name("content"))?,
        None => String::new(),
    };
    match encoding.as_deref() {
        None | Some("" | "text/plain") => {}
        Some("b64" | "base64") => {
            let plain: String = text.split_whitespace().collect();
            let bytes = BASE64.decode(plain).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            if let (None, Some(node)) = (&text, node) {
                let message = format!("`{}` is not text in base64", map.name("content"));
                reader.error(node, message, format!("text, or {LAYER}"));
            }
            return text.filter(|text| !text.contains('\0')).map(Secret::new);
        }
        Some(other) => {
            if let Some(at) = map.get("encoding") {
                let message = format!("`encoding: {other}` is not supported");
                reader.error(at, message, "no encoding, or `base64`");
            }
            return None;
        }
    }
    if let Some(node) = node
        && text.contains("{{")
        && text.contains("}}")
    {
        reader.warn(
            node,
            "templates are not filled in: the text is written as it stands",
        );
    }
    if text.contains('\0') {
        return None;
    }
    Some(Secret::new(text))
}

fn reader_text(map: &mut Map<'_>, key: &'static str) -> Option<String> {
    map.get(key).and_then(Node::text).map(str::to_owned)
}

/// `0644`, `"0644"`, or the same number in decimal, as programs print it.
fn mode(map: &mut Map<'_>, default: u32, reader: &mut Reader) -> u32 {
    const DECIMAL: [(&str, u32); 11] = [
        ("420", 0o644),
        ("384", 0o600),
        ("493", 0o755),
        ("511", 0o777),
        ("438", 0o666),
        ("436", 0o664),
        ("416", 0o640),
        ("448", 0o700),
        ("488", 0o750),
        ("292", 0o444),
        ("256", 0o400),
    ];
    let Some(node) = map.get("permissions") else {
        return default;
    };
    let text = node.text().unwrap_or_default();
    let octal = text.strip_prefix("0o").or(text.strip_prefix('0'));
    let quoted = matches!(&node.value, Value::Scalar { plain: false, .. });
    let found = match octal {
        Some("") => Some(default),
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None if quoted => u32::from_str_radix(text, 8).ok(),
        None => DECIMAL
            .iter()
            .find(|(decimal, _)| *decimal == text)
            .map(|(_, mode)| *mode),
    };
    match found {
        Some(mode) if mode <= 0o7777 => mode,
        _ => {
            let message = format!("`{}` is `{text}`", map.name("permissions"));
            reader.error(node, message, "an octal number, like `0644`");
            default
        }
    }
}

/// `owner` and `group` as numbers, or names: `owner_string: user:group`, `owner: user:group`.
fn owner(map: &mut Map<'_>, reader: &mut Reader) -> Owner {
    let mut owner = Owner {
        user: "root".to_owned(),
        group: "root".to_owned(),
    };
    let group = map.get("group");
    for key in ["owner", "owner_string"] {
        let Some(node) = map.get(key) else { continue };
        let text = node.text().unwrap_or_default();
        if text.is_empty() {
            continue;
        }
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if !is_who(user) || !(group.is_empty() || is_who(group)) {
            let message = format!("`{}` is `{text}`", map.name(key));
            reader.error(node, message, "a user, or `user:group`");
            continue;
        }
        user.clone_into(&mut owner.user);
        if !group.is_empty() {
            group.clone_into(&mut owner.group);
        }
    }
    if let Some(node) = group {
        match node.text().filter(|text| is_who(text)) {
            Some(text) => text.clone_into(&mut owner.group),
            None => reader.error(
                node,
                format!("`{}` is not a group", map.name("group")),
                "`0`",
            ),
        }
    }
    owner
}

fn is_who(text: &str) -> bool {
    text.parse::<u16>().is_ok() || is_user_name(text)
}
