//! Cuts one tar archive into several layers without touching a header: members are copied as
//! they are, with the extension headers that stand before them.
use anyhow::{Context, Result, ensure};

const BLOCK: usize = 512;

/// Moves the members whose path starts with one of `prefixes` (as `./usr/lib/modules`) to a
/// second archive; returns the rest and the moved.
///
/// # Errors
/// The archive is cut short or a header is damaged.
pub(crate) fn split(archive: &[u8], prefixes: &[&str]) -> Result<(Vec<u8>, Vec<u8>)> {
    let (mut rest, mut moved) = (Vec::new(), Vec::new());
    let mut at = 0;
    let mut start = 0;
    loop {
        let header = archive.get(at..at + BLOCK);
        let header = header.context("the archive ends without its end mark")?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let header = tar::Header::from_byte_slice(header);
        let size = usize::try_from(header.entry_size().context("a header without a size")?)?;
        let end = at + BLOCK + size.next_multiple_of(BLOCK);
        ensure!(
            end <= archive.len(),
            "the archive is cut short at byte {at}"
        );
        let kind = header.entry_type();
        at = end;
        // These describe the member behind them and travel with it.
        if kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink() {
            continue;
        }
        let path = header.path_bytes();
        let path = std::str::from_utf8(&path).context("a path is not UTF-8")?;
        let matches = prefixes.iter().any(|prefix| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let target = if matches { &mut moved } else { &mut rest };
        target.extend_from_slice(&archive[start..end]);
        start = end;
    }
    for part in [&mut rest, &mut moved] {
        part.resize(part.len() + 2 * BLOCK, 0);
    }
    Ok((rest, moved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::layout::{TreeFile, tar};

    fn paths(tar: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn members_move_whole_with_their_long_names() {
        let long = format!("boot/{}", "n".repeat(150));
        let archive = tar(&[
            TreeFile::plain("/boot2/keep", *b"k"),
            TreeFile::plain(&long, vec![7; 1000]),
            TreeFile::plain("/etc/x", *b"x"),
        ])
        .unwrap();
        let (rest, moved) = split(&archive, &["boot"]).unwrap();
        assert_eq!(paths(&rest), ["boot2/", "boot2/keep", "etc/", "etc/x"]);
        assert_eq!(paths(&moved), ["boot/", long.as_str()]);
        assert!(split(&archive[..archive.len() - 2048], &["boot"]).is_err());
    }
}
