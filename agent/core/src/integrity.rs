//! What the kernel's log says about damaged content.

/// A message of the kernel about content that is not what its digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Tells one damaged file from another, so that each is reported once.
    pub what: String,
    /// The kernel's own words.
    pub message: String,
}

/// Longest message that is kept, bytes: the kernel prints two digests of 128 hex digits.
const MAX_MESSAGE: usize = 1024;

/// Reads one record of `/dev/kmsg`, `priority,sequence,time,flags;message`; none when it tells of no
/// damage or was written by a program (a program cannot claim that the disk is bad).
#[must_use]
pub fn damage(record: &str) -> Option<Damage> {
    let (head, body) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    // The facility stands above the lowest three bits; 0 is the kernel.
    if priority >> 3 != 0 {
        return None;
    }
    let message: String = body.lines().next()?.chars().take(MAX_MESSAGE).collect();
    let what = subject(&message)?.to_owned();
    Some(Damage { what, message })
}

/// What a message is about, if it is about damage.
fn subject(message: &str) -> Option<&str> {
    // fs/verity/verify.c: `fs-verity (sda2, inode 12): FILE CORRUPTED! pos=0, level=-1, ...`.
    if let Some(rest) = message.strip_prefix("fs-verity (") {
        let (file, told) = rest.split_once("): ")?;
        return told.starts_with("FILE CORRUPTED").then_some(file);
    }
    // fs/overlayfs/util.c: `overlayfs: lower file '...' has the wrong fs-verity digest`.
    if message.starts_with("overlayfs: ") && message.contains("fs-verity digest") {
        return Some(message);
    }
    // fs/erofs: `erofs (device ...): corrupted ...`.
    let erofs = message.starts_with("erofs (device") || message.starts_with("erofs: (device");
    (erofs && message.contains("corrupted")).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CORRUPTED: &str = "3,812,99,-;fs-verity (nvme0n1p2, inode 131): FILE CORRUPTED! pos=4096, level=-1, want_hash=sha512:aa, real_hash=sha512:bb\n SUBSYSTEM=block\n";

    #[test]
    fn a_file_that_fails_its_digest_is_told_with_its_inode() {
        let found = damage(CORRUPTED).unwrap();
        assert_eq!(found.what, "nvme0n1p2, inode 131");
        assert!(found.message.ends_with("real_hash=sha512:bb"));
    }

    #[test]
    fn other_layers_of_the_root_are_understood_too() {
        for text in [
            "4,1,1,-;overlayfs: lower file 'a/b' has the wrong fs-verity digest",
            "3,1,1,-;erofs (device loop0): corrupted compressed data",
        ] {
            assert!(damage(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_program_and_an_ordinary_message_report_nothing() {
        let forged = CORRUPTED.replacen("3,", "14,", 1);
        for text in [
            forged.as_str(),
            "6,1,1,-;EXT4-fs (sda2): mounted filesystem",
            "6,1,1,-;fs-verity: sha512 using implementation \"sha512-generic\"",
            "junk",
            "",
        ] {
            assert_eq!(damage(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_record_is_read_without_panic(record in "(?s).{0,200}") {
            if let Some(found) = damage(&record) {
                prop_assert!(found.message.len() <= MAX_MESSAGE * 4);
            }
        }
    }
}
