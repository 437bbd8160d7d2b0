//! The binary: finds out what it is, calls, prints the chain of causes once, exits.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use burin::agent::{self, Life};
use burin::check::{self, Warnings};
use burin::context::Paths;
use burin::host;
use burin::init::{self, Role};
use clap::{Parser, Subcommand};

/// Engraves an immutable system and Kubernetes on bare metal.
#[derive(Debug, Parser)]
#[command(name = "burin", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints what this box is, its host ID and whether it passes the hardware check (exit code 2 when
    /// it does not).
    #[command(after_help = "Examples:\n  burin host\n  burin host --json")]
    Host {
        /// As JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Says what is wrong with a user-data file, with line, column and what to write instead.
    #[command(
        after_help = "Examples:\n  burin check user-data.yaml --strict\n  burin check user-data.yaml site.yaml --profile profile.yaml\n  burin check --profile profile.yaml --json"
    )]
    Check {
        /// The user-data file; several are the sources of one host, lowest first: what is built into
        /// the ISO, then what the site adds.
        #[arg(required_unless_present = "profile")]
        files: Vec<PathBuf>,
        /// A profile to check as well, or alone.
        #[arg(long)]
        profile: Option<PathBuf>,
        /// Warnings fail, too (exit code 1; errors: 2).
        #[arg(long)]
        strict: bool,
        /// As JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Installs this machine (in the ISO, as the child of PID 1).
    #[command(hide = true)]
    Agent,
    /// Brings the installed generation up and talks to the hub (started by burin.service).
    #[command(hide = true)]
    Service,
    /// Loads drivers for the devices that are there and for those that come (child of PID 1).
    #[command(hide = true)]
    Drivers,
}

/// Exit code of a machine that burin cannot be installed on, and of input with errors.
const BAD: u8 = 2;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        return as_first_process();
    }
    if let Err(err) = nix::sys::signal::SigSet::empty().thread_set_mask() {
        // PID 1 blocks signals for itself, and its children inherit that.
        eprintln!("burin: unblocking signals: {err}");
    }
    let mut words = std::env::args();
    let called = words.next().unwrap_or_default();
    let done = if Path::new(&called)
        .file_name()
        .is_some_and(|name| name == "modprobe")
    {
        init::drivers::helper(words).map(|()| ExitCode::SUCCESS)
    } else {
        perform(Arguments::parse().command)
    };
    done.unwrap_or_else(|err| {
        eprintln!("burin: {err:#}");
        ExitCode::FAILURE
    })
}

fn as_first_process() -> ExitCode {
    match init::role(Path::new("/")) {
        Ok(Role::Installer) => init::run(),
        Ok(Role::Sysroot) => burin::sysroot::run(),
        Err(err) => init::park(&format!("burin: {err:#}")),
    }
}

fn perform(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Host { json } => {
            let mut random = [0u8; 16];
            ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random).map_err(
                |_| anyhow::anyhow!("drawing a random host ID: the kernel gave no bytes"),
            )?;
            let report = host::report(Path::new("/"), random);
            let shown = if json { report.json() } else { report.text() };
            print(&shown?)?;
            Ok(ExitCode::from(if report.is_blocked() { BAD } else { 0 }))
        }
        Command::Check {
            files,
            profile,
            strict,
            json,
        } => {
            let report = match check::check(&files, profile.as_deref()) {
                Ok(report) => report,
                Err(err) => {
                    tell_unreadable(&err, json)?;
                    // 1 would say that there were warnings.
                    return Ok(ExitCode::from(BAD));
                }
            };
            let shown = if json { report.json() } else { report.text() };
            print(&shown?)?;
            let warnings = if strict {
                Warnings::Fail
            } else {
                Warnings::Pass
            };
            Ok(ExitCode::from(report.exit_code(warnings)))
        }
        Command::Agent => {
            log_to_stderr();
            agent::run(Life::Installer, &Paths::default())
        }
        Command::Service => {
            log_to_stderr();
            agent::run(Life::Service, &Paths::default())
        }
        Command::Drivers => {
            log_to_stderr();
            init::drivers::run().map(|()| ExitCode::SUCCESS)
        }
    }
}

fn tell_unreadable(err: &anyhow::Error, json: bool) -> anyhow::Result<()> {
    if json {
        let failed = check::Failed {
            code: "unreadable",
            detail: format!("{err:#}"),
        };
        eprintln!("{}", serde_json::to_string(&failed)?);
    } else {
        eprintln!("burin: {err:#}");
    }
    Ok(())
}

/// What is for the log only, beside the events: PID 1 keeps it in a file, systemd in its journal.
fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .init();
}

/// Prints, and takes a closed pipe (`burin host | head`) for an ordinary end.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    match std::io::stdout()
        .write_all(text.trim_end().as_bytes())
        .and_then(|()| writeln!(std::io::stdout()))
    {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(err).context("writing to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_for_people_has_an_example_that_is_understood() {
        let all = Arguments::command();
        for command in all.get_subcommands().filter(|it| !it.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let lines: Vec<&str> = help
                .lines()
                .filter(|line| line.starts_with("  burin "))
                .collect();
            assert!(!lines.is_empty(), "{}", command.get_name());
            for line in lines {
                if let Err(err) = Arguments::try_parse_from(line.split_whitespace()) {
                    panic!("{line}: {err}");
                }
            }
        }
    }
}
