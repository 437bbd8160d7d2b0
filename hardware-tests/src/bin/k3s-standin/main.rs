//! `k3s-standin`: keeps the command-line, file and readiness contract of the K3s server where no
//! Kubernetes can be had. It runs no container and is never shipped.
mod api;
mod config;
mod manifests;
mod node;
mod notify;
mod pki;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::Config;
use node::Node;

/// The version it says it is: a published K3s version, so that versions order as real ones do.
const VERSION: &str = "v1.33.4+k3s1";
/// How often it looks for new manifests and network configurations, as K3s's deploy controller.
const TICK: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("level=fatal msg=\"{error:#}\"");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["--version" | "-v"] => {
            println!("k3s version {VERSION} (k3s-standin)");
            println!("go version none");
            Ok(())
        }
        ["server", options @ ..] => {
            let config = Config::read(&root(), options)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime
                .context("starting the runtime")?
                .block_on(serve(root(), config))
        }
        ["help" | "--help" | "-h"] | [] => {
            println!("k3s-standin: k3s server [--config FILE] [--key value ...] | --version");
            Ok(())
        }
        [other, ..] => bail!("flag or command not known to k3s-standin: {other}"),
    }
}

/// `/`, or the folder that tests name.
fn root() -> PathBuf {
    std::env::var_os("K3S_STANDIN_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// `path` (absolute) below `root`.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

async fn serve(root: PathBuf, config: Config) -> Result<()> {
    let keys = pki::ensure(&root, &config).context("making certificates")?;
    node::write_identity(&root, &config)?;
    let node = Arc::new(Node::new(root, config));
    let listener = api::bind(node.config.port).await?;
    println!(
        "level=info msg=\"Starting k3s-standin {VERSION}\" node={}",
        node.config.node_name
    );
    pki::write_kubeconfig(&node.root, &keys, &node.config)?;
    node.tick()?;
    notify::ready()?;
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("waiting for signals")?;
    let mut interval = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = end.recv() => {
                println!("level=info msg=\"Shutting down\"");
                return Ok(());
            }
            _ = interval.tick() => node.tick()?,
            connection = listener.accept() => match connection {
                Ok((stream, _)) => {
                    tokio::spawn(api::answer(stream, Arc::clone(&keys.acceptor), Arc::clone(&node)));
                }
                Err(error) => eprintln!("level=warn msg=\"accepting a connection: {error}\""),
            },
        }
    }
}
