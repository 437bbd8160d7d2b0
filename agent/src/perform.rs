//! Performs a plan: the one match over all steps, the one place where they leave the runtime's
//! thread, and the one place that decides about trying again.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use burin_api::event::EventKind;
use burin_core::backoff::{Class, pause};
use burin_core::plan::Step;
use burin_core::record::LastError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::context::Context;
use crate::events::Meter;
use crate::record::Keeper;
use crate::steps::{self, Failure, Outcome};

/// Blobs pulled at the same time. One fills a fast line, more hide the waits of many small blobs.
const PULLS: usize = 3;

/// A plan that did not come to its end.
#[derive(Debug)]
pub struct Stopped {
    /// The step that failed.
    pub step: &'static str,
    /// When to look and plan again; none when something else must change first.
    pub again: Option<Duration>,
}

/// Performs the steps in order. Steps of the same kind that follow each other and do not depend on
/// each other (pulls) run at once. The record is synced before and after each step.
///
/// # Errors
/// The first failure, after it was reported and recorded. To go on: look again, plan again.
pub async fn run(ctx: &Context, keeper: &Keeper, plan: &[Step]) -> Result<Outcome, Stopped> {
    let groups = groups(plan);
    let all = u32::try_from(groups.len()).unwrap_or(u32::MAX);
    for (at, group) in (1_u32..).zip(groups) {
        let name = group[0].name();
        let meter = Meter::new(&ctx.events, name, at, all, bytes(group));
        let ctx = Context {
            meter,
            ..ctx.clone()
        };
        let outcome = match perform_group(&ctx, keeper, group).await {
            Ok(outcome) => outcome,
            Err(error) => return Err(stop(&ctx, keeper, name, &error)),
        };
        if outcome != Outcome::Done {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Done)
}

async fn perform_group(ctx: &Context, keeper: &Keeper, group: &[Step]) -> Result<Outcome> {
    let name = group[0].name();
    keeper.change(|record| record.begin(name))?;
    ctx.events.started(name);
    let mut outcome = Ok(Outcome::Done);
    let mut waiting = group.iter();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < PULLS
            && outcome.is_ok()
            && let Some(step) = waiting.next()
        {
            let beside = Context {
                meter: ctx.meter.beside(),
                ..ctx.clone()
            };
            running.push(on_a_thread(beside, step.clone()));
        }
        match running.next().await {
            None => break,
            // What runs beside a failed step comes to its end: two threads at one layer would
            // otherwise meet after the next look.
            Some(result) => outcome = outcome.and(result),
        }
    }
    let outcome = outcome?;
    keeper.change(|record| record.end(name))?;
    ctx.events.done(name);
    Ok(outcome)
}

/// Steps block on disks, hashes and the kernel. Each runs on a thread of its own, where it may also
/// wait for the network: the runtime's thread goes on serving timers and sockets.
async fn on_a_thread(ctx: Context, step: Step) -> Result<Outcome> {
    let runtime = tokio::runtime::Handle::current();
    let thread = tokio::task::spawn_blocking(move || runtime.block_on(perform(&ctx, &step)));
    thread.await.context("the step's thread died")?
}

async fn perform(ctx: &Context, step: &Step) -> Result<Outcome> {
    match step {
        Step::Partition { layout } => steps::partition::perform(ctx, layout).await,
        Step::MakeFilesystems { layout } => steps::filesystems::perform(ctx, layout).await,
        Step::KeepIdentity => steps::identity::perform(ctx).await,
        Step::InstallRecovery => steps::recovery::perform(ctx).await,
        Step::PullBlob {
            image,
            registry,
            repository,
            blob,
        } => steps::pull::perform(ctx, image, registry, repository, blob).await,
        Step::Seal { generation } => steps::seal::perform(ctx, *generation).await,
        Step::WriteGeneration { generation } => steps::generation::perform(ctx, *generation).await,
        Step::WriteKernel { generation } => steps::kernel::perform(ctx, *generation).await,
        Step::WriteEntry { generation } => steps::entry::perform(ctx, *generation).await,
        Step::Reboot => Ok(Outcome::Reboot),
        Step::StartKubernetes => steps::kubernetes::perform(ctx).await,
        Step::ProveHealth { generation } => steps::health::perform(ctx, *generation).await,
        Step::MarkGood { generation } => steps::good::perform(ctx, *generation).await,
    }
}

/// Pulls that follow each other make one group, every other step one of its own.
fn groups(plan: &[Step]) -> Vec<&[Step]> {
    let pull = |step: &Step| matches!(step, Step::PullBlob { .. });
    plan.chunk_by(|a, b| pull(a) && pull(b)).collect()
}

fn bytes(group: &[Step]) -> u64 {
    let sizes = group.iter().map(|step| match step {
        Step::PullBlob { blob, .. } => blob.unpacked,
        _ => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

/// Decides about trying again, records and reports it.
fn stop(ctx: &Context, keeper: &Keeper, step: &'static str, error: &anyhow::Error) -> Stopped {
    let class = Failure::class_of(error);
    let attempts = keeper.now().attempts(step).max(1);
    let again = pause(class, attempts, random());
    match again {
        Some(pause) => ctx.events.retrying(step, error, pause),
        None => ctx.events.failed(step, error),
    }
    let last = LastError {
        step: step.to_owned(),
        causes: error.chain().map(ToString::to_string).collect(),
        advice: Failure::advice_of(error).to_owned(),
        retried: class != Class::Never,
    };
    if let Err(err) = keeper.fail(last) {
        ctx.events
            .report(EventKind::Note, step, &err.context("recording the failure"));
    }
    Stopped { step, again }
}

/// A random number for jitter. Without randomness there is no jitter, which only costs evenness.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::MAX / 2,
    }
}

/// A random version 4 UUID in lower case: the name of an operation, and the GUID of its disk.
///
/// # Errors
/// When the kernel gives no randomness: two disks could then not be told apart.
pub fn random_uuid() -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the kernel gives no random bytes"))?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    Ok(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_api::desired::Blob;

    fn pull(id: &str) -> Step {
        Step::PullBlob {
            image: String::new(),
            registry: String::new(),
            repository: String::new(),
            blob: Blob {
                digest: id.to_owned(),
                diff_id: id.to_owned(),
                size: 1,
                media_type: String::new(),
                unpacked: 10,
                entries: 1,
            },
        }
    }

    #[test]
    fn only_pulls_run_at_once() {
        let plan = [
            Step::KeepIdentity,
            Step::InstallRecovery,
            pull("a"),
            pull("b"),
            Step::Seal { generation: 1 },
            Step::WriteEntry { generation: 1 },
        ];
        let groups = groups(&plan);
        let sizes: Vec<_> = groups.iter().map(|group| group.len()).collect();
        assert_eq!(sizes, [1, 1, 2, 1, 1]);
        assert_eq!(bytes(groups[2]), 20);
    }

    #[test]
    fn an_operation_gets_a_name_of_its_own() {
        let (a, b) = (random_uuid().unwrap(), random_uuid().unwrap());
        assert_ne!(a, b);
        assert_eq!((a.len(), &a[14..15]), (36, "4"));
    }
}
