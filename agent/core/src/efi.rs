//! UEFI boot variables (UEFI specification 2.10, section 3.1.3 "Load Options" and section 10
//! "Device Path Protocol"): bytes only, the variables themselves are the machine's business.

use thiserror::Error;

/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;
/// The longest load option that is read, bytes: firmware variables are small.
const MAX_OPTION: usize = 16 * 1024;

/// A boot entry of the firmware that starts a file from a GPT partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOption {
    /// Shown in the firmware's menu.
    pub description: String,
    pub partition: u32,
    /// In logical blocks of the disk.
    pub start: u64,
    pub blocks: u64,
    /// PARTUUID.
    pub guid: String,
    /// With backslashes, for example `\EFI\burin\BOOTX64.EFI`.
    pub path: String,
}

/// Why bytes are not a load option of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OptionError {
    #[error("the load option is cut short")]
    Short,
    #[error("`{0}` is no GUID")]
    Guid(&'static str),
    #[error("the load option does not start a file from a GPT partition")]
    Other,
}

impl LoadOption {
    /// The bytes of `Boot####`.
    ///
    /// # Errors
    /// A GUID of the wrong form, or texts too long for the format.
    pub fn encode(&self) -> Result<Vec<u8>, OptionError> {
        let mut paths = vec![4, 1, 42, 0];
        paths.extend(self.partition.to_le_bytes());
        paths.extend(self.start.to_le_bytes());
        paths.extend(self.blocks.to_le_bytes());
        paths.extend(guid_bytes(&self.guid).ok_or(OptionError::Guid("the partition"))?);
        // Partition format GPT, signature type GUID.
        paths.extend([2, 2]);
        let file = wide(&self.path);
        let length = u16::try_from(file.len() + 4).map_err(|_| OptionError::Short)?;
        paths.extend([4, 4]);
        paths.extend(length.to_le_bytes());
        paths.extend(file);
        // End of the entire device path.
        paths.extend([0x7f, 0xff, 4, 0]);
        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        let length = u16::try_from(paths.len()).map_err(|_| OptionError::Short)?;
        bytes.extend(length.to_le_bytes());
        bytes.extend(wide(&self.description));
        bytes.extend(paths);
        Ok(bytes)
    }

    /// Reads what [`Self::encode`] writes, also with more device path nodes around it.
    ///
    /// # Errors
    /// Anything else: entries of other systems are not ours to understand.
    pub fn decode(bytes: &[u8]) -> Result<Self, OptionError> {
        if bytes.len() > MAX_OPTION {
            return Err(OptionError::Other);
        }
        let length = usize::from(u16::from_le_bytes(array(bytes, 4)?));
        let (description, after) = text(bytes.get(6..).ok_or(OptionError::Short)?)?;
        let mut nodes = bytes
            .get(6 + after..6 + after + length)
            .ok_or(OptionError::Short)?;
        let mut option = None;
        let mut path = None;
        while nodes.len() >= 4 {
            let size = usize::from(u16::from_le_bytes(array(nodes, 2)?));
            let node = nodes
                .get(..size)
                .filter(|node| node.len() >= 4)
                .ok_or(OptionError::Short)?;
            match (node[0], node[1]) {
                (4, 1) if node.len() >= 42 && node[40] == 2 && node[41] == 2 => option = Some(node),
                (4, 4) => path = Some(text(&node[4..])?.0),
                (0x7f, _) => break,
                _ => {}
            }
            nodes = &nodes[size..];
        }
        let node = option.ok_or(OptionError::Other)?;
        Ok(Self {
            description,
            partition: u32::from_le_bytes(array(node, 4)?),
            start: u64::from_le_bytes(array(node, 8)?),
            blocks: u64::from_le_bytes(array(node, 16)?),
            guid: guid_text(array(node, 24)?),
            path: path.ok_or(OptionError::Other)?,
        })
    }
}

/// The numbers in `BootOrder`.
#[must_use]
pub fn parse_order(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// The bytes of `BootOrder` with `first` in front, each number once.
#[must_use]
pub fn order_with_first(order: &[u16], first: u16) -> Vec<u8> {
    std::iter::once(first)
        .chain(order.iter().copied().filter(|number| *number != first))
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// The number in the name of a boot variable: `Boot001A` is 26.
#[must_use]
pub fn boot_number(name: &str) -> Option<u16> {
    let hex = name.strip_prefix("Boot")?;
    (hex.len() == 4
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)))
    .then(|| u16::from_str_radix(hex, 16).ok())
    .flatten()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], OptionError> {
    let part = bytes.get(at..at + N).ok_or(OptionError::Short)?;
    part.try_into().map_err(|_| OptionError::Short)
}

/// UTF-16 with its zero, as the firmware and the boot loader keep texts.
#[must_use]
pub fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain(std::iter::once(0))
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// A UTF-16 text that ends with a zero, and the bytes that it takes.
fn text(bytes: &[u8]) -> Result<(String, usize), OptionError> {
    let units: Vec<u16> = parse_order(bytes)
        .into_iter()
        .take_while(|unit| *unit != 0)
        .collect();
    let taken = (units.len() + 1) * 2;
    if taken > bytes.len() {
        return Err(OptionError::Short);
    }
    Ok((String::from_utf16_lossy(&units), taken))
}

/// A GUID as UEFI stores it: the first three fields little-endian.
fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let hex = text.replace('-', "");
    let mut bytes: [u8; 16] = hex::decode(hex).ok()?.try_into().ok()?;
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Some(bytes)
}

fn guid_text(mut bytes: [u8; 16]) -> String {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    let hex = hex::encode(bytes);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn option() -> LoadOption {
        LoadOption {
            description: "burin".into(),
            partition: 1,
            start: 2048,
            blocks: 2_097_152,
            guid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b".into(),
            path: "\\EFI\\burin\\BOOTX64.EFI".into(),
        }
    }

    #[test]
    fn an_option_has_the_bytes_of_the_specification() {
        let bytes = option().encode().unwrap();
        assert_eq!(&bytes[..4], [1, 0, 0, 0], "active");
        assert_eq!(&bytes[6..18], b"b\0u\0r\0i\0n\0\0\0");
        let node = &bytes[18..60];
        assert_eq!(&node[..4], [4, 1, 42, 0]);
        assert_eq!(
            &node[24..32],
            [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]
        );
        assert_eq!(&bytes[bytes.len() - 4..], [0x7f, 0xff, 4, 0]);
        assert_eq!(LoadOption::decode(&bytes).unwrap(), option());
    }

    #[test]
    fn the_new_entry_comes_first_and_once() {
        assert_eq!(parse_order(&order_with_first(&[3, 1, 2], 1)), [1, 3, 2]);
        assert_eq!(parse_order(&order_with_first(&[], 7)), [7]);
    }

    #[test]
    fn only_boot_variables_have_a_number() {
        for (name, want) in [
            ("Boot0001", Some(1)),
            ("Boot001A", Some(26)),
            ("BootOrder", None),
            ("Boot001a", None),
            ("BootNext", None),
        ] {
            assert_eq!(boot_number(name), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _result = LoadOption::decode(&bytes);
        }

        #[test]
        fn cut_or_changed_options_never_panic(at in 0usize..150, value: u8, cut in 0usize..150) {
            let mut bytes = option().encode().unwrap();
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            bytes.truncate(cut.max(1));
            let _result = LoadOption::decode(&bytes);
        }
    }
}
