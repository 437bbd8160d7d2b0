//! Names as Palette Edge forms them: `<prefix>-<UUID without dashes>`, from files of the owner's
//! choice, or random. The published rules are those of its installer reference.

use regex_lite::{Regex, RegexBuilder};

use super::{Skipped, Source, serial_junk, uuid_junk};

/// What the prefix is when user-data names none.
const PREFIX: &str = "edge";
/// Where the UUID is read when user-data names no file.
pub const DEFAULT_PATH: &str = "/sys/class/dmi/id/product_uuid";
/// Longest name in characters; longer ones are cut.
const LONGEST: usize = 128;
/// Longest pattern in bytes, and how large it may become when compiled.
const PATTERN: usize = 512;
const COMPILED: usize = 256 * 1024;
/// What a name never holds.
const FORBIDDEN: &str = "/?#&+%,$~!@*(){}|=;:<>'.^\"";

/// How user-data wants the host to be named. The default is: not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    /// `stylus.site.name: $random`.
    pub random: bool,
    pub prefix: Option<String>,
    /// Tried in their order.
    pub paths: Vec<UidPath>,
}

/// A file that names the host, and which part of it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UidPath {
    pub path: String,
    /// A pattern that [`pattern`] accepts; the first match is taken.
    pub regex: Option<String>,
}

/// Compiles a pattern of user-data. RE2's syntax but for Unicode classes (`\p{..}`) and `\Q..\E`;
/// as in RE2, time grows with the length of the text only.
///
/// # Errors
/// What is wrong with the pattern.
pub fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > PATTERN {
        return Err(format!(
            "it has {} bytes; at most {PATTERN} fit",
            text.len()
        ));
    }
    RegexBuilder::new(text)
        .size_limit(COMPILED)
        .build()
        .map_err(|err| err.to_string())
}

/// Whether a text can be a name as it stands.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= LONGEST && text.chars().all(is_allowed)
}

fn is_allowed(c: char) -> bool {
    !FORBIDDEN.contains(c) && !c.is_whitespace() && !c.is_control()
}

impl Naming {
    /// The name, and whether it came from chance. None when user-data wants none, or when no file
    /// holds a usable one: `skipped` says why. `read` gives the text of a file.
    pub(super) fn resolve(
        &self,
        read: &dyn Fn(&str) -> Option<String>,
        random: [u8; 16],
        skipped: &mut Vec<Skipped>,
    ) -> Option<(Source, String)> {
        if self.random {
            return Some((Source::Random, self.prefixed(&hex::encode(random))));
        }
        if self.prefix.is_none() && self.paths.is_empty() {
            return None;
        }
        let default = [UidPath {
            path: DEFAULT_PATH.to_owned(),
            regex: None,
        }];
        let paths = match self.paths.is_empty() {
            true => &default[..],
            false => &self.paths,
        };
        for path in paths {
            match path.take(read) {
                Ok(value) => return Some((Source::Override, self.prefixed(&value))),
                Err(reason) => skipped.push(Skipped {
                    source: Source::Override,
                    value: path.path.clone(),
                    reason,
                }),
            }
        }
        None
    }

    /// A value that brings the prefix along does not get it twice.
    fn prefixed(&self, value: &str) -> String {
        let prefix = format!("{}-", self.prefix.as_deref().unwrap_or(PREFIX));
        let value = value.strip_prefix(prefix.as_str()).unwrap_or(value);
        format!("{prefix}{value}").chars().take(LONGEST).collect()
    }
}

impl UidPath {
    fn take(&self, read: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        let text = read(&self.path).ok_or("it cannot be read")?;
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        let found = match &self.regex {
            None => text,
            Some(regex) => pattern(regex)?
                .find(text)
                .ok_or("nothing in it matches the pattern")?
                .as_str(),
        };
        match uuid_junk(found) {
            None => return Ok(found.to_ascii_lowercase().replace('-', "")),
            Some("not a UUID") => {}
            Some(junk) => return Err(junk.to_owned()),
        }
        let name: String = found.chars().filter(|c| is_allowed(*c)).collect();
        match serial_junk(found).or_else(|| serial_junk(&name)) {
            None => Ok(name),
            Some(junk) => Err(junk.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
