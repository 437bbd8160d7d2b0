//! The users of the installed host.

use super::{Secret, UserData, foreign};
use crate::yaml::{Map, Node, Problem, Reader, Value};

/// A user of the installed host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
    pub ssh_authorized_keys: Vec<String>,
    /// None: no password fits.
    pub password: Option<Password>,
    /// Text of a sudoers rule after the name, for example `ALL=(ALL) NOPASSWD:ALL`.
    pub sudo: Option<String>,
    pub shell: Option<String>,
}

/// How a password is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// As crypt(5) has it.
    Hash(Secret),
    /// As a person types it.
    Plain(Secret),
}

const USER_NAME: &str = "a small letter or `_`, then at most 31 small letters, digits, `_`, `-`";

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

/// `users` of a step, by name, and `authorized_keys`, by user: both add to what is known of them.
pub(super) fn of_stage(map: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    if let Some(users) = reader.map_at(map, "users") {
        for entry in users.entries() {
            let name = users.name(&entry.key);
            let mut user = User {
                name: entry.key.clone(),
                ..User::default()
            };
            if !is_user_name(&user.name) {
                let message = format!("`{}` is not a user name", user.name);
                reader.push(Problem::error(entry.line, entry.column, message).expected(USER_NAME));
                continue;
            }
            if !entry.value.is_null()
                && let Some(mut map) = reader.map(&entry.value, &name)
            {
                map.get("name");
                settings(map, &mut user, reader);
            }
            add(user, data);
        }
    }
    if let Some(keys) = reader.map_at(map, "authorized_keys") {
        for entry in keys.entries() {
            let name = keys.name(&entry.key);
            let mut user = User {
                name: entry.key.clone(),
                ..User::default()
            };
            let texts = match &entry.value.value {
                Value::Sequence(items) => items.as_slice(),
                _ => std::slice::from_ref(&entry.value),
            };
            for node in texts {
                if let Some(text) = reader.text_of(node, &name) {
                    key(&text, node, &mut user, reader);
                }
            }
            if is_user_name(&user.name) {
                add(user, data);
            } else {
                let message = format!("`{}` is not a user name", user.name);
                reader.push(Problem::error(entry.line, entry.column, message).expected(USER_NAME));
            }
        }
    }
}

/// Adds a user, or adds to one.
fn add(user: User, data: &mut UserData) {
    let Some(old) = data.users.iter_mut().find(|old| old.name == user.name) else {
        data.users.push(user);
        return;
    };
    for (to, from) in [
        (&mut old.groups, user.groups),
        (&mut old.ssh_authorized_keys, user.ssh_authorized_keys),
    ] {
        for one in from {
            if !to.contains(&one) {
                to.push(one);
            }
        }
    }
    if user.password.is_some() {
        old.password = user.password;
    }
    old.sudo = user.sudo.or(old.sudo.take());
    old.shell = user.shell.or(old.shell.take());
}

fn user(node: &Node, name: &str, reader: &mut Reader) -> Option<User> {
    let mut map = reader.map(node, name)?;
    let mut user = User::default();
    match map.get("name") {
        None => reader.error(node, "a user has no name", "`name: ...`"),
        Some(at) => {
            user.name = reader.text_of(at, &map.name("name")).unwrap_or_default();
            if !is_user_name(&user.name) {
                reader.error(at, format!("`{}` is not a user name", user.name), USER_NAME);
            }
        }
    }
    settings(map, &mut user, reader);
    Some(user)
}

fn settings(mut map: Map<'_>, user: &mut User, reader: &mut Reader) {
    groups_and_keys(&mut map, user, reader);
    password(&mut map, user, reader);
    sudo_and_shell(&mut map, user, reader);
    map.idle(&foreign::USER, reader);
    map.finish_foreign(reader);
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
        key(&text, at, user, reader);
    }
}

fn key(text: &str, at: &Node, user: &mut User, reader: &mut Reader) {
    if is_ssh_key(text) {
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
        if lock || text.is_empty() {
            continue;
        }
        user.password = Some(if is_hash {
            Password::Hash(Secret::new(text))
        } else {
            let name = map.name(key);
            reader.warn(at, format!(
                "`{name}` is plain text, and everybody who has the file can read it: write what `mkpasswd -m sha-512` prints"
            ));
            Password::Plain(Secret::new(text))
        });
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
