//! `burin-hub token`.

use std::collections::BTreeMap;

use burin_api::token::Token;
use clap::{Args, Subcommand};

use super::connect::{Client, Failure};
use super::output::{Output, time};
use super::projects;
use crate::admin::types::{TokenCreated, TokenInfo, TokenRequest};
use crate::cli::Span;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it. It cannot be shown again.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub token create --uses 10 --expires 7d --profile retail --label site=oslo"
    )]
    Create(NewToken),
    /// List tokens, without their secret part.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub token list --json")]
    List,
    /// End a token. Hosts that it let in stay.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub token revoke W91F4MEX")]
    Revoke {
        /// The token's id: the 8 digits after BRN1-.
        id: String,
    },
}

/// What a new token is good for.
#[derive(Debug, Args)]
pub(crate) struct NewToken {
    /// How many hosts may use it.
    #[arg(long, default_value_t = 1, value_name = "N")]
    uses: u32,
    /// How long it is good.
    #[arg(long, default_value = "7d", value_name = "TIME")]
    expires: Span,
    /// Profile that a host gets when it is accepted.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Label that a host gets; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Network that hosts must call from, 192.0.2.0/24; may be repeated.
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
    /// Hosts wait for an operator's approval all the same.
    #[arg(long)]
    requires_approval: bool,
    /// Project that its hosts land in.
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

impl NewToken {
    pub(super) fn request(&self) -> TokenRequest {
        TokenRequest {
            uses: Some(self.uses),
            lifetime: Some(self.expires.0.as_secs()),
            profile: self.profile.clone(),
            labels: self.label.iter().cloned().collect::<BTreeMap<_, _>>(),
            networks: self.network.clone(),
            requires_approval: self.requires_approval,
            project: self.project.clone(),
        }
    }
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("`{text}` is not KEY=VALUE"))
}

pub(super) async fn run(
    client: &Client,
    command: TokenCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => {
            let created: TokenCreated = client.post("/api/v1/tokens", &args.request()).await?;
            output.show(&created, |created| created.token.reveal().to_owned())
        }
        TokenCommand::List => {
            let tokens: Vec<TokenInfo> = client.get("/api/v1/tokens").await?;
            output.show(&tokens, |tokens| {
                let rows = tokens.iter().map(|it| (it.project.as_str(), row(it)));
                projects::table(&["ID", "STATE", "USED", "EXPIRES", "PROFILE"], rows)
            })
        }
        TokenCommand::Revoke { id } => {
            // Somebody may have the whole token at hand: its secret part goes nowhere.
            let id = Token::parse(&id).map_or(id, |token| token.id().to_owned());
            let path = format!("/api/v1/tokens/{id}/revoke");
            let token: TokenInfo = client.post(&path, &()).await?;
            output.show(&token, |token| {
                format!("token {} is {}", token.id, token.state)
            })
        }
    }
}

fn row(token: &TokenInfo) -> Vec<String> {
    vec![
        token.id.clone(),
        token.state.clone(),
        format!("{}/{}", token.used, token.uses),
        time(token.expires_at),
        token.profile.clone().unwrap_or_default(),
    ]
}
