//! Which libraries a program asks the dynamic loader for, read from its ELF header.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
/// Where a Debian package tree keeps shared libraries, in order of search.
const LIBRARY_FOLDERS: [&str; 4] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/lib",
];

/// What one ELF file needs at run time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Absolute path of the dynamic loader; `None` for a library or a static program.
    pub interpreter: Option<String>,
    /// Names of libraries (`DT_NEEDED`).
    pub libraries: Vec<String>,
}

/// Reads what a 64-bit little-endian ELF file needs.
///
/// # Errors
/// The bytes are no such file, or a table points outside of them.
pub fn needs(bytes: &[u8]) -> Result<Needs> {
    ensure!(
        bytes.starts_with(b"\x7fELF\x02\x01"),
        "not a 64-bit little-endian ELF file"
    );
    let start = usize::try_from(u64_at(bytes, 32)?)?;
    let count = usize::from(u16_at(bytes, 56)?);
    let mut needs = Needs::default();
    let mut segments = Vec::new();
    let mut dynamic = None;
    for index in 0..count {
        let at = start
            .checked_add(index * 56)
            .context("program headers out of range")?;
        let (offset, address) = (u64_at(bytes, at + 8)?, u64_at(bytes, at + 16)?);
        let size = u64_at(bytes, at + 32)?;
        match u32_at(bytes, at)? {
            PT_LOAD => segments.push((offset, address, size)),
            PT_DYNAMIC => dynamic = Some((offset, size)),
            PT_INTERP => needs.interpreter = Some(string_at(bytes, usize::try_from(offset)?)?),
            _ => {}
        }
    }
    let Some((offset, size)) = dynamic else {
        return Ok(needs);
    };
    let mut names = Vec::new();
    let mut table = None;
    for index in 0..size / 16 {
        let at = usize::try_from(offset + index * 16)?;
        let (tag, value) = (u64_at(bytes, at)?, u64_at(bytes, at + 8)?);
        match tag {
            0 => break,
            DT_NEEDED => names.push(value),
            DT_STRTAB => table = Some(value),
            _ => {}
        }
    }
    let address = table.context("a dynamic section without a string table")?;
    let found = segments
        .iter()
        .find(|(_, at, size)| (*at..at.saturating_add(*size)).contains(&address));
    let (offset, at, _) = found.context("the string table is in no loaded segment")?;
    let strings = address - at + offset;
    for name in names {
        let place = strings
            .checked_add(name)
            .context("a library name out of range")?;
        needs
            .libraries
            .push(string_at(bytes, usize::try_from(place)?)?);
    }
    Ok(needs)
}

/// The dynamic loader and every library that `programs` (absolute paths in `root`) need, as a
/// map from absolute path to the file in `root` that belongs there.
///
/// # Errors
/// A program or a library is missing in `root` or is no ELF file.
pub fn closure(root: &Path, programs: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut queue = Vec::new();
    for program in programs {
        queue.push(root.join(program.trim_start_matches('/')));
    }
    while let Some(file) = queue.pop() {
        let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let needs = needs(&bytes).with_context(|| format!("reading {}", file.display()))?;
        let interpreter = needs.interpreter.into_iter();
        for name in needs.libraries.into_iter().chain(interpreter) {
            let (path, source) =
                locate(root, &name).with_context(|| format!("{} needs {name}", file.display()))?;
            if found.insert(path, source.clone()).is_none() {
                queue.push(source);
            }
        }
    }
    Ok(found)
}

fn locate(root: &Path, name: &str) -> Result<(String, PathBuf)> {
    let base = name.rsplit('/').next().unwrap_or(name);
    for folder in LIBRARY_FOLDERS {
        let file = root.join(folder).join(base);
        if file.exists() {
            let path = if name.starts_with('/') {
                name.to_owned()
            } else {
                format!("/{folder}/{base}")
            };
            return Ok((path, file));
        }
    }
    anyhow::bail!(
        "no library {base} in {}; a package is missing there",
        root.display()
    )
}

fn string_at(bytes: &[u8], at: usize) -> Result<String> {
    let rest = bytes.get(at..).context("a string out of range")?;
    let end = rest
        .iter()
        .position(|byte| *byte == 0)
        .context("a string without an end")?;
    Ok(std::str::from_utf8(&rest[..end])?.to_owned())
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    part.copied().context("the file is cut short")
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(array_at(bytes, at)?))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(array_at(bytes, at)?))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    Ok(u64::from_le_bytes(array_at(bytes, at)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_real_program_names_its_loader_and_the_c_library() {
        let needs = needs(&std::fs::read("/bin/ls").unwrap()).unwrap();
        assert!(needs.interpreter.unwrap().contains("ld-linux"), "no loader");
        assert!(
            needs.libraries.iter().any(|name| name == "libc.so.6"),
            "{:?}",
            needs.libraries
        );
    }

    proptest! {
        #[test]
        fn damaged_files_are_errors_never_panics(at in 0usize..4096, value in any::<u8>(), cut in 0usize..9000) {
            let mut bytes = std::fs::read("/bin/ls").unwrap();
            bytes[at] = value;
            bytes.truncate(bytes.len() - cut);
            if let Ok(needs) = needs(&bytes) {
                prop_assert!(needs.libraries.len() < 100_000);
            }
        }
    }
}
