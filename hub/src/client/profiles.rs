//! `burin-hub profile`.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Deserialize;

use super::connect::{Client, Failure};
use super::output::{Output, table, time};
use super::projects;
use crate::admin::profiles::LINES;
use crate::admin::types::{ProfileDetail, ProfileInfo, PublishRequest};
use crate::publish::progress::{PublishLine, Reading};

const PATH: &str = "/api/v1/profiles";

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Publish a version: tags become digests, each layer is looked through once.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub profile publish retail.yaml")]
    Publish {
        /// The profile document.
        file: PathBuf,
        /// Project that the profile becomes one of, when its name is new.
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// List the published versions.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub profile list --json")]
    List,
    /// Show one version and what it was resolved to.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub profile show retail@1.4.0 --json"
    )]
    Show {
        /// NAME for the version published last, or NAME@VERSION.
        #[arg(value_name = "NAME[@VERSION]")]
        profile: String,
    },
}

pub(super) async fn run(
    client: &Client,
    command: ProfileCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        ProfileCommand::Publish { file, project } => {
            let document = std::fs::read_to_string(&file)
                .map_err(|err| Failure::Input(format!("reading {}: {err}", file.display())))?;
            let request = PublishRequest { document, project };
            let info = publish(client, &request, output).await;
            let info = info.map_err(|failure| failure.naming(&file))?;
            output.show(&info, |info| {
                format!("{}@{} is published", info.name, info.version)
            })
        }
        ProfileCommand::List => {
            let infos: Vec<ProfileInfo> = client.get(PATH).await?;
            output.show(&infos, |infos| {
                let rows = infos.iter().map(|info| {
                    let at = time(info.published_at);
                    let row = vec![
                        info.name.clone(),
                        info.version.clone(),
                        at,
                        info.digest.clone(),
                    ];
                    (info.project.as_str(), row)
                });
                projects::table(&["NAME", "VERSION", "PUBLISHED", "DIGEST"], rows)
            })
        }
        ProfileCommand::Show { profile } => {
            let (name, version) = match profile.split_once('@') {
                Some((name, version)) => (name.to_owned(), version.to_owned()),
                None => newest(client, profile).await?,
            };
            let path = format!("/api/v1/profiles/{name}/{version}");
            let detail: ProfileDetail = client.get(&path).await?;
            output.show(&detail, text)
        }
    }
}

/// Publishes, and shows what the hub reads meanwhile to who sits there.
async fn publish(
    client: &Client,
    request: &PublishRequest,
    output: &mut Output,
) -> Result<ProfileInfo, Failure> {
    if !output.is_watched() {
        return client.post(PATH, request).await;
    }
    let mut end = None;
    let told = client.lines(PATH, request, LINES, |said| match said {
        Said::Line(PublishLine::Reading(reading)) => output.status(Some(&progress(&reading))),
        Said::Line(PublishLine::Published(info)) | Said::Whole(info) => end = Some(Ok(info)),
        Said::Line(PublishLine::Problem(problem)) => end = Some(Err(problem)),
    });
    let told = told.await;
    output.status(None);
    told?;
    match end {
        Some(Ok(info)) => Ok(info),
        Some(Err(problem)) => Err(Failure::Refused(Box::new(problem))),
        None => Err(Failure::Other(anyhow::anyhow!(
            "the hub's answer ended before it said whether the version is published; run this again, \
             which is no error when it is"
        ))),
    }
}

/// A hub that has nothing to tell sends the version alone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    Line(PublishLine),
    Whole(ProfileInfo),
}

fn progress(reading: &Reading) -> String {
    let Reading {
        layer,
        number,
        images,
        done,
        total,
    } = reading;
    let bytes = match total >> 20 {
        0 => String::new(),
        mib => format!(": {} of {mib} MiB", done >> 20),
    };
    format!("reading image {number} of {images}, {layer}{bytes}")
}

/// The version of a profile that was published last.
async fn newest(client: &Client, name: String) -> Result<(String, String), Failure> {
    // The oldest of each name stands first.
    let infos: Vec<ProfileInfo> = client.get(PATH).await?;
    let found = infos.into_iter().rfind(|info| info.name == name);
    let found = found.ok_or_else(|| {
        Failure::Input(format!(
            "no profile is called `{name}`; see `burin-hub profile list`"
        ))
    })?;
    Ok((found.name, found.version))
}

fn text(detail: &ProfileDetail) -> String {
    let rows: Vec<_> = detail
        .release
        .layers
        .iter()
        .map(|layer| {
            let kind = serde_json::json!(layer.kind);
            vec![
                kind.as_str().unwrap_or_default().to_owned(),
                layer.name.clone(),
                layer.reference.clone(),
                layer.manifest.clone(),
                format!("{} MiB", layer.facts.content_bytes >> 20),
                layer.facts.kernel.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let head = ["KIND", "NAME", "REFERENCE", "MANIFEST", "CONTENT", "KERNEL"];
    let info = &detail.info;
    format!("{}@{}\n{}", info.name, info.version, table(&head, &rows))
}
