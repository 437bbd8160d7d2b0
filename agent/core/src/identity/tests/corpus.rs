//! Boxes as they are sold, virtual, half filled in and empty, in the kernel's own words. The values
//! are made up, their shapes are real. The IDs are golden: they were computed by another program and
//! never change.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::host::{device_tree, dmi, link};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(rename = "box")]
    name: String,
    /// Files of `/sys/class/dmi/id`.
    #[serde(default)]
    dmi: BTreeMap<String, Option<String>>,
    /// Properties of `/proc/device-tree`.
    #[serde(default)]
    device_tree: BTreeMap<String, String>,
    /// `/sys/devices/soc0/serial_number`.
    soc: Option<String>,
    #[serde(default)]
    links: Vec<Nic>,
    source: Source,
    /// None where chance gives the ID.
    id: Option<HostId>,
    /// Source and reason of everything that was passed over.
    skipped: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nic {
    name: String,
    device: String,
    address: String,
    /// What `ethtool` calls permanent.
    permanent: Option<String>,
}

impl Fixture {
    fn facts(&self) -> HostFacts {
        let property = |name: &str| self.device_tree.get(name).map(|it| it.clone().into_bytes());
        let links = self.links.iter().map(|nic| {
            let permanent = nic.permanent.as_deref();
            link(&nic.name, &nic.device, permanent, &|path| {
                (path == "address").then(|| format!("{}\n", nic.address))
            })
        });
        HostFacts {
            dmi: dmi(&|name| self.dmi.get(name)?.clone()),
            device_tree: device_tree(&property, self.soc.as_deref()),
            links: links.collect(),
            ..HostFacts::default()
        }
    }
}

fn corpus() -> Vec<Fixture> {
    let read = |text: &str| -> Vec<Fixture> { serde_json::from_str(text).unwrap() };
    let mut all = read(include_str!("../../../fixtures/hosts.json"));
    all.extend(read(include_str!("../../../fixtures/more-hosts.json")));
    all
}

#[test]
fn every_box_of_the_corpus_keeps_its_id() {
    let corpus = corpus();
    assert!(corpus.len() >= 200);
    for fixture in &corpus {
        let found = plainly(&fixture.facts(), [7; 16]);
        let name = &fixture.name;
        assert_eq!(found.source, fixture.source, "{name}");
        let skipped = found.skipped.iter();
        let skipped: Vec<_> = skipped
            .map(|it| format!("{}: {}", it.source.name(), it.reason))
            .collect();
        assert_eq!(skipped, fixture.skipped, "{name}");
        let random = HostId::derive(Source::Random, &hex::encode([7; 16]));
        let want = fixture.id.clone().unwrap_or(random);
        assert_eq!(found.id, want, "{name}");
    }
}

#[test]
fn a_hundred_boots_give_one_id() {
    for fixture in &corpus() {
        let want = plainly(&fixture.facts(), [7; 16]);
        for boot in 0..100 {
            // The kernel finds cards in another order at each boot, and only the chance that is kept
            // counts.
            let mut facts = fixture.facts();
            let cards = facts.links.len().max(1);
            facts.links.rotate_left(boot % cards);
            let chance = if fixture.id.is_some() {
                u8::try_from(boot).unwrap()
            } else {
                7
            };
            let found = plainly(&facts, [chance; 16]);
            assert_eq!(
                (found.id, found.source),
                (want.id.clone(), want.source),
                "{}",
                fixture.name
            );
        }
    }
}

#[test]
fn no_two_boxes_of_the_corpus_share_an_id() {
    let ids: Vec<_> = corpus().into_iter().filter_map(|it| it.id).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn what_is_plugged_in_later_changes_no_id() {
    for fixture in corpus().iter().filter(|it| it.id.is_some()) {
        let mut facts = fixture.facts();
        let before = plainly(&facts, [7; 16]);
        facts
            .links
            .push(nic("usb0", "00:0e:c6:00:00:17", LinkBus::Usb));
        facts
            .links
            .push(nic("br0", "00:0e:c6:00:00:18", LinkBus::Virtual));
        facts.links.reverse();
        let after = plainly(&facts, [8; 16]);
        assert_eq!(
            (after.id, after.source),
            (before.id, before.source),
            "{}",
            fixture.name
        );
    }
}

/// The values of a DMI field that stand in boxes where `source` was passed over.
fn junk_of(source: &str, field: &str) -> Vec<String> {
    let refused = |it: &&Fixture| it.skipped.iter().any(|why| why.starts_with(source));
    let corpus = corpus();
    let values = corpus.iter().filter(refused);
    let values = values.filter_map(|it| it.dmi.get(field).cloned().flatten());
    let values: std::collections::BTreeSet<_> = values.collect();
    values.into_iter().collect()
}

/// Every mixture of what makers leave in the firmware of all their boxes, each under the names of
/// another box.
fn junk_boxes() -> Vec<HostFacts> {
    let corpus = corpus();
    let named = |it: &Fixture, field: &str| it.dmi.get(field).cloned().flatten();
    let names: std::collections::BTreeSet<_> = corpus
        .iter()
        .filter_map(|it| Some((named(it, "sys_vendor")?, named(it, "product_name")?)))
        .collect();
    let mut names = names.iter().cycle();
    let mut boxes = Vec::new();
    for uuid in junk_of("smbios-uuid", "product_uuid") {
        for serial in junk_of("product-serial", "product_serial") {
            for board in junk_of("board-serial", "board_serial") {
                let (vendor, product) = names.next().unwrap();
                let value = |name: &str| match name {
                    "sys_vendor" | "board_vendor" => Some(vendor.clone()),
                    "product_name" | "board_name" => Some(product.clone()),
                    "product_uuid" => Some(uuid.clone()),
                    "product_serial" => Some(serial.clone()),
                    "board_serial" => Some(board.clone()),
                    _ => None,
                };
                boxes.push(HostFacts {
                    dmi: dmi(&value),
                    ..HostFacts::default()
                });
            }
        }
    }
    boxes
}

#[test]
fn junk_never_gives_two_machines_one_id() {
    let boxes = junk_boxes();
    assert!(boxes.len() >= 500, "{}", boxes.len());
    for facts in boxes {
        let (one, other) = (plainly(&facts, [1; 16]), plainly(&facts, [2; 16]));
        assert_eq!(one.source, Source::Random, "{facts:?}");
        assert_ne!(one.id, other.id, "{facts:?}");
        let with = |mac: &str| {
            let mut facts = facts.clone();
            facts.links.push(nic("eth0", mac, LinkBus::Onboard));
            plainly(&facts, [1; 16])
        };
        let (one, other) = (with("00:25:90:00:00:01"), with("00:25:90:00:00:02"));
        assert_eq!(one.source, Source::Mac, "{facts:?}");
        assert_ne!(one.id, other.id, "{facts:?}");
    }
}
