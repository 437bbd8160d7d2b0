//! How the installer begins: whether it has to leave at once, and who this host is.

use anyhow::Result;
use burin_api::event::EventKind;
use burin_core::layout::Layout;
use burin_core::record::Record;
use burin_core::view::Fact;

use super::fallen::{self, Fallen, Why};
use super::target;
use crate::agent::disks::{self, Found};
use crate::agent::{firmware, start};
use crate::context::Paths;
use crate::events::Events;
use crate::hub::Identity;
use crate::machine::probe;
use crate::perform::random_uuid;
use crate::record::Keeper;
use crate::steps::Outcome;

/// A medium that was left in an installed host: sends the machine back to its disk, once, before the
/// hub hears of a second key for the same host. When that did not help, a person is told and the
/// installer goes on as far as it may, which is not to that disk. The disk's own recovery entry sends
/// nobody back, but gives a new generation that fell silently its tries again.
pub(super) fn leave_at_once(
    paths: &Paths,
    events: &Events,
    given: &start::Given,
) -> Option<Outcome> {
    let facts = probe::look(&paths.root).facts;
    let found = disks::look(paths, &facts);
    if fallen::is_this_boot(paths) {
        return fallen::arm_again(paths, events, &found);
    }
    let medium = disks::boot_medium(paths, &facts);
    let refusal = target::live(&found, &given.data.install, medium)?;
    events.note(format!("{refusal}. Remove the installer's medium"));
    match firmware::send_back(paths, &found) {
        Ok(true) => {
            events.tell(&Fact::Rebooting);
            Some(Outcome::Reboot)
        }
        Ok(false) => None,
        Err(err) => {
            let err = err.context("sending the machine back to its disk");
            events.report(EventKind::Note, "", &err);
            None
        }
    }
}

/// Who this host is and what it goes on with.
pub(super) struct Beginning {
    pub(super) identity: Identity,
    pub(super) record: Record,
    /// The partitions of a half-finished installation.
    pub(super) layout: Option<Layout>,
    /// Why the host on the disk does not come up, when this is its recovery.
    pub(super) fallen: Option<Why>,
}

/// Finds out who this host is: the installed one whose recovery this is, or as a half-finished
/// installation says, or anew.
///
/// # Errors
/// When no key can be made, or something holds the disk of an earlier life of the agent.
pub(super) fn find(
    paths: &Paths,
    events: &Events,
    given: &start::Given,
    found: &[Found],
) -> Result<Beginning> {
    if let Some(fallen) = recovery(paths, events, given, found) {
        return Ok(Beginning {
            identity: fallen.identity,
            record: Record::new(&random_uuid()?),
            layout: None,
            fallen: Some(fallen.why),
        });
    }
    let resumed = resume(paths, found).unwrap_or_else(|err| {
        // The rules treat that disk as a live host; nothing on it is touched.
        events.report(
            EventKind::Note,
            "",
            &err.context("resuming an installation"),
        );
        None
    });
    if let Some((identity, record, layout)) = resumed {
        events.note(format!("going on with the installation on {}", layout.disk));
        return Ok(Beginning {
            identity,
            record,
            layout: Some(layout),
            fallen: None,
        });
    }
    disks::let_go(paths)?;
    Ok(Beginning {
        identity: firmware::identity(paths, events, &given.text.0)?,
        record: Record::new(&random_uuid()?),
        layout: None,
        fallen: None,
    })
}

fn recovery(
    paths: &Paths,
    events: &Events,
    given: &start::Given,
    found: &[Found],
) -> Option<Fallen> {
    if !fallen::is_this_boot(paths) {
        return None;
    }
    fallen::find(paths, found, &given.text.0).unwrap_or_else(|err| {
        let err = err.context("reading why the host on the disk does not come up");
        events.report(EventKind::Note, "", &err);
        None
    })
}

/// The identity, the record and the partitions of a half-finished installation.
fn resume(paths: &Paths, found: &[Found]) -> Result<Option<(Identity, Record, Layout)>> {
    let Some((layout, device)) = disks::half_finished(paths, found) else {
        return Ok(None);
    };
    disks::with_mounted(paths, &device, "ext4", &paths.system, |at| {
        let there = Paths {
            system: at.to_owned(),
            ..paths.clone()
        };
        let identity = Identity::find(&there)?;
        let record = Keeper::find(&there)?;
        let found = identity.zip(record);
        Ok(found.map(|(identity, record)| (identity, record, layout.clone())))
    })
}
