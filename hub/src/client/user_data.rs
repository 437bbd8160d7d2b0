//! `burin-hub user-data`: what a host must know to find this hub.

use burin_api::token::Token;
use clap::Args;

use super::connect::{Client, Failure};
use super::output::Output;
use crate::admin::tokens::over;
use crate::admin::types::{HubInfo, TokenInfo};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  burin-hub --data ~/burin-hub user-data > user-data.yaml\n  BURIN_TOKEN=$(burin-hub --data ~/burin-hub token create) burin-hub --data ~/burin-hub user-data > user-data.yaml"
)]
pub(crate) struct UserDataCommand {
    /// Registration token to write into the file.
    #[arg(
        long,
        env = "BURIN_TOKEN",
        hide_env_values = true,
        value_name = "BRN1-..."
    )]
    token: Option<String>,
}

pub(super) async fn run(
    client: &Client,
    args: UserDataCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    let token = given(args.token)?
        .map(|text| Token::parse(&text))
        .transpose()
        .map_err(|err| Failure::Input(err.to_string()))?;
    if let Some(token) = &token {
        check(client, token).await?;
    }
    let token = token.map(|token| token.reveal());
    let hub: HubInfo = client.get("/api/v1/hub").await?;
    let text = document(&hub, token.as_deref());
    let value = serde_json::json!({ "user_data": text });
    output.show(&value, |_| text)
}

/// The token of the command line or the environment, where there is one.
///
/// # Errors
/// An empty one: `BURIN_TOKEN=$(...)` goes on when the command in it fails.
pub(super) fn given(token: Option<String>) -> Result<Option<String>, Failure> {
    if token.as_deref().is_some_and(|text| text.trim().is_empty()) {
        let text = "BURIN_TOKEN (or --token) is empty: did the command that makes the token fail?";
        return Err(Failure::Input(text.to_owned()));
    }
    Ok(token)
}

/// A token that lets nobody in would be noticed on site only.
async fn check(client: &Client, token: &Token) -> Result<(), Failure> {
    let known: Vec<TokenInfo> = client.get("/api/v1/tokens").await?;
    let why = match known.iter().find(|known| known.id == token.id()) {
        None => "was not made by this hub",
        Some(known) => match over(&known.state) {
            None => return Ok(()),
            Some(why) => why,
        },
    };
    Err(Failure::Input(format!(
        "token {} {why}; make a new one with `burin-hub token create`",
        token.id()
    )))
}

/// JSON strings are YAML strings, whatever is in them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The file itself; pages offer it, too.
pub(crate) fn document(hub: &HubInfo, token: Option<&str>) -> String {
    let mut text = String::from("#cloud-config\nburin:\n  hub:\n");
    text.push_str(&format!("    url: {}\n", quoted(&hub.url)));
    text.push_str(&format!("    root: {}\n", quoted(&hub.root)));
    if hub.root_version > 1 {
        text.push_str(&format!("    root_version: {}\n", hub.root_version));
    }
    text.push_str("    ca:\n      - |\n");
    for line in hub.ca.lines() {
        text.push_str(&format!("        {line}\n"));
    }
    if let Some(token) = token {
        text.push_str(&format!("  token: {token}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_read_in_the_file_what_the_hub_said() {
        let dir = tempfile::tempdir().unwrap();
        let names = std::collections::BTreeSet::from(["localhost".to_owned()]);
        let tls = crate::certificate::load_or_create(dir.path(), &names).unwrap();
        let hub = HubInfo {
            hub_id: String::new(),
            url: "https://[2001:db8::1]:8443".to_owned(),
            root: format!("sha256:{}", "0a".repeat(32)),
            root_version: 4,
            unprotected: true,
            ca: tls.ca_pem,
            version: String::new(),
        };
        let token = Token::from_seed([7; 16]).reveal();
        let read = burin_core::userdata::parse(&document(&hub, Some(&token))).unwrap();
        let found = read.hub.unwrap();
        assert_eq!(found.url, hub.url);
        assert_eq!(found.root.as_deref(), Some(hub.root.as_str()));
        assert_eq!(found.root_version, 4);
        assert_eq!(found.ca, [hub.ca]);
        assert_eq!(
            read.token.map(|token| token.expose().to_owned()),
            Some(token)
        );
    }
}
