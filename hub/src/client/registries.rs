//! `burin-hub registry`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;

use super::connect::{Client, Failure};
use super::output::{Output, table};
use crate::admin::registries::spoken;
use crate::admin::types::{CredentialRequest, RegistryEntry};
use crate::secret::Secret;

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// List a registry, or replace what was said of it.
    #[command(
        after_help = "Examples:\n  burin-hub --data ~/burin-hub registry add registry.example\n  burin-hub --data ~/burin-hub registry add 10.0.2.2:5000 --endpoint http://127.0.0.1:5000 --plain-http\n  burin-hub --data ~/burin-hub registry add registry.example --username fleet --password-file ./password"
    )]
    Add(AddRegistry),
    /// List the registries.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub registry list --json")]
    List,
    /// Forget the credentials of a registry; it stays on the list.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub registry forget registry.example"
    )]
    Forget {
        /// Host and port as image references name it.
        host: String,
    },
    /// Take a registry off the list.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub registry remove registry.example"
    )]
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
    /// Whom the hub logs in as, and the hosts whose release takes something from it.
    #[arg(
        long,
        value_name = "NAME",
        requires = "password_file",
        conflicts_with = "plain_http"
    )]
    username: Option<String>,
    /// File with the password, `-` for standard input. Its last line end is no part of it.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
}

pub(super) async fn run(
    client: &Client,
    command: RegistryCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        RegistryCommand::Add(args) => add(client, args, output).await,
        RegistryCommand::List => {
            let entries: Vec<RegistryEntry> = client.get("/api/v1/registries").await?;
            output.show(&entries, |entries| {
                let rows: Vec<_> = entries
                    .iter()
                    .map(|entry| {
                        let scheme = if entry.plain_http { "http" } else { "https" };
                        let endpoint = entry.endpoint.clone().unwrap_or_default();
                        let user = entry.username.clone().unwrap_or_default();
                        vec![entry.host.clone(), scheme.to_owned(), user, endpoint]
                    })
                    .collect();
                table(&["HOST", "SCHEME", "USER", "ENDPOINT OF THE HUB"], &rows)
            })
        }
        RegistryCommand::Forget { host } => {
            let path = format!("/api/v1/registries/{host}/credentials");
            client.act(Method::DELETE, &path).await?;
            output.show(&serde_json::json!({ "host": host }), |_| {
                format!("the credentials of registry {host} are forgotten")
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

async fn add(client: &Client, args: AddRegistry, output: &mut Output) -> Result<(), Failure> {
    let credentials = match (args.username, &args.password_file) {
        (Some(username), Some(file)) => Some(CredentialRequest {
            username,
            password: password(file)?,
        }),
        _ => None,
    };
    let mut ca = Vec::new();
    for file in &args.ca {
        ca.push(std::fs::read_to_string(file).map_err(|err| unreadable(file, &err))?);
    }
    let entry = RegistryEntry {
        host: args.host,
        endpoint: args.endpoint,
        plain_http: args.plain_http,
        ca,
        token_realm: args.token_realm,
        username: None,
    };
    let mut entry: RegistryEntry = client.post("/api/v1/registries", &entry).await?;
    if let Some(credentials) = credentials {
        let path = format!("/api/v1/registries/{}/credentials", entry.host);
        client.put_only(&path, &credentials).await?;
        entry.username = Some(credentials.username);
    }
    output.show(&entry, |entry| match &entry.username {
        Some(user) => format!("listed: registry {}, with {user}'s password", spoken(entry)),
        None => format!("listed: registry {}", spoken(entry)),
    })
}

/// Longest password file, bytes; the hub takes less.
const LONGEST: u64 = 64 * 1024;

/// A password from a file, never from an argument, which every process of the machine can see.
fn password(file: &Path) -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LONGEST)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|it| it.take(LONGEST).read_to_string(&mut text))
    };
    read.map_err(|err| unreadable(file, &err))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Ok(Secret::new(line.to_owned()))
}

fn unreadable(file: &Path, err: &std::io::Error) -> Failure {
    Failure::Input(format!("reading {}: {err}", file.display()))
}
