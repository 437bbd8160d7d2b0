//! `burin-hub person`, `password`, `api-key`, `audit`.

use burin_core::display::counted;
use clap::Subcommand;
use reqwest::Method;

use super::connect::{Client, Failure};
use super::output::{Output, table, time};
use super::projects;
use crate::admin::types::{
    ApiKeyCreated, ApiKeyInfo, ApiKeyRequest, AuditInfo, AuditVerdict, LoginAnswer, Page,
    PasswordRequest, PersonChanged, PersonInfo, PersonRequest,
};
use crate::people::Role;
use crate::secret::Secret;

#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    /// Make an account and print its first password, which the person has to change.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub person add anna --role operator"
    )]
    Add {
        /// a-z, 0-9 and `.-_@`.
        name: String,
        /// What the person may do.
        #[arg(long)]
        role: Role,
        /// The one project where the role counts.
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// List accounts.
    List,
    /// Give an account another role, in all projects or in one.
    #[command(
        after_help = "Examples:\n  burin-hub --data ~/burin-hub person role anna technician\n  burin-hub --data ~/burin-hub person role anna operator --project oslo\n  burin-hub --data ~/burin-hub person role anna none --project oslo"
    )]
    Role {
        name: String,
        role: Role,
        /// The one project where the role counts; `none` takes it away there.
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// Print a new first password, for somebody who lost theirs.
    Reset { name: String },
    /// Forget wrong passwords, so that a locked account may log in.
    Unlock { name: String },
    /// Forget one-time and recovery codes, for somebody who lost both.
    ForgetCode { name: String },
    /// Close an account; every login of it ends.
    Close { name: String },
    /// Open a closed account.
    Open { name: String },
}

pub(super) async fn run(
    client: &Client,
    command: PersonCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    let (name, change) = match command {
        PersonCommand::Add {
            name,
            role,
            project,
        } => {
            let request = PersonRequest {
                name,
                role,
                project,
            };
            let made: PersonChanged = client.post("/api/v1/people", &request).await?;
            return output.show(&made, changed);
        }
        PersonCommand::List => {
            let people: Vec<PersonInfo> = client.get("/api/v1/people").await?;
            return output.show(&people, |people| {
                let rows: Vec<_> = people.iter().map(row).collect();
                table(&["NAME", "ROLE", "LOGIN"], &rows)
            });
        }
        PersonCommand::Role {
            name,
            role,
            project: Some(project),
        } => return projects::give_role(client, &name, &project, role, output).await,
        PersonCommand::Role { name, role, .. } => (name, role.name()),
        PersonCommand::Reset { name } => (name, "reset"),
        PersonCommand::Unlock { name } => (name, "unlock"),
        PersonCommand::ForgetCode { name } => (name, "forget-code"),
        PersonCommand::Close { name } => (name, "close"),
        PersonCommand::Open { name } => (name, "open"),
    };
    let path = format!("/api/v1/people/{name}/{change}");
    let done: PersonChanged = client.post(&path, &serde_json::json!({})).await?;
    output.show(&done, changed)
}

fn changed(person: &PersonChanged) -> String {
    match &person.password {
        Some(first) => first.reveal().to_owned(),
        None => format!("{} was changed", person.name),
    }
}

fn row(person: &PersonInfo) -> Vec<String> {
    let login = if person.closed_at.is_some() {
        "closed"
    } else if person.provider.is_some() {
        "provider"
    } else if person.first_password {
        "first password"
    } else if person.one_time_codes {
        "password and code"
    } else {
        "password"
    };
    vec![
        person.name.clone(),
        projects::roles(person.role, &person.projects),
        login.to_owned(),
    ]
}

/// Changes the password of whoever logs in; both come from the environment, so that neither
/// stands in a list of processes.
pub(super) async fn password(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let read = |name: &str| {
        std::env::var(name)
            .map(Secret::new)
            .map_err(|_| Failure::Input(format!("set {name}")))
    };
    let request = PasswordRequest {
        old: read("BURIN_HUB_PASSWORD")?,
        new: read("BURIN_HUB_NEW_PASSWORD")?,
    };
    let _renewed: LoginAnswer = client.post("/api/v1/password", &request).await?;
    output.show(&serde_json::json!({ "done": "password" }), |_| {
        "the password was changed".to_owned()
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Make a key for a program and print it. It cannot be shown again.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub api-key create monitoring --role viewer"
    )]
    Create {
        /// What the key is for.
        name: String,
        /// What the program may do.
        #[arg(long)]
        role: Role,
        /// The one project where the role counts.
        #[arg(long, value_name = "PROJECT")]
        project: Option<String>,
    },
    /// List keys, without their secret.
    List,
    /// End a key.
    Revoke {
        /// The key's id, from the list.
        id: String,
    },
}

pub(super) async fn api_key(
    client: &Client,
    command: ApiKeyCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        ApiKeyCommand::Create {
            name,
            role,
            project,
        } => {
            let request = ApiKeyRequest {
                name,
                role,
                project,
            };
            let made: ApiKeyCreated = client.post("/api/v1/api-keys", &request).await?;
            output.show(&made, |made| made.key.reveal().to_owned())
        }
        ApiKeyCommand::List => {
            let keys: Vec<ApiKeyInfo> = client.get("/api/v1/api-keys").await?;
            output.show(&keys, |keys| {
                let row = |key: &ApiKeyInfo| {
                    let state = key.revoked_at.map_or("active", |_| "revoked");
                    vec![
                        key.id.clone(),
                        key.name.clone(),
                        projects::roles(key.role, &key.projects),
                        state.to_owned(),
                    ]
                };
                let rows: Vec<_> = keys.iter().map(row).collect();
                table(&["ID", "NAME", "ROLE", "STATE"], &rows)
            })
        }
        ApiKeyCommand::Revoke { id } => {
            let path = format!("/api/v1/api-keys/{id}");
            client.act(Method::DELETE, &path).await?;
            output.show(&serde_json::json!({ "id": id }), |_| {
                format!("{id} was revoked")
            })
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print who did what, oldest first.
    List,
    /// Walk over the chain of hashes; exit 1 when a line was changed or removed.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub audit verify")]
    Verify,
}

pub(super) async fn audit(
    client: &Client,
    command: AuditCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        AuditCommand::List => {
            let lines = all(client).await?;
            output.show(&lines, |lines| {
                let row = |line: &AuditInfo| {
                    vec![
                        line.number.to_string(),
                        time(line.time),
                        line.actor.clone(),
                        line.action.clone(),
                        line.object.clone(),
                    ]
                };
                let rows: Vec<_> = lines.iter().map(row).collect();
                table(&["LINE", "TIME", "WHO", "WHAT", "ON"], &rows)
            })
        }
        AuditCommand::Verify => {
            let verdict: AuditVerdict = client.get("/api/v1/audit/verdict").await?;
            output.show(&verdict, |verdict| match verdict.broken_at {
                None => format!(
                    "whole: {}, head {}",
                    counted(verdict.lines, "line", "lines"),
                    verdict.head
                ),
                Some(line) => format!("broken at line {line} of {}", verdict.lines),
            })?;
            if verdict.whole {
                return Ok(());
            }
            Err(Failure::Other(anyhow::anyhow!(
                "the audit log was changed outside of the hub"
            )))
        }
    }
}

async fn all(client: &Client) -> Result<Vec<AuditInfo>, Failure> {
    let mut lines = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let path = format!("/api/v1/audit?after={after}");
        let page: Page<AuditInfo> = client.get(&path).await?;
        lines.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => return Ok(lines),
        }
    }
}
