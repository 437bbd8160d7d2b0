//! The command line's client of the admin API.

mod connect;
mod events;
mod hosts;
mod isos;
mod output;
mod people;
mod pin;
mod preauths;
mod profiles;
mod projects;
mod registries;
mod tokens;
mod unreachable;
pub(crate) mod user_data;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

pub(crate) use connect::{Client, Failure};
pub(crate) use output::{Output, table, time};

/// Where the hub is and how it is known.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// Folder of a hub on this machine: its address, certificate and API key are read there.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The hub's URL. Log in with BURIN_HUB_TOKEN (API key), or with BURIN_HUB_USER (admin when
    /// absent), BURIN_HUB_PASSWORD and, where the account has one-time codes, BURIN_HUB_CODE.
    #[arg(long, global = true, value_name = "URL", env = "BURIN_HUB")]
    pub(crate) hub: Option<String>,
    /// PEM file with the certificate that signed the hub's.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "fingerprint"
    )]
    pub(crate) ca: Option<PathBuf>,
    /// SHA-256 of that certificate, as the hub printed it.
    #[arg(long, global = true, value_name = "HEX")]
    pub(crate) fingerprint: Option<String>,
}

/// What a client can ask for.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Registration tokens: let hosts in without a person.
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    /// Registries that hub and hosts may talk to.
    #[command(subcommand)]
    Registry(registries::RegistryCommand),
    /// Profiles: which layers, which Kubernetes.
    #[command(subcommand)]
    Profile(profiles::ProfileCommand),
    /// Say what a host shall be.
    Assign(hosts::AssignCommand),
    /// Hosts as the hub sees them.
    #[command(subcommand)]
    Host(hosts::HostCommand),
    /// Events of hosts.
    #[command(subcommand)]
    Event(events::EventCommand),
    /// Projects: hosts, tokens and profiles that belong to some people only.
    #[command(subcommand)]
    Project(projects::ProjectCommand),
    /// Accounts of people and their roles.
    #[command(subcommand)]
    Person(people::PersonCommand),
    /// Change your own password: BURIN_HUB_PASSWORD into BURIN_HUB_NEW_PASSWORD.
    Password,
    /// API keys of programs.
    #[command(subcommand)]
    ApiKey(people::ApiKeyCommand),
    /// Who did what.
    #[command(subcommand)]
    Audit(people::AuditCommand),
    /// ISOs that bring hosts to this hub.
    #[command(subcommand)]
    Iso(isos::IsoCommand),
    /// Print a user-data file that brings a host to this hub.
    UserData(user_data::UserDataCommand),
}

/// Runs a command to its exit code.
pub(crate) async fn run(connection: &Connection, command: ClientCommand, json: bool) -> ExitCode {
    let mut output = Output::new(json);
    let done = carry_out(connection, command, &mut output).await;
    end(done, &mut output)
}

/// The exit code of what was done, after saying why it was not.
pub(crate) fn end(done: Result<(), Failure>, output: &mut Output) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn carry_out(
    connection: &Connection,
    command: ClientCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    let client = Client::open(connection).await?;
    match command {
        ClientCommand::Token(command) => tokens::run(&client, command, output).await,
        ClientCommand::Registry(command) => registries::run(&client, command, output).await,
        ClientCommand::Profile(command) => profiles::run(&client, command, output).await,
        ClientCommand::Assign(command) => hosts::assign(&client, command, output).await,
        ClientCommand::Host(command) => hosts::run(&client, command, output).await,
        ClientCommand::Event(command) => events::run(&client, command, output).await,
        ClientCommand::Project(command) => projects::run(&client, command, output).await,
        ClientCommand::Person(command) => people::run(&client, command, output).await,
        ClientCommand::Password => people::password(&client, output).await,
        ClientCommand::ApiKey(command) => people::api_key(&client, command, output).await,
        ClientCommand::Audit(command) => people::audit(&client, command, output).await,
        ClientCommand::Iso(command) => isos::run(&client, command, output).await,
        ClientCommand::UserData(command) => user_data::run(&client, command, output).await,
    }
}
