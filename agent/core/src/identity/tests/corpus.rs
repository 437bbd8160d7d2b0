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
    serde_json::from_str(include_str!("../../../fixtures/hosts.json")).unwrap()
}

#[test]
fn every_box_of_the_corpus_keeps_its_id() {
    let corpus = corpus();
    assert!(corpus.len() >= 40);
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
