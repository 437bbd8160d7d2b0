//! `burin-hub project`, and what other commands say of projects.

use std::collections::BTreeMap;

use clap::Subcommand;
use reqwest::Method;

use super::connect::{Client, Failure};
use super::output::{self, Output, time};
use crate::admin::types::{ProjectInfo, ProjectRequest, RoleRequest};
use crate::people::Role;
use crate::people::scope::DEFAULT;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Make a project: hosts, tokens and profiles that only people with a role in it see.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub project create oslo\n  burin-hub --data ~/burin-hub person add anna --role operator --project oslo"
    )]
    Create {
        /// a-z, 0-9 and `-`.
        name: String,
    },
    /// List the projects that you see.
    List,
    /// Remove a project in which nothing is left, and the roles in it.
    Remove { name: String },
}

pub(super) async fn run(
    client: &Client,
    command: ProjectCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        ProjectCommand::Create { name } => {
            let request = ProjectRequest { name };
            let made: ProjectInfo = client.post("/api/v1/projects", &request).await?;
            output.show(&made, |made| format!("the project {} is there", made.name))
        }
        ProjectCommand::List => {
            let infos: Vec<ProjectInfo> = client.get("/api/v1/projects").await?;
            output.show(&infos, |infos| {
                let row = |info: &ProjectInfo| {
                    let since = match info.created_at {
                        0 => "the beginning".to_owned(),
                        at => time(at),
                    };
                    vec![info.name.clone(), since, info.created_by.clone()]
                };
                let rows: Vec<_> = infos.iter().map(row).collect();
                output::table(&["NAME", "SINCE", "BY"], &rows)
            })
        }
        ProjectCommand::Remove { name } => {
            let path = format!("/api/v1/projects/{name}");
            client.act(Method::DELETE, &path).await?;
            output.show(&serde_json::json!({ "name": name }), |_| {
                format!("the project {name} is removed")
            })
        }
    }
}

/// Gives a person a role in one project.
pub(super) async fn give_role(
    client: &Client,
    name: &str,
    project: &str,
    role: Role,
    output: &mut Output,
) -> Result<(), Failure> {
    let path = format!("/api/v1/people/{name}/projects/{project}");
    client.put_only(&path, &RoleRequest { role }).await?;
    let done = serde_json::json!({ "name": name, "project": project, "role": role });
    output.show(&done, |_| format!("{name} is {} in {project}", role.name()))
}

/// A table with the project of each row, as soon as one of them is of another one than `default`.
pub(super) fn table<'a>(
    head: &[&str],
    rows: impl Iterator<Item = (&'a str, Vec<String>)>,
) -> String {
    let rows: Vec<_> = rows.collect();
    let shown = rows.iter().any(|(project, _)| *project != DEFAULT);
    let mut head = head.to_vec();
    if shown {
        head.push("PROJECT");
    }
    let with = |(project, mut row): (&str, Vec<String>)| {
        if shown {
            row.push(project.to_owned());
        }
        row
    };
    let rows: Vec<_> = rows.into_iter().map(with).collect();
    output::table(&head, &rows)
}

/// The role in all projects and those in single ones.
pub(super) fn roles(everywhere: Role, bound: &BTreeMap<String, Role>) -> String {
    let mut texts = vec![everywhere.name().to_owned()];
    if everywhere == Role::None && !bound.is_empty() {
        texts.clear();
    }
    let bound = bound.iter();
    texts.extend(bound.map(|(project, role)| format!("{} in {project}", role.name())));
    texts.join(", ")
}
