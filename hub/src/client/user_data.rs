//! `burin-hub user-data`: what a host must know to find this hub.

use burin_api::token::Token;
use clap::Args;

use super::connect::{Client, Failure};
use super::output::Output;
use crate::admin::types::HubInfo;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  burin-hub --data ./hub user-data > user-data.yaml\n  BURIN_TOKEN=$(burin-hub --data ./hub token create) burin-hub --data ./hub user-data > user-data.yaml"
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
    let token = args
        .token
        .map(|text| Token::parse(&text).map(|token| token.reveal()))
        .transpose()
        .map_err(|err| Failure::Input(err.to_string()))?;
    let hub: HubInfo = client.get("/api/v1/hub").await?;
    let text = document(&hub, token.as_deref());
    let value = serde_json::json!({ "user_data": text });
    output.show(&value, |_| text)
}

/// JSON strings are YAML strings, whatever is in them.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn document(hub: &HubInfo, token: Option<&str>) -> String {
    let mut text = String::from("#cloud-config\nburin:\n  hub:\n");
    text.push_str(&format!("    url: {}\n", quoted(&hub.url)));
    text.push_str(&format!("    root: {}\n", quoted(&hub.root)));
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
    fn the_file_reads_as_it_is_meant() {
        let hub = HubInfo {
            hub_id: String::new(),
            url: "https://[2001:db8::1]:8443".to_owned(),
            root: "sha256:00".to_owned(),
            unprotected: true,
            ca: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned(),
            version: String::new(),
        };
        assert_eq!(
            document(&hub, Some("BRN1-X-Y")),
            "#cloud-config\nburin:\n  hub:\n    url: \"https://[2001:db8::1]:8443\"\n    \
             root: \"sha256:00\"\n    ca:\n      - |\n        -----BEGIN CERTIFICATE-----\n        \
             AA==\n        -----END CERTIFICATE-----\n  token: BRN1-X-Y\n"
        );
    }
}
