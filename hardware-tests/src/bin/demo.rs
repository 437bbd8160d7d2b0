//! `scripts/demo`: an empty virtual machine becomes a running Kubernetes host, before your eyes.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    board::{Board, Disk},
    progress::Follow,
    qemu::{Medium, Qemu, Spec, accel},
    register::Mode,
    site::{Ports, Site, Via},
    story::Story,
    workspace,
};
use clap::Parser;
use serde_json::Value;

/// Twelve times what it takes under software emulation on two cores.
const LIMIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Parser)]
#[command(about = "From an empty virtual machine to a running Kubernetes host")]
struct Arguments {
    /// Leave the machine, the hub and the registry running until Ctrl-C
    #[arg(long)]
    stay: bool,
    /// How the host is let in
    #[arg(long, value_enum, default_value_t = Mode::Token)]
    register: Mode,
    /// Build the programs as they are shipped, which takes minutes longer
    #[arg(long)]
    release: bool,
    /// Also write the times and the host's notes to this file, as JSON
    #[arg(long)]
    story: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let folder = workspace::scenario("demo")?;
    let mut follow = Follow::named("build");
    let profile = if arguments.release {
        Profile::Release
    } else {
        Profile::Thin
    };
    say(&follow, "building burin, burin-hub and burin-iso");
    let artifacts = Artifacts::build(profile)?;

    let (site, iso) = prepare(arguments.register, &artifacts, &folder, &mut follow)?;
    println!(
        "hub: https://127.0.0.1:{} (certificate {})",
        site.hub.port(),
        site.hub.greeting.fingerprint
    );
    println!("kubernetes: {}", site.kubernetes);

    let (mut machine, powered) = power_on(&folder, &iso, &mut follow)?;
    let admitted = arguments
        .register
        .admit(&site.hub, &mut machine, |what| say(&follow, what));
    match admitted {
        Ok(Some(took)) => say(
            &follow,
            &format!("the host knows {:.1} s after the click", took.as_secs_f64()),
        ),
        Ok(None) => {}
        Err(error) => return Err(error.context(machine.leave_traces())),
    }
    let host = watch(&site, &mut machine, &mut follow)?;
    let seconds = follow.seconds() - powered;
    println!("phases:");
    for (name, seconds) in follow.finish() {
        println!("  {seconds:7.1} s  {name}");
    }
    let story = Story::new(site.hub.ask(&["event", "list"])?, seconds)?;
    print!("{story}");
    if let Some(path) = &arguments.story {
        let text = serde_json::to_string_pretty(&story).context("writing the story")?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let id = host["host_id"].as_str().unwrap_or("?");
    let generation = &host["observed"]["generation"];
    println!("demo: host {id} is running, generation {generation}, {seconds:.0} s");
    if arguments.stay {
        println!("Everything stays up until Ctrl-C.");
        machine.console()?.wait_for_end(Duration::MAX)?;
    }
    Ok(())
}

/// Starts registry and hub with everything that a host needs, and makes the ISO.
fn prepare(
    mode: Mode,
    artifacts: &Artifacts,
    folder: &Path,
    follow: &mut Follow,
) -> Result<(Site, PathBuf)> {
    follow.enter("images");
    let site = Site::open(artifacts, &folder.join("site"), Ports::default())?;
    say(
        follow,
        "making the OS and Kubernetes images and pushing them to the registry",
    );
    site.fill(artifacts)?;
    follow.enter("publish");
    say(follow, "publishing the profile");
    site.publish(artifacts, Via::Registry)?;
    let (user_data, how) = match mode {
        Mode::Token => (site.user_data("demo", "")?, "a token for one host"),
        Mode::Manual | Mode::Qr => (site.user_data_without_token("demo")?, "no secret"),
    };
    follow.enter("iso");
    let iso = folder.join("burin.iso");
    artifacts.make_iso(&user_data, &iso)?;
    let mib = std::fs::metadata(&iso).context("looking at the ISO")?.len() >> 20;
    say(follow, &format!("made an ISO of {mib} MiB with {how}"));
    Ok((site, iso))
}

fn power_on(folder: &Path, iso: &Path, follow: &mut Follow) -> Result<(Qemu, f64)> {
    let disk = Disk::empty(&folder.join("disk.raw"), 128 << 30, "BURIN-DEMO")?;
    let mut spec = Spec::edge_box(vec![disk], Some(Medium::UsbStick(iso.to_owned())));
    spec.accel = accel::choose(None)?;
    let mut machine = Qemu::new(spec, folder)?;
    follow.enter("firmware and installer");
    say(follow, "power on: an empty machine, the ISO as a USB stick");
    let powered = follow.seconds();
    machine.power_on()?;
    Ok((machine, powered))
}

/// Prints what the hub sees until the host is running.
fn watch(site: &Site, machine: &mut Qemu, follow: &mut Follow) -> Result<Value> {
    let running = site.hub.wait_for("the host to run", LIMIT, |hosts| {
        let host = hosts.first()?;
        if let Some(line) = follow.see(host) {
            println!("{line}");
        }
        match host["phase"].as_str() {
            Some("running") => Some(Ok(host.clone())),
            Some("blocked") => Some(Err(host.clone())),
            _ => None,
        }
    });
    match running {
        Ok(Ok(host)) => Ok(host),
        Ok(Err(host)) => bail!("the host was blocked: {host}"),
        Err(error) => Err(error.context(machine.leave_traces())),
    }
}

fn say(follow: &Follow, what: &str) {
    println!("{:7.1} s  {what}", follow.seconds());
}
