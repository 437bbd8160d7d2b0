//! `burin-hub release`: from a published version to the envelope that hosts believe.

use std::path::PathBuf;

use clap::Subcommand;

use super::key;
use crate::client::{Failure, Output};

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Keys that sign releases. They are made and used off the hub.
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key in a file of its own, and its public half in FILE.pub. Needs no hub.
    #[command(after_help = "Example:\n  burin-hub release key init /media/stick/release.key")]
    Init {
        /// Where to write the key; no such file is there yet.
        file: PathBuf,
    },
}

/// Carries out a command.
///
/// # Errors
/// What is wrong with the files, what the hub refuses.
pub(crate) fn run(command: ReleaseCommand, output: &mut Output) -> Result<(), Failure> {
    match command {
        ReleaseCommand::Key(KeyCommand::Init { file }) => {
            let public = key::init(&file)?;
            let print = public.thumbprint().map_err(anyhow::Error::from)?;
            let value =
                serde_json::json!({ "public_key": key::digits(&public), "thumbprint": print });
            output.show(&value, |_| {
                format!(
                    "release key sha256:{print}\nits public half, for `root rotate --add-release-key`: {}",
                    key::digits(&public)
                )
            })
        }
    }
}
