//! What the firmware's variables keep while no disk does: the identity's seed between acceptance and
//! the first write, and the sign that this machine was sent back to its own disk.

use anyhow::{Context as _, Result};
use burin_api::event::EventKind;
use burin_core::layout::Content;

use super::disks::{self, Found};
use crate::context::Paths;
use crate::events::Events;
use crate::hub::Identity;
use crate::machine::efi::{BURIN, GLOBAL, Variables};
use crate::steps::identity::SEED;
use crate::steps::recovery::load_option;

/// Set when the installer sent the machine back to its disk; removed by the host that came up.
const SENT_BACK: &str = "BurinSentBack";

/// The identity whose seed the firmware keeps, or a new one, whose seed it then keeps. Without such
/// a place the key lives in RAM only, and a power cut before the first write costs a registration.
///
/// # Errors
/// When no key can be made.
pub(super) fn identity(paths: &Paths, events: &Events, user_data: &str) -> Result<Identity> {
    let variables = Variables::open(&paths.root);
    let kept = variables
        .as_ref()
        .and_then(|it| it.read(SEED, BURIN).ok().flatten());
    if let Some(seed) = kept {
        match Identity::from_pkcs8(&seed, user_data) {
            Ok(identity) => return Ok(identity),
            Err(err) => {
                let err = err.context("the identity that the firmware kept cannot be used");
                events.report(EventKind::Note, "", &err);
            }
        }
    }
    let identity = Identity::make(user_data)?;
    let kept = variables
        .context("this firmware keeps no variables")
        .and_then(|it| it.write(SEED, BURIN, &identity.pkcs8()));
    if let Err(err) = kept {
        let err = err.context("until the disk holds it, a power cut loses the identity");
        events.report(EventKind::Note, "", &err);
    }
    Ok(identity)
}

/// Sends the machine back to the installed host on its disk, at most once: the medium was left in.
/// Returns whether it is to be restarted.
///
/// # Errors
/// When the firmware refuses; a person has to remove the medium then.
pub(super) fn send_back(paths: &Paths, found: &[Found]) -> Result<bool> {
    let Some(variables) = Variables::open(&paths.root) else {
        return Ok(false);
    };
    if variables.read(SENT_BACK, BURIN)?.is_some() {
        return Ok(false);
    }
    let live = |it: &&Found| {
        matches!(&it.candidate.content, Content::Burin(content)
            if content.ever_good || content.installed)
    };
    let Some(one) = found.iter().find(live) else {
        return Ok(false);
    };
    let Some(esp) = one.layout.as_ref().map(|layout| layout.esp.number) else {
        return Ok(false);
    };
    let device = disks::partition_node(paths, &one.candidate.disk, esp);
    let name = device.as_deref().and_then(|it| it.file_name());
    let name = name.context("finding the boot partition of the installed host")?;
    let option = load_option(&paths.root, &paths.root.join("sys/class/block").join(name))?;
    let number = variables.boot_first(&option)?;
    // First the sign: a power cut between the two costs one automatic return, never a circle.
    variables.write(SENT_BACK, BURIN, &[1])?;
    variables.write("BootNext", GLOBAL, &number.to_le_bytes())?;
    Ok(true)
}

/// The host on the disk came up: the next time the medium is left in, it is sent back again.
pub(super) fn came_up(paths: &Paths, events: &Events) {
    let Some(variables) = Variables::open(&paths.root) else {
        return;
    };
    let removed = variables
        .read(SENT_BACK, BURIN)
        .and_then(|sign| match sign {
            Some(_) => variables.remove(SENT_BACK, BURIN),
            None => Ok(()),
        });
    if let Err(err) = removed {
        events.report(EventKind::Note, "", &err);
    }
}
