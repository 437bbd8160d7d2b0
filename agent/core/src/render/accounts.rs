//! The account files of an image: passwd(5), group(5), shadow(5), gshadow(5).

use std::collections::BTreeSet;

use thiserror::Error;

use crate::userdata::Secret;

/// The longest file of accounts that is read, bytes. A plain server has 4 KiB.
const MAX_BYTES: usize = 1 << 20;
/// The longest name: `LOGIN_NAME_MAX` of Linux without its end.
const MAX_NAME: usize = 255;

/// Why a file of accounts is not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccountsError {
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Lines count from 1. Their text is not shown: it may hold a hash.
    #[error("line {line} {why}")]
    Line { line: usize, why: &'static str },
}

/// One line of a file of accounts.
pub trait Entry: Sized {
    /// Reads the fields of a line, which were separated by colons.
    ///
    /// # Errors
    /// What is wrong with the line.
    fn from_fields(fields: &[&str]) -> Result<Self, &'static str>;
    /// The fields as they are written.
    fn fields(&self) -> Vec<String>;
    /// Whom the line is about.
    fn name(&self) -> &str;
}

/// A line of `passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    /// `x`: the hash is in `shadow`.
    pub password: Secret,
    pub uid: u32,
    pub gid: u32,
    pub gecos: String,
    pub home: String,
    pub shell: String,
}

/// A line of `group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub password: Secret,
    pub gid: u32,
    pub members: Vec<String>,
}

/// A line of `shadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    pub name: String,
    pub hash: Secret,
    /// Last change, minimum, maximum, warning, inactivity, expiry (days), reserved.
    pub ageing: [String; 7],
}

/// A line of `gshadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupShadow {
    pub name: String,
    pub password: Secret,
    pub administrators: String,
    pub members: Vec<String>,
}

/// Reads a file of accounts. Empty lines and comments are left out, as the C library does.
///
/// # Errors
/// At the first line that is not as its manual page says, and for a name that is there twice.
pub fn read<T: Entry>(text: &str) -> Result<Vec<T>, AccountsError> {
    if text.len() > MAX_BYTES {
        return Err(AccountsError::TooLong);
    }
    let mut names = BTreeSet::new();
    let mut entries = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why| AccountsError::Line { line: number, why };
        if line.chars().any(char::is_control) {
            return Err(wrong("has a control character"));
        }
        let fields: Vec<&str> = line.split(':').collect();
        let entry = T::from_fields(&fields).map_err(wrong)?;
        if !is_name(entry.name()) {
            return Err(wrong("has no usable name"));
        }
        if !names.insert(entry.name().to_owned()) {
            return Err(wrong("has a name that an earlier line has"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The text of a file of accounts.
#[must_use]
pub fn write<T: Entry>(entries: &[T]) -> String {
    let lines = entries.iter().map(|entry| entry.fields().join(":") + "\n");
    lines.collect()
}

/// `+` and `-` begin the old references to network directories, which no image of today has.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with(['+', '-'])
}

/// Canonical decimal. The highest number means "no change" to chown(2).
fn number(text: &str) -> Result<u32, &'static str> {
    let number: u32 = text
        .parse()
        .map_err(|_| "has a number that is none or too big")?;
    if number == u32::MAX || number.to_string() != text {
        return Err("has a number that is not written plainly");
    }
    Ok(number)
}

fn list(text: &str) -> Vec<String> {
    let names = text.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

impl Entry for Account {
    fn from_fields(fields: &[&str]) -> Result<Self, &'static str> {
        let [name, password, uid, gid, gecos, home, shell] = fields else {
            return Err("has not seven fields");
        };
        Ok(Self {
            name: (*name).to_owned(),
            password: Secret::new(*password),
            uid: number(uid)?,
            gid: number(gid)?,
            gecos: (*gecos).to_owned(),
            home: (*home).to_owned(),
            shell: (*shell).to_owned(),
        })
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.password.expose().to_owned(),
            self.uid.to_string(),
            self.gid.to_string(),
            self.gecos.clone(),
            self.home.clone(),
            self.shell.clone(),
        ]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Entry for Group {
    fn from_fields(fields: &[&str]) -> Result<Self, &'static str> {
        let [name, password, gid, members] = fields else {
            return Err("has not four fields");
        };
        Ok(Self {
            name: (*name).to_owned(),
            password: Secret::new(*password),
            gid: number(gid)?,
            members: list(members),
        })
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.password.expose().to_owned(),
            self.gid.to_string(),
            self.members.join(","),
        ]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Entry for Shadow {
    fn from_fields(fields: &[&str]) -> Result<Self, &'static str> {
        let [name, hash, ageing @ ..] = fields else {
            return Err("has not nine fields");
        };
        let ageing: [&str; 7] = ageing.try_into().map_err(|_| "has not nine fields")?;
        Ok(Self {
            name: (*name).to_owned(),
            hash: Secret::new(*hash),
            ageing: ageing.map(str::to_owned),
        })
    }

    fn fields(&self) -> Vec<String> {
        let mut fields = vec![self.name.clone(), self.hash.expose().to_owned()];
        fields.extend(self.ageing.iter().cloned());
        fields
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Entry for GroupShadow {
    fn from_fields(fields: &[&str]) -> Result<Self, &'static str> {
        let [name, password, administrators, members] = fields else {
            return Err("has not four fields");
        };
        Ok(Self {
            name: (*name).to_owned(),
            password: Secret::new(*password),
            administrators: (*administrators).to_owned(),
            members: list(members),
        })
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.password.expose().to_owned(),
            self.administrators.clone(),
            self.members.join(","),
        ]
    }

    fn name(&self) -> &str {
        &self.name
    }
}
