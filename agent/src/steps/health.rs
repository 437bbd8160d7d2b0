//! Waits until the generation is healthy and has stayed so, or gives it up.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burin_api::desired::HealthCheck;
use burin_core::generations::LastWords;
use burin_core::health::{Gate, Observation, SystemState, Verdict, critical_failures, received};
use burin_core::kube::k3s;
use nix::time::{ClockId, clock_gettime};

use crate::context::{Context, Paths};
use crate::installed::SYSTEMCTL;
use crate::installed::generations::{self, Settings};
use crate::kube::client::{self, Client};
use crate::machine::{exec, file};
use crate::steps::Outcome;
use crate::steps::generation::now;
use crate::steps::kubernetes::node_name;

/// Between two looks: what is looked at changes in seconds, and a look costs some milliseconds.
const PAUSE: Duration = Duration::from_secs(2);
/// A check of the profile that takes longer does not hold.
const CHECK_LIMIT: Duration = Duration::from_secs(30);

/// Looks until the judge has decided. A generation that does not become healthy in its time leaves
/// its last words and the machine restarts: the boot loader counts, and falls back in the end.
///
/// # Errors
/// When the generation's files cannot be read or written.
pub async fn perform(ctx: &Context, generation: u64) -> Result<Outcome> {
    let settings = generations::settings(&ctx.paths, generation)?;
    let mut gate = Gate::new(&settings.release.health);
    let mut told = Vec::new();
    let mut clock = tokio::time::interval(PAUSE);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let seen = observe(ctx, &settings).await?;
        match gate.observe(since_boot(), &seen) {
            Verdict::Good => return Ok(Outcome::Done),
            Verdict::Soaking { left } => {
                if !told.is_empty() || left.as_secs() == settings.release.health.soak {
                    told.clear();
                    ctx.events.note(format!(
                        "healthy; good when it stays so for {} s",
                        left.as_secs()
                    ));
                }
            }
            Verdict::Waiting { missing, left } => {
                if missing != told {
                    let why = missing.join("; ");
                    ctx.events.note(format!(
                        "not healthy yet ({} s left): {why}",
                        left.as_secs()
                    ));
                    told = missing;
                }
            }
            Verdict::Failed { causes } => return give_up(ctx, generation, causes),
        }
    }
}

/// Records the last words and has the machine restart.
fn give_up(ctx: &Context, number: u64, causes: Vec<String>) -> Result<Outcome> {
    let mut generation = generations::need(&ctx.paths, number)?;
    let words = LastWords {
        place: "health".to_owned(),
        causes,
        time: now(),
    };
    let why = words.causes.join("; ");
    generation
        .fail(Some(words))
        .context("giving the generation up")?;
    generations::write(&ctx.paths, &generation)?;
    let error = anyhow::Error::msg(why).context(format!(
        "generation {number} did not become healthy in its time"
    ));
    ctx.events.failed("health", &error);
    Ok(Outcome::Reboot)
}

/// Looks at everything that health is judged by.
///
/// # Errors
/// When systemd or the kernel do not answer.
pub(crate) async fn observe(ctx: &Context, settings: &Settings) -> Result<Observation> {
    let links = file::read_text(&ctx.paths.root.join("proc/net/dev"), 1 << 20)?;
    let mut seen = Observation {
        systemd: system_state()?,
        failed_units: failed_units()?,
        received: received(&links),
        ..Observation::default()
    };
    let kubeconfig = below(&ctx.paths, k3s::KUBECONFIG);
    if settings.release.kubernetes.is_some() {
        let mut state = burin_core::health::Kubernetes::default();
        match Client::open(&kubeconfig) {
            Ok(client) => {
                state = client.state(&node_name(&settings.host_name)).await;
                seen.pulling = client.pulling().await;
            }
            Err(err) => state.reason = format!("{err:#}"),
        }
        seen.kubernetes = Some(state);
    }
    for check in &settings.release.health.checks {
        if let Err(err) = run_check(&ctx.paths, check).await {
            seen.failed_checks.push(format!("{err:#}"));
        }
    }
    Ok(seen)
}

fn below(paths: &Paths, path: &str) -> std::path::PathBuf {
    paths.root.join(path.trim_start_matches('/'))
}

fn system_state() -> Result<SystemState> {
    // Its exit code is not 0 in every state but `running`.
    let ran = exec::run_any(Path::new(SYSTEMCTL), &["is-system-running"], CHECK_LIMIT)?;
    Ok(SystemState::parse(&ran.output))
}

fn failed_units() -> Result<Vec<String>> {
    let arguments = [
        "list-units",
        "--state=failed",
        "--output=json",
        "--no-pager",
    ];
    let ran = exec::run(Path::new(SYSTEMCTL), &arguments, CHECK_LIMIT)?;
    critical_failures(&ran.output).context("reading the list of failed units")
}

async fn run_check(paths: &Paths, check: &HealthCheck) -> Result<()> {
    match check {
        HealthCheck::Http(url) => {
            let http = plain_client(paths)?;
            client::get(&http, url).await.map(drop)
        }
        HealthCheck::Command(words) => {
            let (program, arguments) = words.split_first().context("an empty command")?;
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            exec::run(Path::new(program), &arguments, CHECK_LIMIT).map(drop)
        }
    }
}

/// A client for the profile's own checks, with the roots of the image.
fn plain_client(paths: &Paths) -> Result<reqwest::Client> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    let bundle = below(paths, "/etc/ssl/certs/ca-certificates.crt");
    if let Some(pem) = file::read_if_there(&bundle, 16 << 20)? {
        let all: Vec<_> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
        roots.add_parsable_certificates(all);
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choosing the TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(CHECK_LIMIT)
        .build()
        .context("preparing a check")
}

/// Time since the machine started, also while it slept.
pub(crate) fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
