//! The text of one boot entry.

use thiserror::Error;

use super::{BOOT_FILES, RECOVERY_SORT_KEY, SORT_KEY};

/// Largest entry that is read, bytes; ours are below 2 KiB.
const MAX_ENTRY: usize = 16 * 1024;

/// One Type #1 entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub title: String,
    /// Orders entries of one sort key, highest first.
    pub version: String,
    pub sort_key: String,
    /// Absolute path on the ESP.
    pub linux: String,
    /// Absolute paths on the ESP, in the order in which the kernel unpacks them.
    pub initrd: Vec<String>,
    pub options: String,
}

/// Why the text of an entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryError {
    #[error("the entry has {0} bytes, more than any of burin's")]
    TooLong(usize),
    #[error("line {line}: `{key}` is not a key that burin writes")]
    UnknownKey { line: usize, key: String },
    #[error("line {line}: `{key}` stands twice")]
    Twice { line: usize, key: String },
    #[error("line {line}: `{key}` has no value")]
    NoValue { line: usize, key: String },
    #[error("the entry has no `{0}`: it is incomplete, write it again")]
    Missing(&'static str),
}

impl Entry {
    /// The entry of a generation; `kernel` and `initramfs` are the SHA-256 digests, hex, under which
    /// the files lie on the ESP.
    #[must_use]
    pub fn generation(
        number: u64,
        release: &str,
        kernel: &str,
        initramfs: &str,
        options: &str,
    ) -> Self {
        Self {
            title: format!("burin {number} ({release})"),
            version: number.to_string(),
            sort_key: SORT_KEY.to_owned(),
            linux: kernel_path(kernel),
            initrd: vec![initramfs_path(initramfs)],
            options: options.to_owned(),
        }
    }

    /// The entry of the installer that lies on the disk. It is chosen when no generation is left.
    #[must_use]
    pub fn recovery(kernel: &str, initrds: &[String], options: &str) -> Self {
        Self {
            title: "burin recovery".to_owned(),
            version: "0".to_owned(),
            sort_key: RECOVERY_SORT_KEY.to_owned(),
            linux: kernel_path(kernel),
            initrd: initrds
                .iter()
                .map(|digest| initramfs_path(digest))
                .collect(),
            options: options.to_owned(),
        }
    }

    /// The text as the loader reads it. Control characters of a title become spaces: a profile's
    /// name may not add lines to an entry.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!(
            "title {}\nsort-key {}\nversion {}\nlinux {}\n",
            one_line(&self.title),
            one_line(&self.sort_key),
            one_line(&self.version),
            one_line(&self.linux),
        );
        for initrd in &self.initrd {
            text.push_str(&format!("initrd {}\n", one_line(initrd)));
        }
        text.push_str(&format!("options {}\n", one_line(&self.options)));
        text
    }

    /// Reads an entry that burin wrote.
    ///
    /// # Errors
    /// Anything that burin would not have written: the file was cut or changed by somebody else.
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        if text.len() > MAX_ENTRY {
            return Err(EntryError::TooLong(text.len()));
        }
        let mut single: [(&'static str, Option<String>); 5] = [
            ("title", None),
            ("sort-key", None),
            ("version", None),
            ("linux", None),
            ("options", None),
        ];
        let mut initrd = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let line = index + 1;
            let (key, value) = raw.split_once([' ', '\t']).unwrap_or((raw, ""));
            let (key, value) = (key.to_owned(), value.trim().to_owned());
            if key.is_empty() && value.is_empty() {
                continue;
            }
            if value.is_empty() {
                return Err(EntryError::NoValue { line, key });
            }
            if key == "initrd" {
                initrd.push(value);
                continue;
            }
            let Some(slot) = single.iter_mut().find(|(name, _)| *name == key) else {
                return Err(EntryError::UnknownKey { line, key });
            };
            if slot.1.replace(value).is_some() {
                return Err(EntryError::Twice { line, key });
            }
        }
        if initrd.is_empty() {
            return Err(EntryError::Missing("initrd"));
        }
        let [title, sort_key, version, linux, options] =
            single.map(|(name, value)| value.ok_or(EntryError::Missing(name)));
        Ok(Self {
            title: title?,
            version: version?,
            sort_key: sort_key?,
            linux: linux?,
            initrd,
            options: options?,
        })
    }
}

/// Absolute path of a kernel on the ESP, from its SHA-256 digest in hex.
#[must_use]
pub fn kernel_path(digest: &str) -> String {
    format!("/{BOOT_FILES}/{digest}.linux")
}

/// Absolute path of an initramfs on the ESP, from its SHA-256 digest in hex.
#[must_use]
pub fn initramfs_path(digest: &str) -> String {
    format!("/{BOOT_FILES}/{digest}.initrd")
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOLDEN: &str = "title burin 7 (retail 1.4.0)\n\
        sort-key burin-1-generation\n\
        version 7\n\
        linux /burin/aa.linux\n\
        initrd /burin/bb.initrd\n\
        options composefs.digest=v1-sha512-12:cc quiet\n";

    #[test]
    fn a_generation_renders_to_the_golden_entry_and_back() {
        let entry = Entry::generation(
            7,
            "retail 1.4.0",
            "aa",
            "bb",
            "composefs.digest=v1-sha512-12:cc quiet",
        );
        assert_eq!(entry.render(), GOLDEN);
        assert_eq!(Entry::parse(GOLDEN), Ok(entry));
    }

    #[test]
    fn the_recovery_entry_loads_user_data_after_the_installer() {
        let entry = Entry::recovery(
            "aa",
            &["bb".into(), "dd".into()],
            "burin.mode=recovery quiet",
        );
        assert!(
            entry
                .render()
                .contains("initrd /burin/bb.initrd\ninitrd /burin/dd.initrd\n")
        );
        assert_eq!(Entry::parse(&entry.render()), Ok(entry));
    }

    #[test]
    fn a_release_name_cannot_add_a_line() {
        let entry = Entry::generation(1, "x)\noptions init=/bin/sh", "aa", "bb", "quiet");
        let lines: Vec<String> = entry.render().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 6);
        assert!(!lines.iter().any(|line| line.starts_with("options init=")));
    }

    #[test]
    fn a_cut_or_foreign_entry_is_refused() {
        for (text, want) in [
            ("", EntryError::Missing("initrd")),
            (
                &GOLDEN[..GOLDEN.find("options").unwrap()],
                EntryError::Missing("options"),
            ),
            (
                "title a\ntitle b\n",
                EntryError::Twice {
                    line: 2,
                    key: "title".into(),
                },
            ),
            (
                "efi /x\n",
                EntryError::UnknownKey {
                    line: 1,
                    key: "efi".into(),
                },
            ),
            (
                "linux\n",
                EntryError::NoValue {
                    line: 1,
                    key: "linux".into(),
                },
            ),
        ] {
            assert_eq!(Entry::parse(text), Err(want), "{text:?}");
        }
        assert_eq!(
            Entry::parse(&"x".repeat(20_000)),
            Err(EntryError::TooLong(20_000))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).{0,400}") {
            if let Ok(entry) = Entry::parse(&text) {
                prop_assert_eq!(Entry::parse(&entry.render()), Ok(entry));
            }
        }
    }
}
