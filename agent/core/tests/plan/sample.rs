//! The layout and the release that the plans of these tests are about.

use burin_api::desired::{Blob, Health, Layer, LayerFacts, LayerKind, Release};
use burin_core::layout::{Layout, Partition};
use burin_core::plan::{Goal, Step};

pub(crate) fn layout(operation: &str) -> Layout {
    let part = |number: u32| Partition {
        number,
        guid: format!("{operation}-{number}"),
        start: u64::from(number) << 30,
        size: 1 << 30,
    };
    Layout {
        disk: "/dev/vda".to_owned(),
        sector: 512,
        disk_guid: operation.to_owned(),
        esp: part(1),
        system: part(2),
        data: part(3),
    }
}

/// The installation of two images that share the layer `b`.
pub(crate) fn goal(layout: Layout) -> Goal {
    Goal::Install {
        layout: Box::new(layout),
        release: Box::new(Release {
            name: "retail".to_owned(),
            version: "1.0.0".to_owned(),
            layers: vec![layer("os", &["a", "b"]), layer("k3s", &["b", "c"])],
            kubernetes: None,
            health: Health::default(),
            cmdline: Vec::new(),
            registries: Vec::new(),
        }),
        generation: 1,
    }
}

fn layer(name: &str, diff_ids: &[&str]) -> Layer {
    let blob = |id: &&str| Blob {
        digest: format!("blob-{id}"),
        diff_id: (*id).to_owned(),
        size: 1,
        media_type: String::new(),
        unpacked: 2,
        entries: 3,
    };
    Layer {
        kind: LayerKind::Os,
        name: name.to_owned(),
        registry: "registry".to_owned(),
        repository: name.to_owned(),
        reference: String::new(),
        manifest: String::new(),
        resolved: String::new(),
        verify: Vec::new(),
        blobs: diff_ids.iter().map(blob).collect(),
        files: std::collections::BTreeMap::new(),
        inline: std::collections::BTreeMap::new(),
        replaces_system: false,
        facts: LayerFacts::default(),
    }
}

pub(crate) fn names(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(Step::name).collect()
}
