//! The digests of everything an ISO holds, kept on the ISO itself.
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where the manifest lies on the boot partition.
pub const PATH: &str = "burin/manifest.json";

/// `burin/manifest.json`: what the boot partition holds and what it was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of burin-iso that built the ISO.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// Times in the ISO, seconds since 1970.
    pub epoch: u64,
    /// SHA-256 of every other file of the boot partition, by path.
    pub files: BTreeMap<String, String>,
    /// SHA-256 of every input file, by a name that does not depend on where it lay.
    pub inputs: BTreeMap<String, String>,
}

/// SHA-256 in lower-case hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Manifest {
    /// The file's bytes, the same for the same content.
    ///
    /// # Errors
    /// None that these types can cause.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).context("writing the manifest")?;
        text.push(b'\n');
        Ok(text)
    }

    /// Compares with the files found: one line for each file that differs, is missing, or is
    /// not named.
    pub fn differences(&self, found: &BTreeMap<String, String>) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, want) in &self.files {
            match found.get(path) {
                None => lines.push(format!("{path} is missing")),
                Some(have) if have != want => {
                    lines.push(format!("{path} has digest {have}, expected {want}"))
                }
                Some(_) => {}
            }
        }
        let unknown = found
            .keys()
            .filter(|path| *path != PATH && !self.files.contains_key(*path));
        lines.extend(unknown.map(|path| format!("{path} is not named in the manifest")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_missing_and_an_unnamed_file_are_each_told() {
        let map = |items: &[(&str, &str)]| -> BTreeMap<String, String> {
            items
                .iter()
                .map(|(path, sum)| ((*path).into(), (*sum).into()))
                .collect()
        };
        let manifest = Manifest {
            files: map(&[("a", "1"), ("b", "2"), ("c", "3")]),
            ..Manifest::default()
        };
        let found = map(&[("a", "1"), ("b", "9"), ("d", "4"), (PATH, "5")]);
        assert_eq!(
            manifest.differences(&found),
            [
                "b has digest 9, expected 2",
                "c is missing",
                "d is not named in the manifest"
            ]
        );
    }
}
