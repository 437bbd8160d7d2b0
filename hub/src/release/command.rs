//! `burin-hub release`: from a published version to the envelope that hosts believe.

use std::path::{Path, PathBuf};

use burin_api::dsse::Envelope;
use burin_api::release::Statement;
use clap::{Args, Subcommand};

use super::offline::{self, Document, Wish};
use super::{key, summary::summary};
use crate::admin::types::{ImportRequest, SignedInfo};
use crate::cli::Span;
use crate::client::{Client, Connection, Failure, Output, table, time};
use crate::clock;

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Keys that sign releases. They are made and used off the hub.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print what is to be signed for a published version.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub release export retail@1.4.0 > statement.json"
    )]
    Export {
        /// NAME@VERSION
        profile: String,
    },
    /// Show all that a statement or an envelope says, and the digest of it. Needs no hub.
    #[command(after_help = "Example:\n  burin-hub release show statement.json")]
    Show {
        /// A statement of `export` or an envelope of `sign`.
        file: PathBuf,
    },
    /// Sign a statement that was examined, and print the envelope. Needs no hub.
    #[command(
        after_help = "Examples:\n  burin-hub release sign --key /media/stick/release.key --expires 90d statement.json\n  burin-hub release sign --key /media/stick/release.key --expires 90d --examined 3f2a9c03d1e8 statement.json > envelope.json"
    )]
    Sign(SignCommand),
    /// Check the signature of an envelope with a public key, and that it is not over. Needs no hub.
    #[command(
        after_help = "Example:\n  burin-hub release verify --key release.key.pub envelope.json"
    )]
    Verify {
        /// A .pub file or 64 hex digits. Can be repeated; one of them must have signed.
        #[arg(long, value_name = "FILE|HEX", required = true)]
        key: Vec<String>,
        file: PathBuf,
    },
    /// Give an envelope to the hub, which hands it to hosts.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub release import envelope.json")]
    Import { file: PathBuf },
    /// List the signed versions, and how long they are good.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub release list --json")]
    List,
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

#[derive(Debug, Args)]
pub(crate) struct SignCommand {
    /// The release key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The digest that stood under what you examined, or its first 12 characters. Without it the
    /// statement is shown and nothing is signed.
    #[arg(long, value_name = "DIGEST")]
    examined: Option<String>,
    /// Another counter than the hub proposed; hosts take none that is lower than one they took.
    #[arg(long, value_name = "N")]
    counter: Option<u64>,
    /// How long hosts may begin to install it, to the end of that day (UTC); at most 10y.
    #[arg(long, default_value = "1y", value_name = "TIME")]
    expires: Span,
    /// Lowest version of the agent that may install it.
    #[arg(long, value_name = "VERSION")]
    agent: Option<String>,
    /// Your own profile document; a statement that says anything else is refused.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// What `release export` printed.
    file: PathBuf,
}

/// Carries out a command.
///
/// # Errors
/// What is wrong with the files, what the hub refuses.
pub(crate) async fn run(
    connection: &Connection,
    command: ReleaseCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        ReleaseCommand::Key(KeyCommand::Init { file }) => init(&file, output),
        ReleaseCommand::Show { file } => show(&file, output),
        ReleaseCommand::Sign(command) => sign(&command),
        ReleaseCommand::Verify { key, file } => verify(&key, &file, output),
        ReleaseCommand::Export { profile } => {
            let (name, version) = profile.split_once('@').ok_or_else(|| {
                Failure::Input(format!(
                    "`{profile}` is not NAME@VERSION; see `profile list`"
                ))
            })?;
            let path = format!("/api/v1/profiles/{name}/{version}/statement");
            let statement: Statement = Client::open(connection).await?.get(&path).await?;
            print(&statement)
        }
        ReleaseCommand::Import { file } => {
            let Document::Envelope(_, envelope) = offline::read(&file)? else {
                let text = format!("{} is not signed; see `release sign`", file.display());
                return Err(Failure::Input(text));
            };
            let client = Client::open(connection).await?;
            let request = ImportRequest { envelope };
            let info: SignedInfo = client.post("/api/v1/releases", &request).await?;
            output.show(&info, |it| {
                let until = time(it.expires_at);
                format!(
                    "{}@{} is signed, counter {}, good until {until}",
                    it.profile, it.version, it.counter
                )
            })
        }
        ReleaseCommand::List => {
            let client = Client::open(connection).await?;
            let infos: Vec<SignedInfo> = client.get("/api/v1/releases").await?;
            output.show(&infos, |infos| list(infos))
        }
    }
}

fn init(file: &Path, output: &mut Output) -> Result<(), Failure> {
    let public = key::init(file)?;
    let print = public.thumbprint().map_err(anyhow::Error::from)?;
    let digits = key::digits(&public);
    let value = serde_json::json!({ "public_key": digits, "thumbprint": print });
    output.show(&value, |_| {
        format!(
            "release key sha256:{print}\n\
             its public half, for `root rotate --add-release-key`: {digits}"
        )
    })
}

fn show(file: &Path, output: &mut Output) -> Result<(), Failure> {
    let document = offline::read(file)?;
    // `sign` writes the day into a statement: before, it has another digest than what is signed.
    let digest = match &document {
        Document::Statement(_) => None,
        Document::Envelope(statement, _) => Some(offline::digest(statement)?),
    };
    let signers: Vec<&str> = match &document {
        Document::Statement(_) => Vec::new(),
        Document::Envelope(_, envelope) => {
            let all = envelope.signatures.iter();
            all.map(|signature| signature.keyid.as_str()).collect()
        }
    };
    let value = serde_json::json!({
        "statement": document.statement(), "digest": digest, "unchecked_signers": signers,
    });
    output.show(&value, |_| {
        let mut text = summary(document.statement());
        for signer in signers {
            text.push_str(&format!("claims to be signed by {signer:?}, unchecked\n"));
        }
        let digest = digest.as_deref();
        let digest = digest.unwrap_or("(`release sign` shows it, with the day)");
        format!("{text}digest      {digest}\n")
    })
}

fn sign(command: &SignCommand) -> Result<(), Failure> {
    let document = offline::read(&command.file)?;
    let end = offline::end(clock::wire(clock::now_ms()), command.expires.0);
    let wish = Wish {
        counter: command.counter,
        expires: end.map_err(|err| Failure::Input(err.to_string()))?,
        agent: command.agent.as_deref(),
        profile: command.profile.as_deref(),
    };
    let statement = offline::prepare(document.statement(), &wish)?;
    let digest = offline::digest(&statement)?;
    if !offline::is_examined(&digest, command.examined.as_deref())? {
        eprintln!("{}digest      {digest}", summary(&statement));
        return Err(Failure::Other(anyhow::anyhow!(
            "nothing is signed yet: examine the above, then say --examined {}",
            &digest[..12]
        )));
    }
    print::<Envelope>(&offline::sign(&statement, &key::private(&command.key)?)?)
}

fn verify(keys: &[String], file: &Path, output: &mut Output) -> Result<(), Failure> {
    let Document::Envelope(statement, envelope) = offline::read(file)? else {
        let text = format!("{} is not signed", file.display());
        return Err(Failure::Other(anyhow::anyhow!(text)));
    };
    let keys: Result<Vec<_>, _> = keys.iter().map(|text| key::public(text)).collect();
    let signer = offline::verify(&statement, &envelope, &keys?)?;
    let expired = statement.expires < clock::wire(clock::now_ms());
    let value = serde_json::json!({ "signer": signer, "expired": expired, "statement": statement });
    output.show(&value, |_| {
        let over = if expired { ", expired" } else { "" };
        format!("signed by sha256:{signer}{over}\n{}", summary(&statement))
    })?;
    if expired {
        let refusal = burin_core::release::Refusal::Expired(statement.expires);
        let text = format!("{}: {refusal}", file.display());
        return Err(Failure::Other(anyhow::anyhow!(text)));
    }
    Ok(())
}

/// JSON for a file, whatever is asked for of other results.
fn print<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    println!("{text}");
    Ok(())
}

fn list(infos: &[SignedInfo]) -> String {
    let row = |info: &SignedInfo| {
        vec![
            format!("{}@{}", info.profile, info.version),
            info.counter.to_string(),
            info.state.clone(),
            time(info.expires_at),
            info.signer.clone(),
        ]
    };
    let rows: Vec<_> = infos.iter().map(row).collect();
    table(
        &["RELEASE", "COUNTER", "STATE", "GOOD UNTIL", "SIGNED BY"],
        &rows,
    )
}
