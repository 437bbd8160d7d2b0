use super::super::{HostId, Wish, identify};
use super::*;
use crate::host::HostFacts;
use proptest::prelude::*;

const UUID: &str = "4C4C4544-0042-3510-8051-B4C04F4A5231";

/// A tree with a UUID, a board serial, a file of the owner and one with junk.
fn read(path: &str) -> Option<String> {
    let text = match path {
        DEFAULT_PATH => format!("{UUID}\n"),
        "/sys/class/dmi/id/board_serial" => "/BX 42.7/CN701\n".to_owned(),
        "/etc/palette/metadata-regex" => "host edge-b4c04f4a5231 of rack 7".to_owned(),
        "/sys/junk" => "To Be Filled By O.E.M.".to_owned(),
        "/sys/junk-uuid" => "03000200-0400-0500-0006-000700080009".to_owned(),
        _ => return None,
    };
    Some(text)
}

fn path(path: &str, regex: Option<&str>) -> UidPath {
    UidPath {
        path: path.to_owned(),
        regex: regex.map(str::to_owned),
    }
}

fn name(naming: &Naming) -> Option<String> {
    let found = naming.resolve(&read, [0x5a; 16], &mut Vec::new());
    found.map(|(_, name)| name)
}

#[test]
fn names_are_formed_as_published() {
    let serial = "/sys/class/dmi/id/board_serial";
    let own = "/etc/palette/metadata-regex";
    let uuid = "edge-4c4c454400423510 8051b4c04f4a5231".replace(' ', "");
    for (prefix, paths, want) in [
        (Some("edge"), vec![], Some(uuid.as_str())),
        (
            Some("shop-7"),
            vec![],
            Some("shop-7-4c4c4544004235108051b4c04f4a5231"),
        ),
        (None, vec![path(DEFAULT_PATH, None)], Some(&uuid)),
        (
            None,
            vec![path(own, Some("edge.*"))],
            Some("edge-b4c04f4a5231ofrack7"),
        ),
        (
            None,
            vec![path(own, Some("edge-[0-9a-f]+"))],
            Some("edge-b4c04f4a5231"),
        ),
        (
            Some("x"),
            vec![path(own, Some("[[:xdigit:]]{12}"))],
            Some("x-b4c04f4a5231"),
        ),
        (None, vec![path(serial, None)], Some("edge-BX427CN701")),
        (None, vec![path(serial, Some(r"CN\d+"))], Some("edge-CN701")),
        (
            None,
            vec![path("/none", None), path(serial, Some("CN.*"))],
            Some("edge-CN701"),
        ),
        (None, vec![path("/sys/junk", None)], None),
        (None, vec![path("/sys/junk-uuid", None)], None),
        (None, vec![path(own, Some("^never$"))], None),
        (None, vec![], None),
    ] {
        let naming = Naming {
            random: false,
            prefix: prefix.map(str::to_owned),
            paths,
        };
        assert_eq!(name(&naming).as_deref(), want, "{naming:?}");
    }
}

#[test]
fn a_random_name_is_marked_and_the_same_for_the_same_chance() {
    let wish = Wish {
        id: None,
        naming: Naming {
            random: true,
            ..Naming::default()
        },
    };
    let of = |random| identify(&wish, &HostFacts::default(), &read, [random; 16]);
    let found = of(0x5a);
    assert_eq!(found.source, Source::Random);
    assert_eq!(found.name, Some(format!("edge-{}", "5a".repeat(16))));
    assert_eq!(found, of(0x5a));
    assert_ne!(found.id, of(0x5b).id);
}

#[test]
fn without_a_usable_file_the_hardware_names_the_host_and_the_reasons_are_kept() {
    let mut facts = HostFacts::default();
    facts.dmi.product_uuid = UUID.to_ascii_lowercase();
    let wish = Wish {
        id: None,
        naming: Naming {
            paths: vec![path("/sys/junk", None), path("/none", None)],
            ..Naming::default()
        },
    };
    let found = identify(&wish, &facts, &read, [0; 16]);
    assert_eq!((found.source, found.name), (Source::SmbiosUuid, None));
    let reasons: Vec<_> = found.skipped.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(reasons, ["a maker's placeholder", "it cannot be read"]);
}

#[test]
fn a_name_given_in_full_comes_first_and_a_host_id_is_taken_as_it_is() {
    let of = |id: &str| {
        let wish = Wish {
            id: Some(id.to_owned()),
            naming: Naming {
                prefix: Some("shop".to_owned()),
                ..Naming::default()
            },
        };
        identify(&wish, &HostFacts::default(), &read, [0; 16])
    };
    let named = of("edge-1");
    assert_eq!(named.id, HostId::derive(Source::Override, "edge-1"));
    assert_eq!(named.name.as_deref(), Some("edge-1"));
    let id = HostId::derive(Source::SmbiosUuid, UUID);
    let pinned = of(&id.to_string());
    assert_eq!((pinned.id, pinned.name), (id, None));
}

#[test]
fn patterns_that_cost_too_much_are_refused() {
    for bad in ["(", "a{1000}{1000}{10}", "(?P<n>", "\\p{Greek}", "(a)\\1"] {
        assert!(pattern(bad).is_err(), "{bad}");
    }
    assert!(pattern(&"a".repeat(PATTERN + 1)).is_err());
}

proptest! {
    #[test]
    fn whatever_a_file_holds_a_name_is_a_name(text in ".{0,300}", regex in proptest::option::of("[a-z.*+?()\\[\\]|^$]{0,12}")) {
        let naming = Naming { paths: vec![path("/f", regex.as_deref())], ..Naming::default() };
        let read = |_: &str| Some(text.clone());
        if let Some((_, name)) = naming.resolve(&read, [0; 16], &mut Vec::new()) {
            prop_assert!(is_name(&name), "{name:?}");
        }
    }
}
