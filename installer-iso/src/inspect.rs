//! What an ISO holds, read from the ISO alone.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cpio::{Archive, Content};
use crate::esp;
use crate::iso::{self, BootImage};
use crate::manifest::{self, Manifest, digest};

/// Words in a key whose value is never shown.
const SECRET_WORDS: [&str; 9] = [
    "token",
    "pass",
    "secret",
    "key",
    "credential",
    "auth",
    "psk",
    "content",
    "proxy",
];

/// One file of the boot partition.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// Path on the boot partition.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// What `burin-iso inspect` tells.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// Label of the ISO 9660 volume.
    pub volume: String,
    /// Size of the ISO in bytes.
    pub bytes: u64,
    /// Place of the boot partition.
    pub boot_image: BootImage,
    /// Versions, and digests of the inputs.
    pub manifest: Manifest,
    /// Files of the boot partition.
    pub files: Vec<Held>,
    /// Boot entries: file name to kernel command line.
    pub entries: BTreeMap<String, String>,
    /// Number of kernel modules by the first folders of their path.
    pub drivers: BTreeMap<String, usize>,
    /// The built-in user-data with every secret value hidden; none if there is none.
    pub user_data: Option<String>,
    /// What contradicts the manifest; empty when all is well.
    pub problems: Vec<String>,
}

/// Reads an ISO.
///
/// # Errors
/// The file is no burin ISO, or is cut.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let mut iso = File::open(path).context("opening the ISO")?;
    let bytes = iso.metadata().context("reading the ISO's size")?.len();
    let volume = iso::label(&mut iso)?;
    let boot_image = iso::boot_image(&mut iso)?;
    let files = esp::read(
        iso::read_boot_image(&mut iso, &boot_image)?,
        boot_image.length,
    )?;
    let text = files
        .get(manifest::PATH)
        .context("no manifest: not an ISO of burin")?;
    let manifest: Manifest = serde_json::from_slice(text).context("reading the manifest")?;
    let digests = files
        .iter()
        .map(|(path, bytes)| (path.clone(), digest(bytes)))
        .collect();
    let problems = manifest.differences(&digests);
    let held = |(path, bytes): (&String, &Vec<u8>)| Held {
        path: path.clone(),
        bytes: bytes.len() as u64,
        sha256: digests[path].clone(),
    };
    let initrd = files
        .get("burin/initrd")
        .context("no initramfs on the boot partition")?;
    let area = files
        .get("burin/user-data.cpio")
        .context("no user-data area on the boot partition")?;
    Ok(Inspection {
        volume,
        bytes,
        boot_image,
        files: files.iter().map(held).collect(),
        entries: entries(&files),
        drivers: count(&leading_archive(initrd)?),
        user_data: user_data(area)?,
        problems,
        manifest,
    })
}

/// The plain archive of modules that an initramfs of burin starts with; the packed part behind
/// it begins with zstd's magic number.
fn leading_archive(initrd: &[u8]) -> Result<Archive> {
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let trailer = initrd.windows(10).position(|part| part == b"TRAILER!!!");
    let trailer = trailer.context("the initramfs has no archive of modules")?;
    let rest = initrd[trailer..]
        .windows(4)
        .position(|part| part == ZSTD)
        .map_or(initrd.len(), |at| trailer + at);
    Archive::unpack(&initrd[..rest]).context("reading the archive of modules")
}

fn count(modules: &Archive) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (path, _) in modules.entries().filter(|(path, _)| path.contains(".ko")) {
        let inner = path.split_once("/kernel/").map_or(path, |(_, inner)| inner);
        let group: Vec<&str> = inner
            .split('/')
            .take(if inner.starts_with("drivers/") { 2 } else { 1 })
            .collect();
        *counts.entry(group.join("/")).or_insert(0) += 1;
    }
    counts
}

fn entries(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (path, bytes) in files {
        let Some(name) = path.strip_prefix("loader/entries/") else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        let options = text.lines().find_map(|line| line.strip_prefix("options "));
        found.insert(name.to_owned(), options.unwrap_or_default().to_owned());
    }
    found
}

fn user_data(area: &[u8]) -> Result<Option<String>> {
    let archive = Archive::unpack(area).context("reading the user-data area")?;
    let Some(entry) = archive.get("etc/burin/user-data") else {
        return Ok(None);
    };
    let Content::File(bytes) = &entry.content else {
        return Ok(None);
    };
    Ok(Some(mask(&String::from_utf8_lossy(bytes))))
}

/// Hides every value under a key that speaks of a secret; what cannot be read is hidden whole.
fn mask(text: &str) -> String {
    const UNREADABLE: &str = "<hidden: not readable as YAML>\n";
    let Ok(mut value) = serde_yaml::from_str::<serde_yaml::Value>(text) else {
        return UNREADABLE.to_owned();
    };
    hide(&mut value, false);
    serde_yaml::to_string(&value).unwrap_or_else(|_| UNREADABLE.to_owned())
}

fn hide(value: &mut serde_yaml::Value, secret: bool) {
    match value {
        serde_yaml::Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                let key = key.as_str().unwrap_or_default().to_lowercase();
                hide(
                    value,
                    secret || SECRET_WORDS.iter().any(|word| key.contains(word)),
                );
            }
        }
        serde_yaml::Value::Sequence(list) => list.iter_mut().for_each(|value| hide(value, secret)),
        serde_yaml::Value::Null | serde_yaml::Value::Bool(_) => {}
        other if secret => *other = serde_yaml::Value::String("<hidden>".to_owned()),
        _ => {}
    }
}

impl Inspection {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mib = self.bytes as f64 / f64::from(1 << 20);
        // Writing to a String cannot fail.
        let mut line = |args: std::fmt::Arguments<'_>| {
            if text.write_fmt(args).is_ok() {
                text.push('\n');
            }
        };
        line(format_args!(
            "volume     {}, {mib:.1} MiB, burin {}",
            self.volume, self.manifest.version
        ));
        line(format_args!("kernel     {}", self.manifest.kernel));
        let image = &self.boot_image;
        line(format_args!(
            "boot image {} bytes at {}",
            image.length, image.offset
        ));
        for (name, options) in &self.entries {
            line(format_args!("entry      {name}: {options}"));
        }
        for file in &self.files {
            line(format_args!(
                "file       {} {:>10} {}",
                file.sha256, file.bytes, file.path
            ));
        }
        let total: usize = self.drivers.values().sum();
        let groups: Vec<String> = self
            .drivers
            .iter()
            .map(|(group, count)| format!("{group} {count}"))
            .collect();
        line(format_args!("drivers    {total}: {}", groups.join(", ")));
        match &self.user_data {
            None => line(format_args!("user-data  none")),
            Some(data) => {
                line(format_args!("user-data"));
                data.lines()
                    .for_each(|data| line(format_args!("           {data}")));
            }
        }
        for problem in &self.problems {
            line(format_args!("PROBLEM    {problem}"));
        }
        if self.problems.is_empty() {
            line(format_args!(
                "manifest   every file has the digest it should have"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let text = "hub:\n  url: https://h\n  token: BRN1-abc\nregistries:\n- host: r\n  password: p1\n\
                    write_files:\n- path: /x\n  content: |\n    c1\nusers:\n- ssh_authorized_keys: [k1]\n";
        let shown = mask(text);
        for hidden in ["BRN1-abc", "p1", "c1", "k1"] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
        assert!(
            shown.contains("url: https://h") && shown.contains("path: /x"),
            "{shown}"
        );
        assert!(!mask("token: [BRN1-abc").contains("BRN1"));
    }

    #[test]
    fn modules_are_counted_by_folder() {
        let mut archive = Archive::default();
        for path in [
            "drivers/net/a.ko.xz",
            "drivers/net/x/b.ko.xz",
            "fs/ext4/ext4.ko.xz",
        ] {
            archive.file(&format!("usr/lib/modules/6/kernel/{path}"), 0o644, *b"m");
        }
        let mut bytes = archive.pack().unwrap();
        bytes.extend([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4]);
        let counts = count(&leading_archive(&bytes).unwrap());
        assert_eq!(
            counts,
            [("drivers/net".to_owned(), 2), ("fs".to_owned(), 1)].into()
        );
    }
}
