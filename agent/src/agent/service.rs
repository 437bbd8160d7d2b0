//! The service's life on the installed host: resume the identity, bring the generation up, prove it,
//! keep in touch.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burin_api::desired::Desired;
use burin_api::event::EventKind;
use burin_api::message::{Mode, Phase};
use burin_core::generations::Generation;
use burin_core::plan::{Entry, Goal, Seen, plan};
use burin_core::record::Record;
use burin_core::view::Fact;

use super::talk::Talk;
use super::watch::Eye;
use super::{firmware, look, start};
use crate::console::{self, Use};
use crate::context::{Context, LazyStore, Paths};
use crate::events::{Events, Meter};
use crate::hub::Identity;
use crate::installed::room::Room;
use crate::installed::{self, boot, generations, hashes, integrity};
use crate::machine::clock::Kernel;
use crate::machine::probe;
use crate::perform::{self, random_uuid};
use crate::record::Keeper;
use crate::steps::{Failure, Outcome};
use crate::sysroot::{LAST_WORDS, LastWords};

/// The pause before a step is tried that does not say when by itself.
const AGAIN: Duration = Duration::from_secs(60);

pub(super) async fn run(paths: &Paths, boot_id: &str, events: &Events) -> Result<Outcome> {
    console::start(events, &paths.root, Use::Wires);
    events.tell(&Fact::Phase(Phase::Starting));
    let identity = Identity::find(paths)?.ok_or_else(|| {
        let doing = format!(
            "resuming the identity: {} is missing",
            paths.identity_key().display()
        );
        Failure::never(
            doing,
            "This disk was not installed by burin; install it again.",
        )
    })?;
    events.log_to(&paths.logs())?;
    watch(paths, events);
    let floor = start::built(paths).max(identity.registration().confirmed_time);
    start::raise_clock(events, &Kernel, floor);
    let given = start::user_data(events, &[paths.user_data()])?;
    let facts = probe::look(&paths.root).facts;
    let generation = generations::need(paths, generations::running(paths)?)?;
    let record = record(paths, boot_id)?;
    events.operation(&record.operation);
    let keeper = Keeper::new(paths, record.clone());
    keeper.save()?;

    let id = start::host_id(events, paths, &given.data, &facts, &identity);
    let accepted = identity.registration().host_uid.is_some();
    let settings = start::hub_settings(&given.data, accepted)?;
    start::tell_names(events, &given.data, &id, &identity, settings.as_ref());
    let introduction =
        start::introduction(&given.data, &facts, &id, boot_id, Mode::Installed, &|_| {
            String::new()
        });
    let first = (Phase::Starting, Vec::new());
    let mut talk = Talk::start(paths, events, &identity, settings, introduction, first);
    observe(&talk, &generation, &facts.kernel);
    let ctx = Context {
        paths: paths.clone(),
        mode: Mode::Installed,
        boot_id: boot_id.to_owned(),
        operation: record.operation,
        facts: Arc::new(facts),
        user_data: given.data,
        user_data_text: given.text,
        desired: Some(Arc::new(assignment(paths, generation.content.number)?)),
        secrets: talk.secrets.clone(),
        identity,
        events: events.clone(),
        store: LazyStore::default(),
        meter: Meter::new(events, "", 0, 0, 0),
    };
    let outcome = bring_up(&ctx, &keeper, &talk, &generation).await?;
    events.tell(&match outcome {
        Outcome::PowerOff => Fact::PoweringOff,
        Outcome::Reboot | Outcome::Done => Fact::Rebooting,
    });
    talk.last_words().await;
    installed::leave(outcome)?;
    // systemd ends this service like all others; ending by itself would only start it again.
    std::future::pending().await
}

/// Damage and falls are told; that one of them cannot be watched stops nothing.
fn watch(paths: &Paths, events: &Events) {
    for (what, done) in [
        ("watching for damage", integrity::watch(paths, events)),
        ("keeping changed passwords", hashes::watch(paths, events)),
        ("filing the last words", file_last_words(paths, events)),
        ("telling how this boot went", boot::tell(paths, events)),
    ] {
        if let Err(err) = done {
            events.report(EventKind::Note, "", &err.context(what));
        }
    }
}

/// What the initramfs of an earlier boot said before it gave up, once.
fn file_last_words(paths: &Paths, events: &Events) -> Result<()> {
    match LastWords::find(&paths.system) {
        Ok(None) => return Ok(()),
        Ok(Some(words)) => {
            for damage in &words.damage {
                events.corruption(format!("an earlier boot: {damage}"));
            }
            events.note(format!(
                "a boot of generation {} did not come up ({}): {}",
                words.generation,
                words.place,
                words.causes.join(": ")
            ));
        }
        Err(err) => events.note(format!("a boot did not come up, and why is lost: {err:#}")),
    }
    let path = paths.system.join(LAST_WORDS);
    std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))
}

/// What the running generation was made from, as an assignment: a boot without a hub needs no more.
fn assignment(paths: &Paths, generation: u64) -> Result<Desired> {
    Ok(Desired {
        assignment: 0,
        release: generations::settings(paths, generation)?.release,
        signed: None,
        disk: None,
        unserved: Vec::new(),
    })
}

/// One operation is one boot of one generation: a crash of the agent continues it.
fn record(paths: &Paths, boot_id: &str) -> Result<Record> {
    let kept = Keeper::find(paths)?;
    let same_boot =
        |record: &Record| record.results.get("boot").and_then(|it| it.as_str()) == Some(boot_id);
    if let Some(record) = kept.filter(same_boot) {
        return Ok(record);
    }
    let mut record = Record::new(&random_uuid()?);
    record.results.insert("boot".to_owned(), boot_id.into());
    Ok(record)
}

fn observe(talk: &Talk, generation: &Generation, kernel: &str) {
    let content = generation.content.clone();
    talk.observe(|observed| {
        observed.generation = Some(content.number);
        observed.root_digest = Some(content.root);
        observed.agent_digest = Some(content.agent);
        observed.kubernetes = Some(content.kubernetes).filter(|it| !it.is_empty());
        observed.kernel = Some(kernel.to_owned());
    });
}

/// Performs what remains until nothing does, then keeps looking. Comes back only to leave.
async fn bring_up(
    ctx: &Context,
    keeper: &Keeper,
    talk: &Talk,
    generation: &Generation,
) -> Result<Outcome> {
    let number = generation.content.number;
    let goal = Goal::Boot {
        generation: number,
        kubernetes: !generation.content.kubernetes.is_empty(),
    };
    firmware::came_up(&ctx.paths, &ctx.events);
    let settings = generations::settings(&ctx.paths, number)?;
    let mut eye = Eye::new(number, &settings.release.health);
    let mut started = false;
    let mut room = Room::default();
    loop {
        room.look(&ctx.paths, &ctx.events);
        let seen = Seen {
            running: Some(number),
            entry: look::entry(&ctx.paths, number)?,
            kubernetes: started,
            ..Seen::default()
        };
        let steps = plan(&goal, &seen, &keeper.now());
        if steps.is_empty() {
            let pause = eye.look(ctx, &settings, talk).await?;
            tokio::time::sleep(pause).await;
            continue;
        }
        // A good generation is not judged again, but it runs only when it was seen to in this boot.
        talk.phase(match seen.entry {
            Entry::Good => Phase::Starting,
            Entry::Absent | Entry::Counted => Phase::Configuring,
        });
        match perform::run(ctx, keeper, &steps).await {
            Ok(Outcome::Done) => {
                started = true;
                talk.observe(|observed| observed.last_error = None);
            }
            Ok(outcome) => return Ok(outcome),
            Err(stopped) => {
                let last = keeper.now().last_error;
                let text = last.map(|it| format!("{}: {}", it.step, it.causes.join(": ")));
                talk.observe(|observed| observed.last_error = text);
                talk.phase(Phase::Degraded);
                tokio::time::sleep(stopped.again.unwrap_or(AGAIN)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_filed_once() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        let words = LastWords {
            generation: 2,
            place: "initramfs".to_owned(),
            causes: vec!["mounting the root".to_owned(), "bad digest".to_owned()],
            ..LastWords::default()
        };
        let path = paths.system.join(LAST_WORDS);
        std::fs::write(&path, serde_json::to_vec(&words).unwrap()).unwrap();
        let events = Events::new("boot");
        file_last_words(&paths, &events).unwrap();
        file_last_words(&paths, &events).unwrap();
        let told = events.after(0, 10);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].message.contains("bad digest"), "{told:?}");
        assert!(!path.exists());
    }

    #[test]
    fn a_restarted_agent_goes_on_with_the_operation_of_its_boot() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        std::fs::write(paths.identity_key(), "key").unwrap();
        let first = record(&paths, "boot-1").unwrap();
        Keeper::new(&paths, first.clone()).save().unwrap();
        assert_eq!(record(&paths, "boot-1").unwrap(), first);
        let second = record(&paths, "boot-2").unwrap();
        assert_ne!(second.operation, first.operation);
    }
}
