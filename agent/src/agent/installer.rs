//! The installer's life: look, gate, register, take the profile, choose the disk, install, leave.

mod beginning;
mod cost;
mod fallen;
mod signed;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burin_api::desired::Desired;
use burin_api::event::Finding;
use burin_api::message::{Mode, Phase};
use burin_core::checks::is_blocked;
use burin_core::host::HostFacts;
use burin_core::layout::Layout;
use burin_core::plan::{Goal, Step, plan};
use burin_core::userdata::Then;
use burin_core::view::Fact;
use tokio::time::timeout;

use beginning::Beginning;
use target::Target;

use super::disks::{self, Found};
use super::talk::Talk;
use super::{gate, look, start};
use crate::console::{self, Use};
use crate::context::{Context, Hidden, LazyStore, Paths};
use crate::events::{Events, Meter};
use crate::hub::Identity;
use crate::hub::identity::without_token;
use crate::machine::clock::Kernel;
use crate::machine::link::Links;
use crate::machine::probe;
use crate::perform;
use crate::record::Keeper;
use crate::steps::{self, Failure, Outcome, pull};

/// How long the first look waits for an address: links need seconds to come up, leases too.
const NETWORK: Duration = Duration::from_secs(30);
/// How often a host that cannot go on looks at its hardware again: a person may be changing it.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Everything that stays the same during one life of the installer.
struct Installer {
    paths: Paths,
    boot_id: String,
    given: start::Given,
    identity: Identity,
    keeper: Keeper,
    operation: String,
    store: LazyStore,
    talk: Talk,
    /// Milliseconds since 1970.
    floor: u64,
    /// The partitions that this life made or goes on with.
    layout: Option<Layout>,
    /// The release whose images were found signed as they have to be.
    checked: Option<signed::Checked>,
    /// This machine has a host that does not come up.
    fallen: bool,
}

pub(super) async fn run(paths: &Paths, boot_id: &str, events: &Events) -> Result<Outcome> {
    console::start(events, &paths.root, Use::All);
    events.tell(&Fact::Phase(Phase::Starting));
    let floor = start::built(paths);
    start::raise_clock(events, &Kernel, floor);
    let place = paths.root.join("etc/burin/user-data");
    let given = start::user_data(events, &[place])
        .map_err(|err| Failure::never("the user-data cannot be used", ADVICE).because(err))?;
    if let Some(outcome) = beginning::leave_at_once(paths, events, &given) {
        return Ok(outcome);
    }
    let mut links = Links::up(&paths.root, &given.data.network).context("starting the network")?;
    // Without an address the rest is still shown; the links go on trying.
    if timeout(NETWORK, links.wait_for_address()).await.is_err() {
        events.note("no network address yet; check the cable, the switch and the DHCP server");
    }
    tokio::spawn(show_address(events.clone(), links));
    let facts = probe::look(&paths.root).facts;
    let mut installer = assemble(paths, boot_id, events, given, &facts, floor).await?;
    let outcome = installer.work().await?;
    installer.leave(outcome).await
}

const ADVICE: &str = "Correct the user-data with `burin check` and build the ISO again.";

/// Keeps the links alive, shows the address whenever it changes, and says what is wrong with a link.
async fn show_address(events: Events, mut links: Links) {
    let mut told = BTreeMap::new();
    loop {
        let address = links.address().map(|address| address.to_string());
        events.tell(&Fact::Address(address.unwrap_or_default()));
        for (link, state) in links.states() {
            let new =
                told.insert(link.clone(), state.trouble.clone()) != Some(state.trouble.clone());
            if let (Some(trouble), true) = (state.trouble, new) {
                events.note(format!("network, {link}: {trouble}"));
            }
        }
        links.changed().await;
    }
}

async fn assemble(
    paths: &Paths,
    boot_id: &str,
    events: &Events,
    given: start::Given,
    facts: &HostFacts,
    floor: u64,
) -> Result<Installer> {
    let found = disks::look(paths, facts);
    let Beginning {
        identity,
        record,
        layout,
        fallen,
    } = beginning::find(paths, events, &given, &found)?;
    events.operation(&record.operation);
    let registration = identity.registration();
    let id = start::host_id(events, paths, &given.data, facts, &identity);
    identity.register(paths, |it| {
        it.host_id = id.id.to_string();
        it.host_id_source = id.source.name().to_owned();
    })?;
    let settings = start::hub_settings(&given.data, registration.host_uid.is_some())
        .map_err(|err| Failure::never("the user-data cannot be used", ADVICE).because(err))?;
    start::tell_names(events, &given.data, &id, &identity, settings.as_ref());
    let introduction =
        start::introduction(&given.data, facts, &id, boot_id, Mode::Installer, &|disk| {
            disks::describe(&found, disk)
        });
    let medium = disks::boot_medium(paths, facts);
    let findings = gate::hardware(facts, &given.data, medium.as_deref(), floor);
    let phase = match is_blocked(&findings) {
        _ if fallen.is_some() => Phase::Degraded,
        true => Phase::Blocked,
        false => Phase::Starting,
    };
    let talk = Talk::start(
        paths,
        events,
        &identity,
        settings,
        introduction,
        (phase, findings),
    );
    if let Some(why) = &fallen {
        why.tell(events, &talk);
    }
    Ok(Installer {
        paths: paths.clone(),
        boot_id: boot_id.to_owned(),
        given,
        keeper: Keeper::new(paths, record.clone()),
        identity,
        operation: record.operation,
        store: LazyStore::default(),
        talk,
        floor,
        layout,
        checked: None,
        fallen: fallen.is_some(),
    })
}

impl Installer {
    /// Comes back when the machine is to be left.
    async fn work(&mut self) -> Result<Outcome> {
        loop {
            // Asked for first: a wait for news ends at once while there is something not asked for.
            let desired = self.talk.desired();
            let (facts, medium, installer) = self.look().await?;
            let mut findings =
                gate::hardware(&facts, &self.given.data, medium.as_deref(), self.floor);
            if is_blocked(&findings) {
                self.block(&findings).await;
                continue;
            }
            if let Some(refused) = self.talk.refused() {
                findings.push(refused);
                self.block(&findings).await;
                continue;
            }
            let Some(desired) = desired else {
                self.talk.findings(&findings);
                self.idle(Phase::Waiting);
                self.talk.news(LOOK_AGAIN).await;
                continue;
            };
            let release = &desired.release;
            self.talk.events.tell(&Fact::Release {
                name: release.name.clone(),
                version: release.version.clone(),
            });
            let found = self.disks(&facts).await?;
            let target = match self.target(&found, &desired, medium) {
                Ok(target) => target,
                Err(refusal) => {
                    findings.push(gate::refusal(&refusal));
                    self.block(&findings).await;
                    continue;
                }
            };
            findings.extend(gate::release(&desired, &facts, &target.layout, installer));
            if is_blocked(&findings) {
                self.block(&findings).await;
                continue;
            }
            let ctx = self.context(&facts, Arc::clone(&desired));
            match self.signed(&ctx).await {
                Ok(unsigned) if unsigned.is_empty() => {}
                Ok(unsigned) => {
                    findings.extend(unsigned);
                    self.block(&findings).await;
                    continue;
                }
                Err(err) => {
                    // Nothing is written before it is known: said, and tried again.
                    self.talk.events.failed("signature", &pull::classify(err));
                    self.talk.news(LOOK_AGAIN).await;
                    continue;
                }
            }
            self.talk.findings(&findings);
            if let Some(outcome) = self.install(ctx, desired, target).await? {
                return Ok(outcome);
            }
        }
    }

    /// Probing reads slow hardware; it does not hold up the timers.
    async fn look(&self) -> Result<(HostFacts, Option<String>, Option<u64>)> {
        let paths = self.paths.clone();
        let seen = tokio::task::spawn_blocking(move || {
            let facts = probe::look(&paths.root).facts;
            let medium = disks::boot_medium(&paths, &facts);
            (facts, medium, steps::recovery::bytes(&paths.root))
        });
        seen.await.context("looking at the hardware")
    }

    async fn disks(&self, facts: &HostFacts) -> Result<Vec<Found>> {
        let (paths, facts) = (self.paths.clone(), facts.clone());
        let found = tokio::task::spawn_blocking(move || disks::look(&paths, &facts));
        found.await.context("looking at the disks")
    }

    /// Says why nothing is written, and waits for something to change.
    async fn block(&mut self, findings: &[Finding]) {
        self.talk.findings(findings);
        self.talk.events.tell(&Fact::Blocked);
        self.idle(Phase::Blocked);
        self.talk.news(LOOK_AGAIN).await;
    }

    /// A host that fell is in trouble, whatever its installer waits for.
    fn idle(&self, phase: Phase) {
        self.talk
            .phase(if self.fallen { Phase::Degraded } else { phase });
    }

    /// Looks, plans and performs once. None when it has to be done again.
    async fn install(
        &mut self,
        ctx: Context,
        desired: Arc<Desired>,
        target: Target,
    ) -> Result<Option<Outcome>> {
        self.talk.phase(Phase::Installing);
        let seen = {
            let (ctx, found) = (ctx.clone(), target.found.clone());
            let disk = target.disk.clone();
            tokio::task::spawn_blocking(move || {
                let generation = look::generation_number(&ctx)?;
                let seen = look::install(&ctx, &disk, found.as_ref(), generation)?;
                if seen.identity {
                    ctx.events.log_to(&ctx.paths.logs())?;
                }
                Ok((generation, seen))
            })
        };
        let seen: Result<_> = seen.await.context("looking at the disk")?;
        let (generation, seen) = match seen {
            Ok(seen) => seen,
            Err(err) => {
                // An I/O error while looking: said, and tried again as any step.
                self.talk.events.failed("look", &err);
                self.talk.news(LOOK_AGAIN).await;
                return Ok(None);
            }
        };
        let layout = target.layout.clone();
        let goal = Goal::Install {
            layout: Box::new(target.layout),
            release: Box::new(desired.release.clone()),
            generation,
        };
        let mut steps = plan(&goal, &seen, &self.keeper.now());
        if !seen.filesystems {
            // What remains after them depends on what lies on them.
            steps.retain(|step| {
                matches!(step, Step::Partition { .. } | Step::MakeFilesystems { .. })
            });
        }
        match perform::run(&ctx, &self.keeper, &steps).await {
            Ok(Outcome::Done) => {
                self.talk.observe(|observed| observed.last_error = None);
                Ok(None)
            }
            Ok(outcome) => {
                cost::tell(ctx, layout).await?;
                Ok(Some(outcome))
            }
            Err(stopped) => {
                let last = self.keeper.now().last_error;
                let text = last.map(|it| format!("{}: {}", it.step, it.causes.join(": ")));
                self.talk.observe(|observed| observed.last_error = text);
                if stopped.again.is_none() {
                    self.talk.phase(Phase::Degraded);
                }
                self.talk
                    .news(stopped.again.unwrap_or(LOOK_AGAIN * 10))
                    .await;
                Ok(None)
            }
        }
    }

    fn context(&self, facts: &HostFacts, desired: Arc<Desired>) -> Context {
        Context {
            paths: self.paths.clone(),
            mode: Mode::Installer,
            boot_id: self.boot_id.clone(),
            operation: self.operation.clone(),
            facts: Arc::new(facts.clone()),
            user_data: Arc::clone(&self.given.data),
            // Only an accepted host gets an assignment: its token has done its work.
            user_data_text: Hidden(without_token(&self.given.text.0).into()),
            desired: Some(desired),
            secrets: self.talk.secrets.clone(),
            identity: self.identity.clone(),
            events: self.talk.events.clone(),
            store: Arc::clone(&self.store),
            meter: Meter::new(&self.talk.events, "", 0, 0, 0),
        }
    }

    /// Says goodbye and returns what shall follow.
    async fn leave(&mut self, outcome: Outcome) -> Result<Outcome> {
        let outcome = match (outcome, self.given.data.install.then) {
            (Outcome::Reboot, Then::PowerOff) => Outcome::PowerOff,
            (Outcome::Reboot, Then::Stay) => {
                self.talk
                    .events
                    .note("installed; waiting for a person to restart the machine");
                self.talk.last_words().await;
                return std::future::pending().await;
            }
            (outcome, _) => outcome,
        };
        match outcome {
            Outcome::PowerOff => self.talk.events.tell(&Fact::PoweringOff),
            Outcome::Reboot | Outcome::Done => self.talk.events.tell(&Fact::Rebooting),
        }
        self.talk.last_words().await;
        self.talk.events.stop_log();
        Ok(outcome)
    }
}
