//! The command line: `serve`, and a client for the rest.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 bad arguments or a bad document.

mod people;
mod span;
mod stop;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use burin_core::display::counted;
use clap::{Args, Parser, Subcommand};

pub(crate) use people::is_this_machine;
pub use people::{AdminCodes, GivenRole, OidcOptions, PeopleOptions};
pub use span::Span;

use crate::client::{self, ClientCommand, Connection};
use crate::db::Place;
use crate::listen::Patience;
use crate::release::{self, command::ReleaseCommand};
use crate::roots::{self, RootCommand};
use crate::{serve, transfer};

/// The arguments of `burin-hub`.
#[derive(Debug, Parser)]
#[command(
    name = "burin-hub",
    version,
    about = "Registers burin hosts and says what they shall be",
    after_help = "Examples:\n  burin-hub serve --data /var/lib/burin-hub --listen 0.0.0.0:8443 --public-url https://hub.example:8443\n  burin-hub --data /var/lib/burin-hub token create --uses 10 --profile retail\n  BURIN_HUB_PASSWORD=... burin-hub --hub https://hub.example:8443 --fingerprint 3f2a... host list"
)]
pub struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub. Makes its database, keys, certificate and admin at the first start.
    #[command(
        after_help = "Example:\n  burin-hub serve --data ~/burin-hub --listen 127.0.0.1:8443 --public-url https://10.0.2.2:8443"
    )]
    Serve(Box<ServeCommand>),
    /// Write the whole database into a file, to keep it or to move to another database.
    #[command(after_help = "Example:\n  burin-hub export --data /var/lib/burin-hub hub.jsonl")]
    Export(TransferCommand),
    /// Fill an empty database from such a file.
    #[command(
        after_help = "Example:\n  burin-hub import --database-url postgres://hub@db.example/hub hub.jsonl"
    )]
    Import(TransferCommand),
    /// The root key, which says who speaks for the hub. It is not needed to run it.
    #[command(subcommand)]
    Root(RootCommand),
    /// Sign published versions with a key that is kept off the hub.
    #[command(subcommand)]
    Release(ReleaseCommand),
    #[command(flatten)]
    Client(ClientCommand),
}

#[derive(Debug, Args)]
struct ServeCommand {
    #[command(flatten)]
    options: ServeOptions,
}

/// How `serve` shall run.
#[derive(Debug, Clone)]
pub struct ServeArgs {
    /// The folder of database, keys and certificates.
    pub data: PathBuf,
    /// Where its tables are.
    pub database: Place,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where hosts reach the hub; when absent the one of the last start, else the listening address.
    pub public_url: Option<String>,
    /// A certificate of the operator's own, with its key.
    pub tls_cert: Option<PathBuf>,
    /// The key of `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// How long a host's RAM key must be silent before another may replace it.
    pub replace_after: Span,
    /// How old a host's identity key becomes before it has to make another.
    pub rekey_after: Span,
    /// Fixed seconds between syncs.
    pub interval: Option<u32>,
    /// Where to tell that a host fell silent.
    pub webhook: Option<String>,
    /// Whether a claim made before the host's first call lets it in without a number.
    pub claims_without_number: bool,
    /// How people log in.
    pub people: PeopleOptions,
    /// What a caller may hold of the listener.
    pub patience: Patience,
    /// ISOs that others are made of.
    pub iso: Vec<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "say an address of this machine and a port, such as 0.0.0.0:8443 or [::]:8443; names belong \
         into --public-url"
            .to_owned()
    })
}

#[derive(Debug, Clone, Args)]
struct ServeOptions {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "0.0.0.0:8443", value_name = "ADDRESS:PORT", value_parser = address)]
    listen: SocketAddr,
    #[command(flatten)]
    database: DatabaseOptions,
    /// Where hosts and people reach the hub, for its certificate and user-data. It is remembered.
    #[arg(long, value_name = "https://HOST:PORT")]
    public_url: Option<String>,
    /// Certificate chain in PEM, instead of one made here.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM.
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// How long a host's key in RAM must be silent before the same machine may bring another.
    #[arg(long, default_value = "10m", value_name = "TIME")]
    replace_after: Span,
    /// How old the identity key of an installed host becomes before it has to make another.
    #[arg(long, default_value = "365d", value_name = "TIME")]
    rekey_after: Span,
    /// Seconds between two syncs of a host, instead of 60 to 900 by the number of hosts.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: Option<u32>,
    /// URL that is told when a host falls silent and when it is heard again, signed with the key in
    /// webhook.key of the data folder.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Let a host in that was claimed by its QR code before it called, without asking for the
    /// number on its screen. Each is written to the audit log.
    #[arg(long)]
    claims_without_number: bool,
    #[command(flatten)]
    people: PeopleOptions,
    /// ISO of `burin-iso build`, to make ISOs of with this hub in them; one of each architecture.
    #[arg(long, value_name = "FILE")]
    iso: Vec<PathBuf>,
}

/// Which database; the SQLite file of the data folder when nothing is said.
#[derive(Debug, Clone, Args)]
struct DatabaseOptions {
    /// PostgreSQL instead of an SQLite file in the data folder. A URL with a password goes into the
    /// variable BURIN_DATABASE_URL or into a file.
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE")]
    database_url: Option<String>,
    /// File with the URL of the database.
    #[arg(long, value_name = "FILE", conflicts_with = "database_url")]
    database_url_file: Option<PathBuf>,
}

impl DatabaseOptions {
    fn place(&self, folder: &Path) -> anyhow::Result<Place> {
        let file = self.database_url_file.as_deref();
        Place::choose(folder, self.database_url.as_deref(), file)
    }
}

#[derive(Debug, Args)]
struct TransferCommand {
    /// JSON lines; docs/operations.md describes them.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// Runs a command line to its exit code.
pub async fn run(cli: Cli) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BURIN_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .init();
    let installed = rustls::crypto::ring::default_provider().install_default();
    if installed.is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    match cli.command {
        Command::Serve(command) => {
            finish(serve_until_stopped(cli.connection, *command, cli.json).await)
        }
        Command::Export(command) => {
            let place = place_of(&cli.connection, &command);
            let done = async { transfer::export(&place?, &command.file).await };
            finish(
                done.await
                    .map(|rows| eprintln!("{} exported", counted(rows, "row", "rows"))),
            )
        }
        Command::Import(command) => {
            let place = place_of(&cli.connection, &command);
            let done = async { transfer::import(&place?, &command.file).await };
            finish(
                done.await
                    .map(|rows| eprintln!("{} imported", counted(rows, "row", "rows"))),
            )
        }
        Command::Root(command) => finish(root(&cli.connection, &command, cli.json)),
        Command::Release(command) => {
            let mut output = client::Output::new(cli.json);
            let done = release::command::run(&cli.connection, command, &mut output).await;
            client::end(done, &mut output)
        }
        Command::Client(command) => client::run(&cli.connection, command, cli.json).await,
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("burin-hub: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn root(connection: &Connection, command: &RootCommand, json: bool) -> anyhow::Result<()> {
    let folder = connection.data.as_deref();
    let folder = folder.context("`root` needs --data DIR: the folder of the hub's keys")?;
    let info = roots::run(folder, command)?;
    if json {
        println!("{}", serde_json::to_string(&info)?);
        return Ok(());
    }
    println!("root document {}, root key {}", info.version, info.root);
    for key in &info.release {
        let profiles = match key.profiles.as_slice() {
            [] => "every profile".to_owned(),
            names => names.join(", "),
        };
        println!("release key sha256:{}: {profiles}", key.key.thumbprint()?);
    }
    for key in &info.images {
        println!("image key {}", key.name);
    }
    for address in &info.addresses {
        println!("hosts reach the hub at {address}");
    }
    if let Some(file) = &info.leftover {
        let file = file.display();
        match info.unprotected {
            true => println!("move the root key {file} off this machine"),
            false => println!(
                "{file} is a former root key: hubs need it no more, so keep it elsewhere or delete it"
            ),
        }
    }
    if info.version > 1 {
        println!("start the hub again, so that it shows this document");
    }
    Ok(())
}

/// The database of a command that needs no running hub.
fn place_of(connection: &Connection, command: &TransferCommand) -> anyhow::Result<Place> {
    let place = command
        .database
        .place(connection.data.as_deref().unwrap_or(Path::new("")))?;
    anyhow::ensure!(
        connection.data.is_some() || matches!(place, Place::Server(_)),
        "name the database: --data DIR for SQLite, --database-url URL for PostgreSQL"
    );
    Ok(place)
}

async fn serve_until_stopped(
    connection: Connection,
    command: ServeCommand,
    json: bool,
) -> anyhow::Result<()> {
    let options = command.options;
    let data = connection
        .data
        .context("`serve` needs --data DIR: the folder of its database and keys")?;
    crate::files::allow_many_open()?;
    let args = ServeArgs {
        database: options.database.place(&data)?,
        data,
        listen: options.listen,
        public_url: options.public_url,
        tls_cert: options.tls_cert,
        tls_key: options.tls_key,
        replace_after: options.replace_after,
        rekey_after: options.rekey_after,
        interval: options.interval,
        webhook: options.webhook,
        claims_without_number: options.claims_without_number,
        iso: options.iso,
        people: options.people,
        patience: Patience::of_this_process()?,
    };
    // Before it is ready: a signal that comes right after the ready line must be seen.
    let mut stop = std::pin::pin!(stop::signal()?);
    let running = tokio::select! {
        started = serve::start(&args) => started?,
        // A database may keep it waiting; what was begun is taken up by the next start.
        () = &mut stop => return Ok(()),
    };
    announce(&running.ready, json)?;
    running.until(stop).await
}

fn announce(ready: &serve::Ready, json: bool) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(ready)?)?;
    } else {
        writeln!(
            out,
            "burin-hub is ready at {} (listening on {})",
            ready.url, ready.listen
        )?;
        if let Some(folder) = &ready.new_hub_in {
            writeln!(out, "made a new hub in {}", folder.display())?;
        }
        if let Some(password) = &ready.admin_password {
            writeln!(
                out,
                "admin password: {}  (shown this once)",
                password.reveal()
            )?;
        }
        writeln!(
            out,
            "certificate fingerprint (SHA-256): {}",
            ready.fingerprint
        )?;
        writeln!(
            out,
            "certificate for clients and hosts: {}",
            ready.ca.display()
        )?;
        let root = &ready.root;
        writeln!(out, "root: {root}")?;
        if ready.unprotected {
            writeln!(
                out,
                "  unprotected: the root key lies beside the database; good for a trial only"
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
