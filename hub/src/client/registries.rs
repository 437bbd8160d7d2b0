//! `burin-hub registry`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;

use super::connect::{Client, Failure};
use super::output::{Output, table};
use crate::admin::types::RegistryEntry;

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// List a registry, or replace what was said of it.
    #[command(
        after_help = "Examples:\n  burin-hub --data ./hub registry add registry.example\n  burin-hub --data ./hub registry add 10.0.2.2:5000 --endpoint http://127.0.0.1:5000 --plain-http"
    )]
    Add(AddRegistry),
    /// List the registries.
    #[command(after_help = "Example:\n  burin-hub --data ./hub registry list --json")]
    List,
    /// Take a registry off the list.
    #[command(after_help = "Example:\n  burin-hub --data ./hub registry remove registry.example")]
    Remove {
        /// Host and port as image references name it.
        host: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddRegistry {
    /// Host and port as image references name it.
    host: String,
    /// Where the hub itself finds it, when hosts see it under another address.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// PEM file with additional roots for its certificate.
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// The one token service that may see its credentials.
    #[arg(long, value_name = "https://URL")]
    token_realm: Option<String>,
    /// It speaks HTTP without TLS; it never gets a credential then.
    #[arg(long)]
    plain_http: bool,
}

pub(super) async fn run(
    client: &Client,
    command: RegistryCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        RegistryCommand::Add(args) => {
            let mut ca = Vec::new();
            for file in &args.ca {
                let read = std::fs::read_to_string(file);
                ca.push(
                    read.map_err(|err| {
                        Failure::Input(format!("reading {}: {err}", file.display()))
                    })?,
                );
            }
            let entry = RegistryEntry {
                host: args.host,
                endpoint: args.endpoint,
                plain_http: args.plain_http,
                ca,
                token_realm: args.token_realm,
            };
            let entry: RegistryEntry = client.post("/api/v1/registries", &entry).await?;
            output.show(&entry, |entry| format!("registry {} is listed", entry.host))
        }
        RegistryCommand::List => {
            let entries: Vec<RegistryEntry> = client.get("/api/v1/registries").await?;
            output.show(&entries, |entries| {
                let rows: Vec<_> = entries
                    .iter()
                    .map(|entry| {
                        let scheme = if entry.plain_http { "http" } else { "https" };
                        let endpoint = entry.endpoint.clone().unwrap_or_default();
                        vec![entry.host.clone(), scheme.to_owned(), endpoint]
                    })
                    .collect();
                table(&["HOST", "SCHEME", "ENDPOINT OF THE HUB"], &rows)
            })
        }
        RegistryCommand::Remove { host } => {
            let path = format!("/api/v1/registries/{host}");
            client.act(Method::DELETE, &path).await?;
            output.show(&serde_json::json!({ "host": host }), |_| {
                format!("registry {host} is no longer listed")
            })
        }
    }
}
