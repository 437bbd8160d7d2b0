//! `burin-hub iso`: an ISO with the hub in it, made there and fetched from there.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::StatusCode;
use sha2::{Digest as _, Sha256};

use super::connect::{Client, Failure};
use super::output::{Output, table};
use super::tokens::NewToken;
use super::user_data;
use crate::admin::types::{IsoBase, IsoMade, IsoRequest};
use crate::secret::Secret;

/// Times in a row that the connection may break without a byte in between.
const TRIES: u32 = 5;

#[derive(Debug, Subcommand)]
pub(crate) enum IsoCommand {
    /// List the ISOs that the hub makes others of.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub iso list")]
    List,
    /// Make an ISO with this hub's address and root in it, and fetch it.
    #[command(
        after_help = "Examples:\n  burin-hub --data ~/burin-hub iso download --out burin.iso\n  burin-hub --data ~/burin-hub iso download --out oslo.iso --new-token --uses 10 --profile retail --label site=oslo\n  burin-hub --data ~/burin-hub iso download --out site.iso --user-data network.yaml"
    )]
    Download(Box<Download>),
}

#[derive(Debug, Args)]
pub(crate) struct Download {
    /// The file to write, for its owner alone.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Architecture of the hosts, when the hub has more than one ISO.
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// A token of this hub, to be written into the ISO.
    #[arg(
        long,
        env = "BURIN_TOKEN",
        hide_env_values = true,
        value_name = "BRN1-...",
        conflicts_with = "new_token"
    )]
    token: Option<String>,
    /// Make a token and write it into the ISO; it is shown nowhere.
    #[arg(long)]
    new_token: bool,
    #[command(flatten)]
    made: NewToken,
    /// Further user-data: users, network, disk.
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
}

pub(super) async fn run(
    client: &Client,
    command: IsoCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        IsoCommand::List => {
            let bases: Vec<IsoBase> = client.get("/api/v1/isos").await?;
            output.show(&bases, |bases| {
                let row = |base: &IsoBase| {
                    let size = format!("{} MiB", base.bytes >> 20);
                    vec![
                        base.arch.clone(),
                        base.version.clone(),
                        base.kernel.clone(),
                        size,
                    ]
                };
                let rows: Vec<_> = bases.iter().map(row).collect();
                table(&["ARCH", "BURIN", "KERNEL", "SIZE"], &rows)
            })
        }
        IsoCommand::Download(args) => download(client, *args, output).await,
    }
}

async fn download(client: &Client, args: Download, output: &mut Output) -> Result<(), Failure> {
    if args.out.exists() {
        let text = format!(
            "{} is there already: remove it, or name another file with --out",
            args.out.display()
        );
        return Err(Failure::Input(text));
    }
    let token = user_data::given(args.token)?;
    let more = args.user_data.as_deref().map(read).transpose()?;
    let request = IsoRequest {
        arch: args.arch,
        token: token.map(Secret::new),
        new_token: args.new_token.then(|| args.made.request()),
        user_data: more,
    };
    let made: IsoMade =
        client
            .post("/api/v1/isos", &request)
            .await
            .map_err(|failure| match &args.user_data {
                Some(file) => failure.naming(file),
                None => failure,
            })?;
    fetch(client, &made, &args.out, output).await?;
    output.show(&made, |made| {
        let token = match &made.token_id {
            Some(id) => format!("token {id} is in it: keep it as you keep a key"),
            None => "no token is in it: its hosts wait until somebody lets them in".to_owned(),
        };
        format!(
            "{}: {} MiB\nsha256 {}\n{token}",
            args.out.display(),
            made.bytes >> 20,
            made.sha256
        )
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|err| Failure::Input(format!("reading {}: {err}", path.display())))
}

/// Fetches into a file beside `out`, which gets its name when every byte is there.
async fn fetch(
    client: &Client,
    made: &IsoMade,
    out: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    let beside = PathBuf::from(name);
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(|err| Failure::Input(format!("writing {}: {err}", beside.display())))?;
    let path = format!("/api/v1/isos/{}", made.id);
    let (mut sum, mut at, mut failed) = (Sha256::new(), 0, 0);
    while at < made.bytes {
        let before = at;
        let tag = format!("\"{}\"", made.sha256);
        let piece = Piece {
            from: at,
            tag: &tag,
        };
        let done = client.fetch(&path, &piece, |chunk| {
            sum.update(chunk);
            at += chunk.len() as u64;
            output.progress("fetching the ISO", at, made.bytes);
            file.write_all(chunk)
        });
        match done.await {
            Ok(()) => {}
            Err(failure @ (Failure::Refused(_) | Failure::Input(_))) => return Err(failure),
            Err(failure) => {
                failed = if at > before { 0 } else { failed + 1 };
                if failed >= TRIES {
                    return Err(failure);
                }
            }
        }
    }
    let found = hex::encode(sum.finalize());
    if found != made.sha256 {
        let text = format!(
            "what came has the SHA-256 {found}, the hub said {}",
            made.sha256
        );
        return Err(Failure::Other(anyhow::anyhow!("{text}; fetch it again")));
    }
    file.sync_all()
        .and_then(|()| std::fs::rename(&beside, out))
        .with_context(|| format!("writing {}", out.display()))?;
    Ok(())
}

/// The rest of something that was fetched in part.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// First byte that is missing.
    pub(super) from: u64,
    /// Of the whole that the first part was of.
    pub(super) tag: &'a str,
}

impl Piece<'_> {
    /// Whether this answer goes on where the last one ended.
    pub(super) fn follows(&self, status: StatusCode) -> bool {
        match self.from {
            0 => status.is_success(),
            _ => status == StatusCode::PARTIAL_CONTENT,
        }
    }
}
