//! `burin-hub host`, `assign`.

use burin_api::desired::DiskChoice;
use burin_api::event::Severity;
use burin_core::display::plain;
use clap::{Args, Subcommand};

use super::connect::{Client, Failure};
use super::output::{Output, time};
use super::{preauths, projects};
use crate::admin::types::{
    ActRequest, AssignRequest, AssignmentInfo, HostInfo, KubeconfigAnswer, KubeconfigRequest,
    MachineInfo, Page,
};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  burin-hub --data ~/burin-hub assign 4D43-BPQZ-XXWD-6PRN retail\n  burin-hub --data ~/burin-hub assign 4D43-BPQZ-XXWD-6PRN retail@1.4.0 --disk S4EVNX0R --wipe"
)]
pub(crate) struct AssignCommand {
    /// The host's ID or uid.
    host: String,
    /// NAME for the version published last, or NAME@VERSION.
    profile: String,
    /// Serial of the disk to install on, for a host that refused to choose.
    #[arg(long, value_name = "SERIAL")]
    disk: Option<String>,
    /// Foreign data on that disk may be erased.
    #[arg(long, requires = "disk")]
    wipe: bool,
    /// Even a burin host on that disk may be erased.
    #[arg(long, requires = "disk")]
    reinstall: bool,
}

pub(super) async fn assign(
    client: &Client,
    args: AssignCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = AssignRequest {
        profile: args.profile,
        disk: args.disk.map(|serial| DiskChoice {
            serial,
            wipe: args.wipe,
            reinstall: args.reinstall,
        }),
    };
    let path = format!("/api/v1/hosts/{}/assignment", args.host);
    let info: AssignmentInfo = client.post(&path, &request).await?;
    output.show(&info, |info| {
        let AssignmentInfo {
            generation,
            profile,
            version,
        } = info;
        format!(
            "{} shall be {profile}@{version} (assignment {generation})",
            args.host
        )
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// List hosts with state, phase and progress.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub host list --json")]
    List {
        /// Only those of this project.
        #[arg(long, default_value = "", value_name = "PROJECT")]
        project: String,
    },
    /// Show one host.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub host show 4D43-BPQZ-XXWD-6PRN --json"
    )]
    Show {
        /// The host's ID or uid.
        host: String,
    },
    /// Announce a host by ID, UUID, serial or key, before or after it calls.
    #[command(
        after_help = "Examples:\n  burin-hub --data ~/burin-hub host preauth 4D43-BPQZ-XXWD-6PRN --key 3BGTS77Z\n  burin-hub --data ~/burin-hub host preauth 6A8D0F6C-9D9C-4C0B-8F2E-0D4C6E1B7A55 --profile retail"
    )]
    Preauth(preauths::PreauthCommand),
    /// List the announced hosts.
    #[command(after_help = "Example:\n  burin-hub --data ~/burin-hub host preauths --json")]
    Preauths,
    /// Withdraw an announcement.
    Withdraw {
        /// Its id, as `host preauths` shows it.
        id: String,
    },
    /// Let a pending host in whose key you have compared.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub host approve 4D43-BPQZ-XXWD-6PRN --key 3BGTS77Z"
    )]
    Approve {
        /// The host's ID or uid.
        host: String,
        /// The key on the host's screen, from its first 8 characters on.
        #[arg(long, value_name = "KEY")]
        key: String,
        /// Project that the host lands in, when nobody called it into one.
        #[arg(long, default_value = "", value_name = "PROJECT")]
        project: String,
    },
    /// Put a host into another project; you have to be operator in both.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub host move 4D43-BPQZ-XXWD-6PRN --project oslo --profile oslo-retail"
    )]
    Move {
        /// The host's ID or uid.
        host: String,
        /// Where to.
        #[arg(long, value_name = "PROJECT")]
        project: String,
        /// What it shall be there; needed when it has a profile, as profiles are of one project.
        #[arg(long, default_value = "", value_name = "NAME[@VERSION]")]
        profile: String,
    },
    /// Print the administrator's kubeconfig of a host's cluster. Each time is audited.
    #[command(
        after_help = "Examples:\n  burin-hub --data ~/burin-hub host kubeconfig 4D43-BPQZ-XXWD-6PRN > edge.kubeconfig\n  burin-hub --data ~/burin-hub host kubeconfig 4D43-BPQZ-XXWD-6PRN --address edge.example:16443"
    )]
    Kubeconfig {
        /// The host's ID or uid.
        host: String,
        /// Where you reach the cluster, when that is not the address that the host calls from.
        #[arg(long, value_name = "HOST[:PORT]")]
        address: Option<String>,
    },
    /// Turn a pending host away.
    Deny { host: String },
    /// End a host's rights at once; its key is never accepted again.
    Revoke { host: String },
    /// Take a host out of service; its host ID becomes free for another key.
    Retire { host: String },
    /// Say which of the machines with one key is the host; ends a quarantine.
    #[command(
        after_help = "`host show` lists the machines.\n\nExample:\n  burin-hub --data ~/burin-hub host release 4D43-BPQZ-XXWD-6PRN --machine 1f0c9a37e2d4"
    )]
    Release {
        /// The host's ID or uid.
        host: String,
        /// Hardware of the machine that is the host, from its first 8 digits on.
        #[arg(long, value_name = "HARDWARE")]
        machine: String,
    },
    /// Have an installed host make another identity key.
    #[command(
        after_help = "Example:\n  burin-hub --data ~/burin-hub host rekey 4D43-BPQZ-XXWD-6PRN --leaked"
    )]
    Rekey {
        /// The host's ID or uid.
        host: String,
        /// Somebody else may have the key of now: its session ends at once.
        #[arg(long)]
        leaked: bool,
    },
}

pub(super) async fn run(
    client: &Client,
    command: HostCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    let (host, action) = match command {
        HostCommand::List { project } => {
            let hosts = all(client, &project).await?;
            return output.show(&hosts, |hosts| {
                let rows = hosts.iter().map(|it| (it.project.as_str(), row(it)));
                projects::table(&HEAD, rows)
            });
        }
        HostCommand::Show { host } => {
            let host: HostInfo = client.get(&format!("/api/v1/hosts/{host}")).await?;
            return output.show(&host, text);
        }
        HostCommand::Preauth(args) => return preauths::create(client, args, output).await,
        HostCommand::Preauths => return preauths::list(client, output).await,
        HostCommand::Withdraw { id } => return preauths::withdraw(client, &id, output).await,
        HostCommand::Kubeconfig { host, address } => {
            let path = format!("/api/v1/hosts/{host}/kubeconfig");
            let request = KubeconfigRequest { address };
            let answer: KubeconfigAnswer = client.post(&path, &request).await?;
            return output.show(&answer, |answer| answer.kubeconfig.reveal().to_owned());
        }
        HostCommand::Approve { host, key, project } => {
            let asked = ActRequest {
                key,
                project,
                ..ActRequest::default()
            };
            return act(client, &host, "approve", asked, output).await;
        }
        HostCommand::Move {
            host,
            project,
            profile,
        } => {
            let asked = ActRequest {
                project,
                profile,
                ..ActRequest::default()
            };
            return act(client, &host, "move", asked, output).await;
        }
        HostCommand::Deny { host } => (host, "deny"),
        HostCommand::Revoke { host } => (host, "revoke"),
        HostCommand::Retire { host } => (host, "retire"),
        HostCommand::Release { host, machine } => {
            let asked = ActRequest {
                machine,
                ..ActRequest::default()
            };
            return act(client, &host, "release", asked, output).await;
        }
        HostCommand::Rekey {
            host,
            leaked: false,
        } => (host, "rekey"),
        HostCommand::Rekey { host, leaked: true } => (host, "rekey-leaked"),
    };
    act(client, &host, action, ActRequest::default(), output).await
}

async fn act(
    client: &Client,
    host: &str,
    action: &str,
    asked: ActRequest,
    output: &mut Output,
) -> Result<(), Failure> {
    let path = format!("/api/v1/hosts/{host}/{action}");
    client.post_only(&path, &asked).await?;
    output.show(&serde_json::json!({ "host": host, "done": action }), |_| {
        format!("{action}: done for {host}")
    })
}

const HEAD: [&str; 8] = [
    "HOST",
    "STATE",
    "BY",
    "PHASE",
    "PROGRESS",
    "PROFILE",
    "HEARD",
    "LAST ERROR",
];

async fn all(client: &Client, project: &str) -> Result<Vec<HostInfo>, Failure> {
    let mut hosts = Vec::new();
    let mut after = String::new();
    loop {
        let page: Page<HostInfo> = client
            .get(&format!("/api/v1/hosts?after={after}&project={project}"))
            .await?;
        hosts.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => return Ok(hosts),
        }
    }
}

fn row(host: &HostInfo) -> Vec<String> {
    let progress = host.progress.as_ref().map_or_else(String::new, |progress| {
        format!("{} {}/{}", progress.step, progress.position, progress.steps)
    });
    let profile = host
        .assignment
        .as_ref()
        .map_or_else(String::new, |a| format!("{}@{}", a.profile, a.version));
    let state = match host.reason.as_str() {
        "" => host.state.clone(),
        reason => format!("{} ({reason})", host.state),
    };
    let by = host
        .admission
        .as_ref()
        .map_or_else(String::new, |admission| admission.matcher.clone());
    vec![
        host.host_id.clone(),
        state,
        by,
        host.phase.clone().unwrap_or_default(),
        progress,
        profile,
        host.seen_at.map_or_else(|| "never".to_owned(), time),
        host.last_error.clone().unwrap_or_default(),
    ]
}

/// Who used its key, where that was not one machine.
fn machines(host: &HostInfo) -> String {
    if host.state != "quarantined" && !host.machines.iter().any(|machine| machine.chosen) {
        return String::new();
    }
    let line = |machine: &MachineInfo| {
        let hardware: String = machine.hardware.chars().take(12).collect();
        let role = if machine.chosen {
            "the host"
        } else {
            "has its key"
        };
        single(&format!(
            "machine {hardware} ({role}): {}, from {}, {}",
            machine.name,
            machine.address,
            time(machine.seen_at)
        ))
    };
    host.machines.iter().map(line).collect()
}

/// One line, whatever line feeds are in what the host said.
fn single(line: &str) -> String {
    plain(line).trim_end().to_owned() + "\n"
}

fn text(host: &HostInfo) -> String {
    let rows = std::iter::once((host.project.as_str(), row(host)));
    let mut text = projects::table(&HEAD, rows);
    let evidence = &host.evidence;
    let line = format!(
        "uid {}, {} {} (serial {}), {}, from {}\n",
        host.uid, evidence.vendor, evidence.product, evidence.serial, host.arch, host.address
    );
    text.push_str(&single(&line));
    text.push_str(&format!("key {}\n", host.key));
    if !host.rekey.is_empty() {
        text.push_str(&format!("was asked for another key ({})\n", host.rekey));
    }
    if let Some(admission) = &host.admission {
        let line = format!(
            "let in by {} {}, {} at {}\n",
            admission.matcher,
            admission.detail,
            admission.by,
            time(admission.at)
        );
        text.push_str(&line);
    }
    text.push_str(&machines(host));
    for finding in &host.findings {
        if finding.severity != Severity::Ok {
            let line = format!(
                "{}: {}, needed {}. {}\n",
                finding.name, finding.measured, finding.required, finding.advice
            );
            text.push_str(&single(&line));
        }
    }
    text
}
