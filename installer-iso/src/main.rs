//! `burin-iso`: builds the burin ISO and tells what one holds.
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use burin_iso::build::{self, Built, Told};
use burin_iso::custom::Base;
use burin_iso::spec::Spec;
use burin_iso::{Refused, inspect, mirror, packages};
use clap::{Args, Parser, Subcommand};
use serde_json::json;

/// Exit code for input that a person must correct.
const BAD_INPUT: u8 = 2;

#[derive(Debug, Parser)]
#[command(version, about = "Builds the burin ISO and tells what one holds")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build an ISO; flags win over the spec
    #[command(
        after_help = "Examples:\n  burin-iso build --agent \"$(command -v burin)\" --user-data user-data.yaml --out burin.iso\n  burin-iso build --spec iso.yaml --out burin.iso --force"
    )]
    Build(Box<Build>),
    /// Make an ISO with other user-data of a finished one, within a second
    #[command(
        after_help = "Example:\n  burin-iso customize burin.iso --user-data oslo.yaml --out oslo.iso"
    )]
    Customize {
        /// The finished ISO; it stays as it is
        iso: PathBuf,
        /// User-data that takes the place of what is built in
        #[arg(long)]
        user_data: PathBuf,
        /// The ISO to write; for its owner alone, as a token in it lets hosts in
        #[arg(long)]
        out: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell what an ISO holds and check it against its manifest
    #[command(
        after_help = "Examples:\n  burin-iso inspect burin.iso\n  burin-iso inspect burin.iso --json"
    )]
    Inspect {
        /// The ISO
        iso: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch and extract the packages that an ISO is built from; prints the folder
    #[command(after_help = "Example:\n  burin-iso packages --out packages")]
    Packages {
        /// Also make this a symbolic link to the folder
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Build {
    /// Spec file (YAML); without it every setting has its default
    #[arg(long)]
    spec: Option<PathBuf>,
    /// The ISO to write; for its owner alone when user-data is in it, as a token lets hosts in
    #[arg(long)]
    out: PathBuf,
    /// Write over a file that is there already
    #[arg(long)]
    force: bool,
    /// The static burin binary
    #[arg(long)]
    agent: Option<PathBuf>,
    /// Folder of extracted packages (`burin-iso packages`); made when not given
    #[arg(long)]
    packages: Option<PathBuf>,
    /// User-data file to be built in
    #[arg(long)]
    user_data: Option<PathBuf>,
    /// One more kernel parameter for every boot entry; may be repeated
    #[arg(long)]
    extra_cmdline: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let action = Arguments::parse().command;
    let form = action.form();
    match run(action) {
        Ok(code) => code,
        Err(error) => {
            let bad_input = error.downcast_ref::<Refused>().is_some();
            form.failure(&error, if bad_input { "bad_input" } else { "failed" });
            ExitCode::from(if bad_input { BAD_INPUT } else { 1 })
        }
    }
}

/// How a command speaks on standard error.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    /// One object a line.
    Json,
}

impl Form {
    fn failure(self, error: &anyhow::Error, code: &str) {
        let detail = format!("{error:#}");
        match self {
            Self::Text => eprintln!("burin-iso: {detail}"),
            Self::Json => eprintln!("{}", json!({ "type": code, "detail": detail })),
        }
    }

    fn tell(self, told: Told<'_>) {
        match (self, told) {
            (Self::Text, Told::Step(step)) => eprintln!("{step} ..."),
            (Self::Text, Told::Warning(text)) => eprintln!("{text}"),
            (Self::Json, Told::Step(step)) => eprintln!("{}", json!({ "step": step })),
            (Self::Json, Told::Warning(text)) => eprintln!("{}", json!({ "warning": text })),
        }
    }
}

impl Action {
    fn form(&self) -> Form {
        match self {
            Self::Build(build) if build.json => Form::Json,
            Self::Customize { json: true, .. } | Self::Inspect { json: true, .. } => Form::Json,
            _ => Form::Text,
        }
    }
}

fn run(action: Action) -> Result<ExitCode> {
    let form = action.form();
    match action {
        Action::Build(command) => make(*command, form).map(|()| ExitCode::SUCCESS),
        Action::Customize {
            iso,
            user_data,
            out,
            json,
        } => customize(&iso, &user_data, &out, json).map(|()| ExitCode::SUCCESS),
        Action::Inspect { iso, json } => {
            let found =
                inspect::inspect(&iso).with_context(|| format!("inspecting {}", iso.display()))?;
            if json {
                println!("{}", serde_json::to_string_pretty(&found)?);
            } else {
                print!("{}", found.text());
            }
            Ok(if found.problems.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Action::Packages { out } => {
            let tree = tree()?;
            if let Some(out) = out {
                replace_link(&tree, &out)?;
            }
            println!("{}", tree.display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn make(command: Build, form: Form) -> Result<()> {
    let tell = |told: Told<'_>| form.tell(told);
    let out = &command.out;
    // Told before the work begins.
    if !command.force && out.symlink_metadata().is_ok() {
        return Err(Refused(format!("{}, or say --force", Refused::existing(out))).into());
    }
    let mut all = read_spec(command.spec.as_deref())?;
    all.agent = command.agent.or(all.agent);
    all.packages = command.packages.or(all.packages);
    all.user_data = command.user_data.or(all.user_data);
    all.extra_cmdline.extend(command.extra_cmdline);
    if all.packages.is_none() {
        tell(Told::Step(
            "looking for the packages (120 MB are fetched at the first time)",
        ));
        all.packages = Some(tree()?);
    }
    let built = build::build(&all, out, epoch()?, &tell)?;
    report(&built, out, command.json)
}

fn customize(iso: &Path, user_data: &Path, out: &Path, json: bool) -> Result<()> {
    let form = if json { Form::Json } else { Form::Text };
    let text = build::read_user_data(user_data, &|told| form.tell(told))?;
    let base = Base::open(iso)?;
    let sha256 = base.write(&base.fill(&text)?, out)?;
    if json {
        println!("{}", json!({ "bytes": base.bytes(), "sha256": sha256 }));
    } else {
        println!("{}: made of {}", out.display(), iso.display());
        println!("sha256 {sha256}");
    }
    Ok(())
}

fn read_spec(path: Option<&Path>) -> Result<Spec> {
    let Some(path) = path else {
        return Ok(Spec::default());
    };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Refused(format!("{}: {error}", path.display())))?;
    Ok(Spec::parse(&text, path)?)
}

fn tree() -> Result<PathBuf> {
    packages::ensure_tree(&mirror::of_this_machine()?, &packages::cache()?)
        .context("making the package tree")
}

/// `SOURCE_DATE_EPOCH`, as reproducible-builds.org defines it.
fn epoch() -> Result<Option<u64>> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let epoch = text.parse();
    epoch.map(Some).map_err(|_| {
        Refused(format!(
            "SOURCE_DATE_EPOCH: found {text:?}, expected seconds since 1970"
        ))
        .into()
    })
}

fn replace_link(tree: &Path, out: &Path) -> Result<()> {
    if out.is_symlink() {
        std::fs::remove_file(out).with_context(|| format!("removing {}", out.display()))?;
    }
    std::os::unix::fs::symlink(tree, out).with_context(|| format!("linking {}", out.display()))
}

fn report(built: &Built, out: &Path, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(built)?);
        return Ok(());
    }
    let mib = built.bytes as f64 / f64::from(1 << 20);
    println!(
        "{}: {mib:.1} MiB, kernel {}, {} drivers",
        out.display(),
        built.kernel,
        built.drivers
    );
    println!("sha256 {}", built.sha256);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_an_example_that_is_understood() {
        let all = Arguments::command();
        for command in all.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help
                .unwrap_or_default()
                .replace("\"$(command -v burin)\"", "burin");
            let lines: Vec<&str> = help
                .lines()
                .filter(|line| line.starts_with("  burin-iso "))
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
