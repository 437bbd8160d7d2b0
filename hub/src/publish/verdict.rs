//! What cannot work on any host is refused before a host hears of it.

use burin_api::desired::{Desired, LayerKind, Release};
use burin_api::event::Severity;
use burin_core::preflight::{Room, preflight};

use crate::admin::problem::Problem;

/// A host with room for everything: what it would still refuse is the release's own fault.
const BOUNDLESS: Room = Room {
    system: u64::MAX,
    esp: u64::MAX,
    memory: u64::MAX,
    installer: 0,
};

/// Refuses a release whose OS image no host can boot, with everything that is missing.
pub(super) fn check(release: &Release) -> Result<(), Problem> {
    let desired = Desired {
        assignment: 0,
        release: release.clone(),
        signed: None,
        disk: None,
        unserved: Vec::new(),
    };
    let faults: Vec<String> = preflight(&desired, BOUNDLESS)
        .into_iter()
        .filter(|finding| finding.severity == Severity::Block)
        .map(|finding| format!("{}: {}; {}", finding.name, finding.measured, finding.advice))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    let os = release
        .layers
        .iter()
        .find(|layer| layer.kind == LayerKind::Os);
    let image = os.map_or("(none)", |os| os.reference.as_str());
    let detail = format!(
        "the OS image {image} cannot be installed: {}",
        faults.join(". ")
    );
    Err(Problem::refused(detail).with_errors(faults))
}
