//! The users of the installed host.

use super::{Secret, UserData, foreign};
use crate::yaml::{Map, Node, Reader};

/// A user of the installed host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
    pub ssh_authorized_keys: Vec<String>,
    /// crypt(5) hash; none locks the password.
    pub password_hash: Option<Secret>,
    /// Text of a sudoers rule after the name, for example `ALL=(ALL) NOPASSWD:ALL`.
    pub sudo: Option<String>,
    pub shell: Option<String>,
}

/// A list of cloud-init's users: mappings, or the word `default`, which means nothing here.
pub(super) fn read(top: &mut Map<'_>, key: &'static str, data: &mut UserData, reader: &mut Reader) {
    let name = top.name(key);
    for node in reader.list(top, key) {
        if node.text() == Some("default") {
            continue;
        }
        if let Some(user) = user(node, &name, reader) {
            // Later lists win: burin's own come after Palette's.
            data.users.retain(|u| u.name != user.name);
            data.users.push(user);
        }
    }
}

fn user(node: &Node, name: &str, reader: &mut Reader) -> Option<User> {
    let mut map = reader.map(node, name)?;
    let mut user = User::default();
    match map.get("name") {
        None => reader.error(node, "a user has no name", "`name: ...`"),
        Some(at) => {
            user.name = reader.text_of(at, &map.name("name")).unwrap_or_default();
            if !is_user_name(&user.name) {
                reader.error(
                    at,
                    format!("`{}` is not a user name", user.name),
                    "a small letter or `_`, then at most 31 small letters, digits, `_`, `-`",
                );
            }
        }
    }
    groups_and_keys(&mut map, &mut user, reader);
    password(&mut map, &mut user, reader);
    sudo_and_shell(&mut map, &mut user, reader);
    map.idle(&foreign::USER, reader);
    map.finish_foreign(reader);
    Some(user)
}

fn groups_and_keys(map: &mut Map<'_>, user: &mut User, reader: &mut Reader) {
    for (text, at) in reader.texts(map, "groups") {
        for group in super::network::split(&text) {
            if is_user_name(&group) {
                user.groups.push(group);
            } else {
                reader.error(
                    at,
                    format!("`{group}` is not a group name"),
                    "for example `sudo`",
                );
            }
        }
    }
    for (text, at) in reader.texts(map, "ssh_authorized_keys") {
        if is_ssh_key(&text) {
            user.ssh_authorized_keys.push(text.trim().to_owned());
        } else if text.starts_with("github:") || text.starts_with("gitlab:") {
            reader.warn(
                at,
                "keys are not fetched from the network; write the key itself",
            );
        } else {
            reader.error(
                at,
                "this is not a public SSH key",
                "`ssh-ed25519 AAAA... name` on one line",
            );
        }
    }
}

fn sudo_and_shell(map: &mut Map<'_>, user: &mut User, reader: &mut Reader) {
    if let Some(at) = map.get("sudo") {
        match reader.text_of(at, &map.name("sudo")).as_deref() {
            Some("false" | "False") | None => {}
            Some(rule) if rule.contains(['\n', '\\', '#']) => {
                reader.error(
                    at,
                    "this is not one sudo rule",
                    "for example `ALL=(ALL) NOPASSWD:ALL`",
                );
            }
            Some("true" | "True") => user.sudo = Some("ALL=(ALL) ALL".to_owned()),
            Some(rule) => user.sudo = Some(rule.to_owned()),
        }
    }
    if let Some(at) = map.get("shell")
        && let Some(shell) = reader.text_of(at, &map.name("shell"))
    {
        if shell.starts_with('/') && !shell.contains([':', '\n', ' ']) {
            user.shell = Some(shell);
        } else {
            reader.error(
                at,
                format!("`{shell}` is not a shell"),
                "an absolute path like /bin/bash",
            );
        }
    }
}

fn password(map: &mut Map<'_>, user: &mut User, reader: &mut Reader) {
    let lock = reader.boolean(map, "lock_passwd").unwrap_or(false);
    for key in ["passwd", "hashed_passwd"] {
        let Some(at) = map.get(key) else { continue };
        let Some(text) = reader.text_of(at, &map.name(key)) else {
            continue;
        };
        // `$id$...`: every method but the ancient DES (crypt(5)). A colon would break /etc/shadow.
        let is_hash = text.starts_with('$')
            && text.matches('$').count() >= 3
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !is_hash {
            reader.warn(at, format!(
                "`{}` is not a hash; the user gets no password. Write what `mkpasswd -m sha-512` prints",
                map.name(key)
            ));
        } else if !lock {
            user.password_hash = Some(Secret::new(text));
        }
    }
}

/// What useradd(8) recommends.
pub(super) fn is_user_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

fn is_ssh_key(text: &str) -> bool {
    const KINDS: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    let text = text.trim();
    let mut words = text.split(' ');
    KINDS.iter().any(|kind| text.starts_with(kind))
        && words.nth(1).is_some_and(|body| {
            body.len() >= 16
                && body
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        })
        && !text.chars().any(char::is_control)
}
