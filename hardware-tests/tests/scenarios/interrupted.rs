//! Installations that are interrupted go on by themselves.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::{Board, Disk},
    golden::{self, DISK, INSTALL, SERIAL, wait_until_running},
    proxy::{Fault, FaultProxy, Seen},
    qemu::{Medium, Qemu},
    scenario,
    site::{PROFILE, Ports, Site, Via},
};

use crate::gate::token_uses;

/// From power-on to the end of the download: two minutes on an idle machine.
const PULLED: Duration = Duration::from_secs(20 * 60);

/// A filled registry with a proxy before it, and a hub that sends hosts to the proxy.
fn site(folder: &Path) -> Result<(Artifacts, Site, FaultProxy)> {
    let artifacts = Artifacts::build(Profile::Thin)?;
    let site = Site::open(&artifacts, &folder.join("site"), Ports::default())?;
    site.fill(&artifacts)?;
    let proxy = FaultProxy::start(&site.registry, 0)?;
    site.publish(&artifacts, Via::Proxy(proxy.port()))?;
    Ok((artifacts, site, proxy))
}

/// An empty machine with an ISO of this `user_data`, still off.
fn machine(artifacts: &Artifacts, folder: &Path, user_data: &Path) -> Result<Qemu> {
    let iso = folder.join("burin.iso");
    artifacts.make_iso(user_data, &iso)?;
    machine_with(folder, iso)
}

/// An empty machine with this `iso` as a stick, still off.
fn machine_with(folder: &Path, iso: PathBuf) -> Result<Qemu> {
    let disk = Disk::empty(&folder.join("disk.raw"), DISK, SERIAL)?;
    golden::machine(folder, vec![disk], Some(Medium::UsbStick(iso)))
}

/// Two minutes.
#[test]
#[ignore = "minutes: 2, scripts/check --full"]
fn a_blob_that_is_cut_goes_on_where_it_was_cut() -> Result<()> {
    scenario::tell("registry-cut", |folder| {
        let (artifacts, site, proxy) = site(folder)?;
        let user_data = site.user_data("interrupted", "")?;
        let mut machine = machine(&artifacts, folder, &user_data)?;
        let published = proxy.seen().len();
        proxy.plan(Fault::CutAfter(1_000_000), 4);
        machine.power_on()?;

        machine.wait_for("burin: step pull done", PULLED)?;
        let seen = proxy.seen();
        let pulls = &seen[published..];
        let cut = pulls.iter().find(|it| it.sent == 1_000_000);
        let cut = cut.with_context(|| format!("nothing was cut: {pulls:?}"))?;
        let goes_on = |it: &&Seen| it.request == cut.request && (1..=1_000_000).contains(&it.from);
        let again = pulls.iter().find(goes_on);
        again.with_context(|| format!("no request went on: {pulls:?}"))?;
        Ok(())
    })
}

/// Three minutes.
#[test]
#[ignore = "minutes: 3, scripts/check --full"]
fn a_reset_in_the_middle_of_the_download_needs_no_person() -> Result<()> {
    scenario::tell("reset-in-pull", |folder| {
        let (artifacts, site, proxy) = site(folder)?;
        let user_data = site.user_data("interrupted", "")?;
        let mut machine = machine(&artifacts, folder, &user_data)?;
        // Slow enough that the download is not over before the reset.
        proxy.plan(Fault::Slow(2_000_000), 100);
        machine.power_on()?;

        machine.wait_for("burin: step pull started", PULLED)?;
        machine.wait_for("burin: progress step=pull", PULLED)?;
        machine.reset()?;
        proxy.plan(Fault::Refuse, 0);
        machine.wait_for("burin: note going on with the installation on", PULLED)?;
        machine.wait_for("burin: step pull done", PULLED)?;
        let said = machine.console()?.text();
        let partitioned = said.matches("burin: step partition done").count();
        assert_eq!(partitioned, 1, "the disk was partitioned anew");
        assert_eq!(token_uses(&site)?, 1);
        assert_eq!(site.hub.hosts()?.len(), 1, "a second host appeared");
        Ok(())
    })
}

/// The blobs that `seen` asks for.
fn blobs(seen: &[Seen]) -> BTreeSet<&str> {
    seen.iter().map(|it| it.request.as_str()).collect()
}

/// Waits until the only host runs generation 1, which it became with one use of the only token.
fn runs_with_one_token(site: &Site) -> Result<()> {
    let host = wait_until_running(site, INSTALL)?;
    assert_eq!(host["observed"]["generation"], 1, "{host}");
    assert_eq!(token_uses(site)?, 1, "another use of the token was spent");
    assert_eq!(site.hub.hosts()?.len(), 1, "a second host appeared");
    Ok(())
}

/// Four minutes. The kernel kills the agent for us, as it does when memory runs out.
#[test]
#[ignore = "minutes: 4, scripts/check --full"]
fn an_agent_that_is_killed_in_the_download_is_started_again_and_goes_on() -> Result<()> {
    scenario::tell("agent-killed", |folder| {
        let (artifacts, site, proxy) = site(folder)?;
        let user_data = site.user_data("interrupted", "")?;
        let iso = folder.join("burin.iso");
        artifacts.make_iso_with(&["sysrq_always_enabled"], &user_data, &iso)?;
        let mut machine = machine_with(folder, iso)?;
        let published = proxy.seen().len();
        proxy.plan(Fault::Slow(2_000_000), 100);
        machine.power_on()?;

        machine.wait_for("burin: step pull started", PULLED)?;
        // Three are under way at a time: where there is a fourth, one lies in the store.
        site.hub.wait_for("the fourth blob", PULLED, |_| {
            (blobs(&proxy.seen()[published..]).len() > 3).then_some(())
        })?;
        machine.kill_the_largest_process()?;
        machine.wait_for("burin: agent ended unexpectedly (signal: 9", PULLED)?;
        let killed = proxy.seen().len();
        proxy.plan(Fault::Refuse, 0);
        machine.wait_for("burin: note going on with the installation on", PULLED)?;
        machine.wait_for("burin: step pull done", PULLED)?;
        let seen = proxy.seen();
        let (before, after) = (blobs(&seen[published..killed]), blobs(&seen[killed..]));
        assert!(
            after.is_subset(&before) && after.len() < before.len(),
            "pulled before: {before:?}, again: {after:?}"
        );
        runs_with_one_token(&site)?;
        let said = machine.console()?.text();
        let partitioned = said.matches("burin: step partition done").count();
        assert_eq!(partitioned, 1, "the disk was partitioned anew");
        let events = site.hub.ask(&["event", "list"])?.to_string();
        assert!(
            events.contains("going on with the installation"),
            "the hub heard nothing of the agent's second life"
        );
        Ok(())
    })
}

/// Five minutes.
#[test]
#[ignore = "minutes: 5, scripts/check --full"]
fn resets_after_the_download_pull_nothing_again() -> Result<()> {
    scenario::tell("reset-after-pull", |folder| {
        let (artifacts, site, proxy) = site(folder)?;
        let user_data = site.user_data("interrupted", "")?;
        let mut machine = machine(&artifacts, folder, &user_data)?;
        machine.power_on()?;

        machine.wait_for("burin: step seal started", PULLED)?;
        let pulled = proxy.seen().len();
        machine.reset()?;
        machine.wait_for("burin: note going on with the installation on", PULLED)?;
        machine.wait_for("burin: step kernel started", PULLED)?;
        machine.reset()?;
        runs_with_one_token(&site)?;
        assert_eq!(proxy.seen().len(), pulled, "a blob was pulled again");
        let said = machine.console()?.text();
        for (step, times) in [("partition", 1), ("recovery", 1), ("pull", 1), ("good", 1)] {
            let line = format!("burin: step {step} done");
            assert_eq!(said.matches(&line).count(), times, "{line}");
        }
        Ok(())
    })
}

/// Four minutes.
#[test]
#[ignore = "minutes: 4, scripts/check --full"]
fn a_power_cut_between_acceptance_and_first_write_needs_no_person() -> Result<()> {
    scenario::tell("cut-after-acceptance", |folder| {
        let (artifacts, site, _proxy) = site(folder)?;
        let user_data = site.user_data("interrupted", "")?;
        let mut machine = machine(&artifacts, folder, &user_data)?;
        machine.power_on()?;

        machine.wait_for("burin: accepted", PULLED)?;
        // The token assigns a profile: in a moment the installer writes.
        machine.freeze()?;
        assert_eq!(machine.written(0)?, 0, "the cut came too late");
        machine.power_cut()?;
        let accepted = site.hub.hosts()?;
        machine.power_on()?;
        runs_with_one_token(&site)?;
        assert_eq!(site.hub.hosts()?[0]["uid"], accepted[0]["uid"]);
        Ok(())
    })
}

/// Two minutes.
#[test]
#[ignore = "minutes: 2, scripts/check --full"]
fn a_power_cut_before_the_first_write_uses_no_second_token() -> Result<()> {
    scenario::tell("cut-before-write", |folder| {
        let (artifacts, site, _proxy) = site(folder)?;
        // Accepted, but not told what to be: the moment between acceptance and first write stands still.
        let answer = site.hub.ask(&["token", "create", "--uses", "1"])?;
        let token = answer["token"].as_str().context("no token")?;
        let user_data = folder.join("user-data");
        std::fs::write(&user_data, site.hub.user_data(token)?)?;
        let mut machine = machine(&artifacts, folder, &user_data)?;
        machine.power_on()?;

        machine.wait_for("burin: accepted", PULLED)?;
        assert_eq!(machine.written(0)?, 0, "it wrote before it was told to");
        machine.power_cut()?;
        machine.power_on()?;
        machine.wait_for("burin: accepted", PULLED)?;
        let hosts = site.hub.hosts()?;
        assert_eq!(hosts.len(), 1, "a second host appeared: {hosts:?}");
        let uid = hosts[0]["uid"].as_str().context("a host without uid")?;
        site.hub.run(&["assign", uid, PROFILE])?;
        machine.wait_for("burin: step partition done", PULLED)?;
        assert_eq!(token_uses(&site)?, 1);
        Ok(())
    })
}
