//! Which libraries a program asks the dynamic loader for, read from its ELF header (elf(5)).

use thiserror::Error;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
/// Sizes of one program header and of one entry of the dynamic section, bytes.
const HEADER: u64 = 56;
const ENTRY: u64 = 16;

/// What one ELF file needs at run time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Absolute path of the dynamic loader; `None` for a library or a static program.
    pub interpreter: Option<String>,
    /// Names of libraries (`DT_NEEDED`).
    pub libraries: Vec<String>,
}

/// Why a file could not be read as a program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfError {
    #[error("it is not a 64-bit little-endian ELF file")]
    Other,
    #[error("a table or a name lies outside of the file: it is cut short or damaged")]
    Outside,
    #[error("a name in it is not UTF-8")]
    Name,
    #[error("its dynamic section has no string table")]
    NoStrings,
}

/// Reads what a 64-bit little-endian ELF file needs.
///
/// # Errors
/// The bytes are no such file, or a table points outside of them.
pub fn needs(bytes: &[u8]) -> Result<Needs, ElfError> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err(ElfError::Other);
    }
    let start = u64_at(bytes, 32)?;
    let count = u64::from(u16_at(bytes, 56)?);
    let mut needs = Needs::default();
    let mut segments = Vec::new();
    let mut dynamic = None;
    for index in 0..count {
        let at = add(start, index * HEADER)?;
        let (offset, address) = (u64_at(bytes, add(at, 8)?)?, u64_at(bytes, add(at, 16)?)?);
        let size = u64_at(bytes, add(at, 32)?)?;
        match u32_at(bytes, at)? {
            PT_LOAD => segments.push((offset, address, size)),
            PT_DYNAMIC => dynamic = Some((offset, size)),
            PT_INTERP => needs.interpreter = Some(string_at(bytes, offset)?),
            _ => {}
        }
    }
    let Some((offset, size)) = dynamic else {
        return Ok(needs);
    };
    let (names, table) = dynamic_section(bytes, offset, size)?;
    let found = segments
        .iter()
        .find(|(_, at, size)| (*at..at.saturating_add(*size)).contains(&table));
    let (offset, at, _) = found.ok_or(ElfError::NoStrings)?;
    let strings = add(table - at, *offset)?;
    for name in names {
        needs.libraries.push(string_at(bytes, add(strings, name)?)?);
    }
    Ok(needs)
}

/// Offsets of the needed names in the string table, and the table's address.
fn dynamic_section(bytes: &[u8], offset: u64, size: u64) -> Result<(Vec<u64>, u64), ElfError> {
    let mut names = Vec::new();
    let mut table = None;
    for index in 0..size / ENTRY {
        let at = add(offset, index * ENTRY)?;
        let (tag, value) = (u64_at(bytes, at)?, u64_at(bytes, add(at, 8)?)?);
        match tag {
            0 => break,
            DT_NEEDED => names.push(value),
            DT_STRTAB => table = Some(value),
            _ => {}
        }
    }
    Ok((names, table.ok_or(ElfError::NoStrings)?))
}

fn add(a: u64, b: u64) -> Result<u64, ElfError> {
    a.checked_add(b).ok_or(ElfError::Outside)
}

fn rest(bytes: &[u8], at: u64) -> Result<&[u8], ElfError> {
    let at = usize::try_from(at).map_err(|_| ElfError::Outside)?;
    bytes.get(at..).ok_or(ElfError::Outside)
}

fn string_at(bytes: &[u8], at: u64) -> Result<String, ElfError> {
    let rest = rest(bytes, at)?;
    let end = rest.iter().position(|byte| *byte == 0);
    let name = rest.get(..end.ok_or(ElfError::Outside)?);
    let name = std::str::from_utf8(name.unwrap_or_default()).map_err(|_| ElfError::Name)?;
    Ok(name.to_owned())
}

fn array_at<const N: usize>(bytes: &[u8], at: u64) -> Result<[u8; N], ElfError> {
    let first = rest(bytes, at)?.first_chunk::<N>();
    first.copied().ok_or(ElfError::Outside)
}

fn u16_at(bytes: &[u8], at: u64) -> Result<u16, ElfError> {
    Ok(u16::from_le_bytes(array_at(bytes, at)?))
}

fn u32_at(bytes: &[u8], at: u64) -> Result<u32, ElfError> {
    Ok(u32::from_le_bytes(array_at(bytes, at)?))
}

fn u64_at(bytes: &[u8], at: u64) -> Result<u64, ElfError> {
    Ok(u64::from_le_bytes(array_at(bytes, at)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file of one loaded segment with a loader's name and one needed library.
    fn small() -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(64, 0);
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[56..58].copy_from_slice(&3u16.to_le_bytes());
        let mut header = |kind: u32, offset: u64, size: u64| {
            let at = file.len();
            file.resize(at + 56, 0);
            file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            file[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            file[at + 16..at + 24].copy_from_slice(&(0x1000 + offset).to_le_bytes());
            file[at + 32..at + 40].copy_from_slice(&size.to_le_bytes());
        };
        header(PT_LOAD, 0, 400);
        header(PT_INTERP, 280, 8);
        header(PT_DYNAMIC, 232, 48);
        for (tag, value) in [(DT_NEEDED, 8u64), (DT_STRTAB, 0x1000 + 280), (0, 0)] {
            file.extend(tag.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        file.extend(b"/lib/ld\0libc.so.6\0");
        file
    }

    #[test]
    fn a_program_names_its_loader_and_its_libraries() {
        let needs = needs(&small()).unwrap();
        assert_eq!(needs.interpreter.as_deref(), Some("/lib/ld"));
        assert_eq!(needs.libraries, ["libc.so.6"]);
    }

    #[test]
    fn what_is_no_program_or_cut_is_refused() {
        assert_eq!(needs(b"#!/bin/sh"), Err(ElfError::Other));
        let file = small();
        assert_eq!(needs(&file[..file.len() - 1]), Err(ElfError::Outside));
        assert_eq!(needs(&file[..100]), Err(ElfError::Outside));
    }

    proptest! {
        #[test]
        fn damaged_files_are_errors_never_panics(
            at in 0usize..290, value: [u8; 8], cut in 0usize..290,
        ) {
            let mut file = small();
            file[at..at + 8].copy_from_slice(&value);
            file.truncate(file.len() - cut);
            if let Ok(needs) = needs(&file) {
                prop_assert!(needs.libraries.len() <= file.len());
            }
        }
    }
}
