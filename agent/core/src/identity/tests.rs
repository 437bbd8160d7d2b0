mod corpus;

use proptest::prelude::*;

use super::*;
use crate::host::Dmi;

const UUID: &str = "9f1d1c5e-3b0a-4a52-8d0f-7b3f0f6f2a11";

fn facts(uuid: &str, serial: &str, board: &str) -> HostFacts {
    HostFacts {
        dmi: Dmi {
            sys_vendor: "ACME".to_owned(),
            product_name: "Box 1".to_owned(),
            product_serial: serial.to_owned(),
            product_uuid: uuid.to_owned(),
            board_vendor: "ACME".to_owned(),
            board_serial: board.to_owned(),
            ..Dmi::default()
        },
        ..HostFacts::default()
    }
}

/// The ID without a word from user-data.
fn plainly(facts: &HostFacts, random: [u8; 16]) -> HostIdentity {
    identify(&Wish::default(), facts, &|_| None, random)
}

fn nic(name: &str, mac: &str, bus: LinkBus) -> Link {
    Link {
        name: name.to_owned(),
        mac: mac.to_owned(),
        bus,
        ..Link::default()
    }
}

#[test]
fn the_first_usable_source_wins() {
    let random = [7; 16];
    for (facts, named, want) in [
        (
            facts(UUID, "PF3XK9Q1", "BRD9981"),
            Some("edge-1"),
            Source::Override,
        ),
        (
            facts(UUID, "PF3XK9Q1", "BRD9981"),
            Some("  "),
            Source::SmbiosUuid,
        ),
        (facts(UUID, "PF3XK9Q1", "BRD9981"), None, Source::SmbiosUuid),
        (
            facts("", "PF3XK9Q1", "BRD9981"),
            None,
            Source::ProductSerial,
        ),
        (
            facts(
                "03000200-0400-0500-0006-000700080009",
                "Default string",
                "BRD9981",
            ),
            None,
            Source::BoardSerial,
        ),
        (
            facts("", "To Be Filled By O.E.M.", "0000000"),
            None,
            Source::Random,
        ),
    ] {
        let wish = Wish {
            id: named.map(str::to_owned),
            ..Wish::default()
        };
        let found = identify(&wish, &facts, &|_| None, random);
        assert_eq!(found.source, want, "{facts:?}");
    }
}

#[test]
fn the_device_tree_comes_before_the_network_card() {
    let mut jetson = facts("", "", "");
    jetson.device_tree.model = "NVIDIA Jetson AGX Orin".to_owned();
    jetson.device_tree.serial = "1421121012345".to_owned();
    jetson.links = vec![nic("eth0", "48:b0:2d:00:00:01", LinkBus::Onboard)];
    assert_eq!(plainly(&jetson, [0; 16]).source, Source::DeviceTree);
    jetson.device_tree.serial = "0000000000000".to_owned();
    let found = plainly(&jetson, [0; 16]);
    assert_eq!(
        (found.source, found.value.as_str()),
        (Source::Mac, "48:b0:2d:00:00:01")
    );
    assert_eq!(found.skipped[0].reason, "one character repeated");
}

#[test]
fn the_lowest_onboard_card_counts_and_no_other() {
    let mut box_ = facts("", "", "");
    box_.links = vec![
        nic("usb0", "00:00:5e:00:00:01", LinkBus::Usb),
        nic("br0", "00:00:5e:00:00:02", LinkBus::Virtual),
        nic("eth1", "a8:a1:59:00:00:09", LinkBus::Onboard),
        nic("eth0", "a8:a1:59:00:00:03", LinkBus::Onboard),
        nic("eth2", "02:a1:59:00:00:01", LinkBus::Onboard),
    ];
    assert_eq!(plainly(&box_, [0; 16]).value, "a8:a1:59:00:00:03");
}

#[test]
fn every_uuid_of_the_list_is_junk() {
    for uuid in [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "fefefefe-fefe-fefe-fefe-fefefefefefe",
        "12345678-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "4C4C4544-0000-2010-8020-80C04F202020",
        "4c4c4544-0020-2010-8020-a0c04f202020",
        "deadbeef-dead-beef-dead-beefdeadbeef",
        "11111111-1111-1111-1111-111111111111",
        "58585858-5858-5858-5858-585858585858",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "01020304-0506-0708-090a-0b0c0d0e0f10",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-5678-1234-567812345678",
        "07090201-0103-0301-0807-060504030201",
        "11111111-2222-3333-4444-555555555555",
        "890e2d14-cacd-45d1-ae66-bc80e8bfeb0f",
        "8e275844-178f-44a8-aceb-a7d7e5178c63",
        "dc698397-fa54-4cf2-82c8-b1b5307a6a7f",
        "ffffff00-ffff-ffff-ffff-ffffffffffff",
        "00000000-0000-0000-0000-525400123456",
        "4c4c4544-0000-1010-8010-c4c04f313233",
        "not-a-uuid",
        "",
    ] {
        assert!(uuid_junk(uuid).is_some(), "{uuid}");
    }
    for uuid in [UUID, "4c4c4544-0042-3510-8051-b4c04f4a5231"] {
        assert_eq!(uuid_junk(uuid), None, "{uuid}");
    }
}

#[test]
fn every_serial_of_the_list_is_junk() {
    for serial in [
        "",
        "AB",
        "0000",
        "0101010101",
        "XXXXXXXX",
        "12345",
        "1234567890",
        "0123456789",
        "0123456789ABCDEF",
        "n/a",
        "None",
        " Not Specified ",
        "Default string",
        "To be filled by O.E.M.",
        "To Be Filled By More String",
        "System Serial Number",
        "1.00",
        "SYS-1234567890",
        "SN-123456FVGV3I0B8O5N6N7K",
        "Standard",
        "111111",
        "NA",
        "Null",
        "(null string)",
        "INVALID",
        "Unknown",
        "UNKNOW",
        "Not Applicable",
        "Not Available",
        "Not Present",
        "Default_String",
        "O.E.M.",
        "Chassis Serial Number",
        "Base Board Serial Number",
        "Serial Number xxxxxx",
        "NNNNNNN",
        "EVAL",
        "IATPASS",
        "Dell",
        "Tulip Computers",
        "SYS-9876543210",
        "MB-1234567890",
        "SN-12345",
        "SN-1234567890",
        "123456789000",
        "12345678901234567",
        "Type2 - Board Serial Number",
        "0000000000000000",
        "................",
    ] {
        assert!(serial_junk(serial).is_some(), "{serial:?}");
    }
    for serial in ["PF3XK9Q1", "J8X2KF2", "CZC1234567", "1.2.3.4-A"] {
        assert_eq!(serial_junk(serial), None, "{serial}");
    }
}

#[test]
fn every_mac_of_the_list_is_junk() {
    for mac in [
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "44:45:53:54:00:00",
        "44:45:53:54:00:01",
        "44:45:53:54:61:6F",
        "00:01:02:7D:9B:1C",
        "00:08:A1:46:06:35",
        "00:08:A1:66:E2:1A",
        "00:09:DD:10:37:68",
        "00:0F:EA:9A:E2:F0",
        "00:10:5A:72:71:F3",
        "00:11:11:85:08:8B",
        "10:11:11:11:11:11",
        "50:50:54:50:30:30",
        "88:88:88:88:87:88",
        "88:88:88:88:88:88",
        "00:e0:4c:00:00:00",
        "a8:a1:59:ff:ff:ff",
        "52:54:00:12:34:56",
        "01:00:5e:00:00:01",
        "a8:a1:59:00:00",
        "a8:a1:59:00:00:zz",
        "",
    ] {
        assert!(mac_junk(mac).is_some(), "{mac:?}");
    }
    assert_eq!(mac_junk("A8:A1:59:00:00:01"), None);
}

#[test]
fn an_id_never_changes_for_the_same_value() {
    // Golden: hosts in the field carry these. Computed once by hand from the definition.
    let id = HostId::derive(Source::SmbiosUuid, UUID);
    assert_eq!(id.to_string(), "TY8X-R98Y-T6GT-9QJM");
    assert_eq!(id.to_string().parse::<HostId>(), Ok(id.clone()));
    let other = HostId::derive(Source::Override, UUID);
    assert_ne!(id, other, "the source is part of the hash");
}

#[test]
fn typed_ids_are_read_leniently_and_checked() {
    let id = HostId::derive(Source::Mac, "a8:a1:59:00:00:01");
    let typed = id
        .to_string()
        .to_ascii_lowercase()
        .replace('0', "o")
        .replace('1', "l");
    assert_eq!(typed.parse::<HostId>(), Ok(id));
    assert_eq!("K7QF".parse::<HostId>(), Err(HostIdError::Length(4)));
    assert_eq!(
        "U7QF-2M9X-0TRD-8HWN".parse::<HostId>(),
        Err(HostIdError::Character('U'))
    );
}

proptest! {
    #[test]
    fn one_wrong_character_is_always_found(value in "[a-z0-9]{1,20}", at in 0usize..16, by in 1usize..32) {
        let id = HostId::derive(Source::Override, &value);
        let mut wrong: Vec<u8> = id.compact().bytes().collect();
        let code = ALPHABET.iter().position(|a| *a == wrong[at]).unwrap();
        wrong[at] = ALPHABET[(code + by) % 32];
        let wrong = String::from_utf8(wrong).unwrap();
        prop_assert_eq!(wrong.parse::<HostId>(), Err(HostIdError::Check));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,100}") {
        let _ = (text.parse::<HostId>(), uuid_junk(&text), serial_junk(&text), mac_junk(&text));
    }
}
