//! `burin-hub host preauth`, `host preauths`, `host withdraw`.

use std::collections::BTreeMap;

use clap::Args;
use reqwest::Method;

use super::connect::{Client, Failure};
use super::output::{Output, time};
use super::projects;
use super::tokens::label;
use crate::admin::preauths::{PreauthInfo, PreauthRequest};
use crate::cli::Span;

#[derive(Debug, Args)]
pub(crate) struct PreauthCommand {
    /// Host ID, UUID in any spelling, serial, or key of the host.
    #[arg(value_name = "ID, UUID, SERIAL or KEY")]
    value: String,
    /// What it is, when it does not tell itself.
    #[arg(long, value_name = "KIND", value_parser = ["host_id", "uuid", "serial", "key"])]
    kind: Option<String>,
    /// The key on the host's screen, from its first 8 characters on. Without it, approve the host
    /// once it calls.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Profile that the host gets when it is accepted.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Label of the host, may be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// How long the host may take to call.
    #[arg(long, default_value = "7d", value_name = "TIME")]
    expires: Span,
    /// Project that the host lands in.
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

pub(super) async fn create(
    client: &Client,
    args: PreauthCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = PreauthRequest {
        value: args.value,
        kind: args.kind,
        key: args.key,
        profile: args.profile,
        labels: args.label.into_iter().collect::<BTreeMap<_, _>>(),
        lifetime: Some(args.expires.0.as_secs()),
        project: args.project,
    };
    let info: PreauthInfo = client.post("/api/v1/preauths", &request).await?;
    output.show(&info, |info| {
        let next = match info.key.as_str() {
            "" => "; compare its key and approve it once it calls",
            _ => "",
        };
        format!(
            "{} {} is announced until {} ({}){next}",
            info.kind,
            info.value,
            time(info.expires_at),
            info.id
        )
    })
}

pub(super) async fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let entries: Vec<PreauthInfo> = client.get("/api/v1/preauths").await?;
    output.show(&entries, |entries| {
        let rows = entries.iter().map(|entry| {
            let row = vec![
                entry.id.clone(),
                entry.state.clone(),
                entry.kind.clone(),
                entry.value.clone(),
                entry.key.clone(),
                entry.created_by.clone(),
                time(entry.expires_at),
            ];
            (entry.project.as_str(), row)
        });
        projects::table(
            &["ID", "STATE", "KIND", "VALUE", "KEY", "BY", "EXPIRES"],
            rows,
        )
    })
}

pub(super) async fn withdraw(
    client: &Client,
    id: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let path = format!("/api/v1/preauths/{id}");
    client.act(Method::DELETE, &path).await?;
    output.show(&serde_json::json!({ "id": id }), |_| {
        format!("{id} is withdrawn")
    })
}
