//! Extended headers: records `<length> <key>=<value>\n`.

use std::collections::BTreeMap;

/// How star, GNU tar, Go and Docker name extended attributes.
const XATTR: &str = "SCHILY.xattr.";

/// What extended headers said, as far as burin looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) sparse: bool,
}

impl Pax {
    pub(super) fn read(&mut self, mut data: &[u8]) -> Result<(), &'static str> {
        while !data.is_empty() {
            let space = data.iter().take(20).position(|b| *b == b' ');
            let space = space.ok_or("a pax record has no length")?;
            let length: usize =
                decimal(&data[..space]).ok_or("a pax record's length is no number")?;
            if length > data.len() || length < space + 3 || data[length - 1] != b'\n' {
                return Err("a pax record has the wrong length");
            }
            let record = &data[space + 1..length - 1];
            let equals = record.iter().position(|b| *b == b'=');
            let equals = equals.ok_or("a pax record has no value")?;
            let key = std::str::from_utf8(&record[..equals]).map_err(|_| "a pax key is no text")?;
            self.take(key, &record[equals + 1..])?;
            data = &data[length..];
        }
        Ok(())
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Result<(), &'static str> {
        match key {
            "path" => self.path = named(value)?,
            "linkpath" => self.link = named(value)?,
            "size" => self.size = Some(decimal(value).ok_or("a pax size is no number")?),
            "uid" => self.uid = Some(decimal(value).ok_or("a pax owner is no number")?),
            "gid" => self.gid = Some(decimal(value).ok_or("a pax group is no number")?),
            "mtime" => self.mtime = Some(seconds(value).ok_or("a pax time is no number")?),
            _ if key.starts_with("GNU.sparse.") => self.sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.insert(name.to_string(), value.to_vec());
                }
            }
        }
        Ok(())
    }

    /// Fills what `one` does not say with what these global records say.
    pub(super) fn overlay(&self, one: &mut Self) {
        let global = self.clone();
        one.path = one.path.take().or(global.path);
        one.link = one.link.take().or(global.link);
        one.size = one.size.or(global.size);
        one.uid = one.uid.or(global.uid);
        one.gid = one.gid.or(global.gid);
        one.mtime = one.mtime.or(global.mtime);
        one.sparse |= global.sparse;
        for (name, value) in global.xattrs {
            one.xattrs.entry(name).or_insert(value);
        }
    }
}

/// A name; an empty one takes an earlier one back.
fn named(value: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if value.contains(&0) {
        return Err("a pax name has a zero byte");
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// The whole seconds of `-12.5`, rounded down as the kernel keeps times.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let below = text.starts_with('-') && fraction.bytes().any(|b| b != b'0');
    if below {
        whole.checked_sub(1)
    } else {
        Some(whole)
    }
}
