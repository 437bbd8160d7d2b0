//! `burin-hub event`.

use clap::Subcommand;

use super::connect::{Client, Failure};
use super::output::{Output, table, time};
use crate::admin::refusals::RefusalInfo;
use crate::admin::types::{EventInfo, Page};

#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// List events, oldest first.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub event list --host 4D43-BPQZ-XXWD-6PRN"
    )]
    List {
        /// Only of this host (ID or uid).
        #[arg(long, default_value = "")]
        host: String,
        /// Only after this number.
        #[arg(long, default_value_t = 0)]
        after: i64,
    },
    /// List the hosts that were turned away, and what they were told; the newest first.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub event refused")]
    Refused,
}

pub(super) async fn run(
    client: &Client,
    command: EventCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        EventCommand::List { host, after } => list(client, &host, after, output).await,
        EventCommand::Refused => refused(client, output).await,
    }
}

async fn refused(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let refusals: Vec<RefusalInfo> = client.get("/api/v1/refusals").await?;
    output.show(&refusals, |refusals| {
        let row = |it: &RefusalInfo| {
            vec![
                time(it.last_at),
                it.times.to_string(),
                it.code.clone(),
                it.address.clone(),
                it.said.clone(),
                it.message.clone(),
            ]
        };
        let rows: Vec<_> = refusals.iter().map(row).collect();
        let head = ["LAST", "TIMES", "CODE", "FROM", "WHO", "MESSAGE"];
        table(&head, &rows)
    })
}

async fn list(client: &Client, host: &str, after: i64, output: &mut Output) -> Result<(), Failure> {
    let mut events: Vec<EventInfo> = Vec::new();
    let mut after = after.to_string();
    loop {
        let path = format!("/api/v1/events?after={after}&host={host}");
        let page: Page<EventInfo> = client.get(&path).await?;
        events.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    output.show(&events, |events| {
        let rows: Vec<_> = events
            .iter()
            .map(|info| {
                let kind = serde_json::json!(info.event.kind);
                let mut message = info.event.message.clone();
                for cause in &info.event.causes {
                    message = format!("{message}: {cause}");
                }
                vec![
                    info.number.to_string(),
                    time(info.received_at),
                    info.event.step.clone(),
                    kind.as_str().unwrap_or_default().to_owned(),
                    message,
                ]
            })
            .collect();
        table(&["NUMBER", "RECEIVED", "STEP", "KIND", "MESSAGE"], &rows)
    })
}
