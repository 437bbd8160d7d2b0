//! Values that makers leave in place of a real one. Collected from FreeBSD's hostid script, the
//! black lists of OCS and GLPI, and values seen in other inventory programs.

/// UUIDs that many boxes share, upper case.
const UUIDS: [&str; 14] = [
    "03000200-0400-0500-0006-000700080009",
    "00020003-0004-0005-0006-000700080009",
    "00010203-0405-0607-0809-0A0B0C0D0E0F",
    "01020304-0506-0708-090A-0B0C0D0E0F10",
    "12345678-1234-5678-90AB-CDDEEFAABBCC",
    "12345678-1234-5678-1234-567812345678",
    "07090201-0103-0301-0807-060504030201",
    "11111111-2222-3333-4444-555555555555",
    "4C4C4544-0000-2010-8020-80C04F202020",
    "890E2D14-CACD-45D1-AE66-BC80E8BFEB0F",
    "8E275844-178F-44A8-ACEB-A7D7E5178C63",
    "DC698397-FA54-4CF2-82C8-B1B5307A6A7F",
    "DEADBEEF-DEAD-BEEF-DEAD-BEEFDEADBEEF",
    "00000000-0000-0000-0000-000000000001",
];

/// Serials that many boxes share, upper case.
const SERIALS: [&str; 55] = [
    "N/A",
    "NA",
    "NONE",
    "NULL",
    "(NULL)",
    "(NULL STRING)",
    "INVALID",
    "UNKNOWN",
    "UNKNOW",
    "NOT SPECIFIED",
    "NOT APPLICABLE",
    "NOT AVAILABLE",
    "NOT PRESENT",
    "NOT SETTABLE",
    "NOT DEFINED",
    "NOT SET",
    "UNDEFINED",
    "NO SERIAL",
    "NO SERIAL NUMBER",
    "DEFAULT",
    "DEFAULT STRING",
    "DEFAULT_STRING",
    "O.E.M.",
    "OEM",
    "SYSTEM SERIAL NUMBER",
    "SYSTEM SERIAL",
    "SERIAL NUMBER",
    "CHASSIS SERIAL NUMBER",
    "BASE BOARD SERIAL NUMBER",
    "BASEBOARD SERIAL NUMBER",
    "SERIAL NUMBER XXXXXX",
    "TYPE1 - SYSTEM SERIAL NUMBER",
    "TYPE2 - BOARD SERIAL NUMBER",
    ".PCIE2",
    "XXXXXXX",
    "NNNNNNN",
    "EVAL",
    "EVALUATION",
    "IATPASS",
    "DELL",
    "STANDARD",
    "TULIP COMPUTERS",
    "SYS-1234567890",
    "SYS-9876543210",
    "MB-1234567890",
    "MB-9876543210",
    "SN-12345",
    "SN-1234567890",
    "SN-123456FVGV3I0B8O5N6N7K",
    "0123456789ABCDEF",
    "123456789ABCDEF",
    "123456789000",
    "12345678901234567",
    "ABCDEFGHIJKLM",
    "EMPTY",
];

/// MACs that many cards share, lower case: all of OCS's list (the first thirteen), what Intel's and
/// other chips have while their EEPROM is blank, and what examples and test programs leave behind.
const MACS: [&str; 22] = [
    "00:00:00:00:00:00",
    "ff:ff:ff:ff:ff:ff",
    "44:45:53:54:00:00",
    "44:45:53:54:00:01",
    "44:45:53:54:61:6f",
    "00:01:02:7d:9b:1c",
    "00:08:a1:46:06:35",
    "00:08:a1:66:e2:1a",
    "00:09:dd:10:37:68",
    "00:0f:ea:9a:e2:f0",
    "00:10:5a:72:71:f3",
    "00:11:11:85:08:8b",
    "10:11:11:11:11:11",
    "50:50:54:50:30:30",
    "33:50:6f:45:30:30",
    "00:e0:06:09:55:66",
    "88:88:88:88:87:88",
    "88:88:88:88:88:87",
    "00:01:02:03:04:05",
    "00:11:22:33:44:55",
    "00:12:34:56:78:9a",
    "00:aa:bb:cc:dd:ee",
];

/// Why a SMBIOS UUID is not usable; none when it is.
pub fn uuid_junk(uuid: &str) -> Option<&'static str> {
    let upper = uuid.trim().to_ascii_uppercase();
    if upper.is_empty() {
        return Some("empty");
    }
    let groups: Vec<usize> = upper.split('-').map(str::len).collect();
    let hex: String = upper.chars().filter(|c| *c != '-').collect();
    if groups != [8, 4, 4, 4, 12] || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some("not a UUID");
    }
    let Ok(bytes) = hex::decode(&hex) else {
        return Some("not a UUID");
    };
    if bytes.iter().all(|b| *b == bytes[0]) {
        return Some("one byte repeated");
    }
    if upper.ends_with("-FFFF-FFFF-FFFF-FFFFFFFFFFFF") || UUIDS.contains(&upper.as_str()) {
        return Some("shared by many machines");
    }
    // Zeros before a MAC, as some boards have it: as good as the MAC.
    if bytes[..10].iter().all(|b| *b == 0) {
        let mac: Vec<String> = bytes[10..].iter().map(|b| format!("{b:02x}")).collect();
        return mac_junk(&mac.join(":")).map(|_| "shared by many machines");
    }
    // `4C4C4544` is "LLED": Dell writes the service tag into the rest; without a tag all are alike.
    if bytes.starts_with(b"LLED") {
        let tag = [bytes[5], bytes[6], bytes[9], bytes[10] & 0x7f];
        let mut tag = tag.into_iter().chain(bytes[13..].iter().copied());
        if !tag.all(|b| b.is_ascii_alphanumeric()) {
            return Some("Dell without a service tag");
        }
    }
    None
}

/// Why a serial number is not usable; none when it is.
pub fn serial_junk(serial: &str) -> Option<&'static str> {
    let upper = serial.trim().to_ascii_uppercase();
    if upper.is_empty() {
        return Some("empty");
    }
    if upper.len() < 4 {
        return Some("too short");
    }
    let first = upper.chars().next();
    if upper.chars().all(|c| Some(c) == first) || upper.chars().all(|c| matches!(c, '0' | '1')) {
        return Some("one character repeated");
    }
    if SERIALS.contains(&upper.as_str())
        || upper.starts_with("TO BE FILLED BY")
        || "12345678901234567890".starts_with(&upper)
        || "01234567890123456789".starts_with(&upper)
    {
        return Some("a maker's placeholder");
    }
    // A version put in the wrong field, like `1.0` or `2.04`.
    let mut parts = upper.split('.');
    if parts.clone().count() == 2
        && parts.all(|p| !p.is_empty() && p.len() <= 2 && p.bytes().all(|b| b.is_ascii_digit()))
    {
        return Some("looks like a version");
    }
    None
}

/// Why a MAC is not usable; none when it is.
pub fn mac_junk(mac: &str) -> Option<&'static str> {
    let lower = mac.trim().to_ascii_lowercase();
    let bytes: Option<Vec<u8>> = lower
        .split(':')
        .map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok())?)
        .collect();
    let Some(bytes) = bytes.filter(|b| b.len() == 6) else {
        return Some("not a MAC");
    };
    if MACS.contains(&lower.as_str()) {
        return Some("shared by many cards");
    }
    if bytes.iter().all(|b| *b == bytes[0]) {
        return Some("one byte repeated");
    }
    // A maker's prefix and a number that was never given.
    if matches!(bytes[3..], [0, 0, 0] | [0xff, 0xff, 0xff]) {
        return Some("without a number");
    }
    if bytes[0] & 1 != 0 {
        return Some("a group address");
    }
    if bytes[0] & 2 != 0 {
        return Some("locally administered: made by software");
    }
    None
}
