//! A fleet of fake agents against a real hub process: a storm of new hosts, the steady heartbeat,
//! and the return of all after the hub was away.

mod agent;
pub mod codes;
mod tally;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use burin_api::token::Token;
use tokio::task::JoinSet;

use super::Figure;
use super::cost::{self, Cost};
use crate::artifacts::Artifacts;
use crate::hub::{Hub, Serving};
use agent::{Agent, Site};
use tally::{Answered, Tally, peak, quantile};

/// What is tried.
#[derive(Debug, Clone)]
pub struct Plan {
    pub hosts: u32,
    /// How many of them enroll at one moment.
    pub storm: u32,
    /// Seconds between two syncs of a host.
    pub interval: u32,
    /// How many intervals the heartbeat is watched.
    pub intervals: u32,
    /// How long the hub is away before it is started again.
    pub away: Duration,
    /// URL of an empty PostgreSQL database; SQLite when none.
    pub database: Option<String>,
}

impl Plan {
    /// The measurement, with each host syncing every `interval` seconds; the hub is away for as long
    /// as its machine needs for a start.
    #[must_use]
    pub fn of(hosts: u32, interval: u32, database: Option<String>) -> Self {
        Self {
            hosts,
            storm: hosts.min(1000),
            interval,
            intervals: 2,
            away: Duration::from_secs(10),
            database,
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.interval.into())
    }
}

/// Far beyond every bound: a step that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Parts of an interval in which syncs are counted to see whether they come evenly.
const PARTS: u32 = 6;
/// Addresses and files that are open besides the connections.
const OTHER_FILES: u64 = 200;

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    plan: Plan,
    storm_accepted: Duration,
    storm_synced: Duration,
    steady: Steady,
    /// From the hub's start until the last host had synced again.
    back: Duration,
    /// Of the interval after all were back.
    echo: f64,
    /// MiB.
    memory: f64,
    /// Hosts that the hub itself lists as accepted, at the end.
    pub accepted: usize,
    /// Hosts that synced after the hub's restart.
    pub synced: u32,
}

#[derive(Debug)]
struct Steady {
    answered: Vec<Answered>,
    peak: f64,
    cpu: Duration,
    sent: u64,
    received: u64,
    connections: u64,
    failures: u64,
}

/// Runs a fleet against a hub with its data in `folder`.
///
/// # Errors
/// A hub that does not start, a limit of open files that is too low, or hosts that do not get
/// where they shall.
pub fn run(artifacts: &Artifacts, folder: &Path, plan: &Plan) -> Result<Seen> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let mut fleet = Fleet::start(artifacts, folder, plan)?;
        let (storm_accepted, storm_synced) = fleet.storm().await?;
        fleet.fill().await?;
        let steady = fleet.steady().await?;
        let memory = Cost::of(fleet.hub()?.id())?.peak_mib;
        let (back, echo) = fleet.restart(artifacts, folder).await?;
        let hosts = fleet.hub()?.hosts()?;
        let accepted = hosts.iter().filter(|host| host["state"] == "accepted");
        Ok(Seen {
            plan: plan.clone(),
            storm_accepted,
            storm_synced,
            steady,
            back,
            echo,
            memory,
            accepted: accepted.count(),
            synced: fleet.tally.counts().back,
        })
    })
}

struct Fleet<'a> {
    plan: &'a Plan,
    /// None while it is away.
    hub: Option<Hub>,
    site: Arc<Site>,
    tally: Arc<Tally>,
    /// Ends with the fleet.
    agents: JoinSet<()>,
}

impl<'a> Fleet<'a> {
    fn start(artifacts: &Artifacts, folder: &Path, plan: &'a Plan) -> Result<Self> {
        let hub = Hub::serve(artifacts, folder, &serving(plan, 0))?;
        // After that, because the hub shall do the same for itself.
        cost::allow_files(u64::from(plan.hosts) + OTHER_FILES)?;
        let uses = plan.hosts.to_string();
        let made = hub.ask(&["token", "create", "--uses", &uses])?;
        let token = made["token"].as_str().context("the hub made no token")?;
        let tally = Arc::new(Tally::default());
        tally.new_round();
        let site = Site {
            hub: ([127, 0, 0, 1], hub.port()).into(),
            pin: hub.greeting.root.clone(),
            trust: wire::trust(&hub.ca())?,
            token: Token::parse(token).context("understanding the token")?,
            tally: Arc::clone(&tally),
        };
        Ok(Self {
            plan,
            hub: Some(hub),
            site: Arc::new(site),
            tally,
            agents: JoinSet::new(),
        })
    }

    fn hub(&self) -> Result<&Hub> {
        self.hub.as_ref().context("the hub is away")
    }

    /// Adds hosts until there are `all`, spread over a time.
    fn add(&mut self, all: u32, over: Duration) -> Result<()> {
        let first = u32::try_from(self.agents.len()).context("counting hosts")?;
        // Keys take time: all are made before the first host calls.
        let agents: Result<Vec<Agent>> = (first..all)
            .map(|number| Agent::new(Arc::clone(&self.site), number))
            .collect();
        for (place, agent) in (0..all - first).zip(agents?) {
            self.agents.spawn(agent.run(over * place / (all - first)));
        }
        Ok(())
    }

    /// New hosts at one moment: the time until all are accepted, and until all have synced.
    async fn storm(&mut self) -> Result<(Duration, Duration)> {
        let storm = self.plan.storm;
        self.add(storm, Duration::ZERO)?;
        let began = Instant::now();
        let accepted = self
            .tally
            .wait_for("a storm of new hosts", PATIENCE, |it| it.accepted >= storm)
            .await?;
        self.all_synced("a storm of new hosts", storm).await?;
        Ok((accepted, began.elapsed()))
    }

    /// The others, evenly over an interval.
    async fn fill(&mut self) -> Result<()> {
        let hosts = self.plan.hosts;
        self.add(hosts, self.plan.interval())?;
        self.all_synced("the other hosts", hosts).await
    }

    async fn all_synced(&self, what: &str, hosts: u32) -> Result<()> {
        let all = self.tally.wait_for(what, PATIENCE, |it| it.back >= hosts);
        all.await.map(drop)
    }

    /// Watches the heartbeat after an interval in which it has settled.
    async fn steady(&self) -> Result<Steady> {
        tokio::time::sleep(self.plan.interval()).await;
        let hub = self.hub()?.id();
        let (counts, cost) = (self.tally.counts(), Cost::of(hub)?);
        let (sent, received) = self.bytes();
        let from = Instant::now();
        let time = self.plan.interval() * self.plan.intervals;
        tokio::time::sleep(time).await;
        let answered = self.tally.between(from, Instant::now());
        let (counts_after, cost_after) = (self.tally.counts(), Cost::of(hub)?);
        let (sent_after, received_after) = self.bytes();
        let part = self.plan.interval() / PARTS;
        Ok(Steady {
            peak: peak(&answered, from, part, PARTS * self.plan.intervals),
            answered,
            cpu: cost_after.cpu.saturating_sub(cost.cpu),
            sent: sent_after - sent,
            received: received_after - received,
            connections: counts_after.connections - counts.connections,
            failures: counts_after.failures - counts.failures,
        })
    }

    fn bytes(&self) -> (u64, u64) {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.tally.sent), read(&self.tally.received))
    }

    /// Cuts the hub off for a time and starts it again: how long until the last host is back, and
    /// how unevenly they sync after that.
    async fn restart(&mut self, artifacts: &Artifacts, folder: &Path) -> Result<(Duration, f64)> {
        let port = self.hub()?.port();
        // As a power cut: its value ends it.
        self.hub = None;
        self.tally.new_round();
        tokio::time::sleep(self.plan.away).await;
        let began = Instant::now();
        let serving = serving(self.plan, port);
        let hub = tokio::task::block_in_place(|| Hub::serve(artifacts, folder, &serving))?;
        self.hub = Some(hub);
        let hosts = self.plan.hosts;
        self.all_synced("the hosts after a restart", hosts).await?;
        let (back, from) = (began.elapsed(), Instant::now());
        tokio::time::sleep(self.plan.interval()).await;
        let answered = self.tally.between(from, Instant::now());
        let part = self.plan.interval() / PARTS;
        Ok((back, peak(&answered, from, part, PARTS)))
    }
}

fn serving(plan: &Plan, port: u16) -> Serving<'_> {
    Serving {
        port,
        name: "127.0.0.1",
        interval: plan.interval,
        database: plan.database.as_deref(),
        iso: None,
    }
}

/// Measures a fleet; a row for each thing that was seen.
///
/// # Errors
/// As [`run`].
pub fn measure(artifacts: &Artifacts, folder: &Path, plan: &Plan) -> Result<Vec<Figure>> {
    let seen = run(artifacts, folder, plan)?;
    ensure!(
        seen.accepted == plan.hosts as usize,
        "the hub lists {} accepted hosts of {}",
        seen.accepted,
        plan.hosts
    );
    Ok(figures(&seen))
}

/// Hosts and CPUs of the goal.
const GOAL: (f64, f64) = (100_000.0, 2.0);

/// Names of figures that say on what fleet they were measured.
struct Rows(String);

impl Rows {
    fn row(&self, what: &str, value: f64, unit: &str) -> Figure {
        Figure::reported(&format!("{}: {what}", self.0), value, unit)
    }
}

fn figures(seen: &Seen) -> Vec<Figure> {
    let plan = &seen.plan;
    let database = match plan.database {
        None => "SQLite",
        Some(_) => "PostgreSQL",
    };
    let (hosts, interval) = (plan.hosts, plan.interval);
    let rows = Rows(format!("{database}, {hosts} hosts each {interval} s"));
    let storm = format!("{} new hosts at one moment", plan.storm);
    let back = format!("all back after the hub was away {} s", plan.away.as_secs());
    let mut figures = heartbeat(&rows, &seen.steady, interval);
    figures.extend([
        rows.row("peak memory of the hub", seen.memory, "MiB"),
        rows.row(
            &format!("{storm}, until accepted"),
            seen.storm_accepted.as_secs_f64(),
            "s",
        ),
        rows.row(
            &format!("{storm}, until synced"),
            seen.storm_synced.as_secs_f64(),
            "s",
        ),
        Figure {
            must: Some(300.0),
            ..rows.row(&back, seen.back.as_secs_f64(), "s")
        },
        rows.row(
            "after that, most syncs in a sixth of an interval / mean",
            seen.echo,
            "x",
        ),
    ]);
    figures
}

fn heartbeat(rows: &Rows, steady: &Steady, interval: u32) -> Vec<Figure> {
    let syncs = steady.answered.len().max(1) as f64;
    let each = |count: u64| count as f64 / syncs;
    let cpu = steady.cpu.as_secs_f64() / syncs;
    let ms = |share| quantile(&steady.answered, share).unwrap_or(f64::INFINITY);
    let at_goal = format!("CPUs of the hub for {} hosts, extrapolated", GOAL.0);
    vec![
        Figure {
            must: Some(250.0),
            ..rows.row("p99 of a sync", ms(0.99), "ms")
        },
        rows.row("median of a sync", ms(0.5), "ms"),
        rows.row("CPU of the hub for a sync", cpu * 1000.0, "ms"),
        Figure {
            goal: Some(GOAL.1),
            ..rows.row(&at_goal, cpu * GOAL.0 / f64::from(interval), "CPUs")
        },
        rows.row("sync, sent by the host", each(steady.sent), "B"),
        rows.row("sync, received", each(steady.received), "B"),
        rows.row("connections made for a sync", each(steady.connections), ""),
        rows.row("failed calls", steady.failures as f64, ""),
        rows.row(
            "most syncs in a sixth of an interval / mean",
            steady.peak,
            "x",
        ),
    ]
}
