//! Debian's chromedriver, and what it is told about the browser.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::{Options, Screen};

/// chromedriver in a process group of its own; dropping it ends the whole group, the browser too.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Where it listens on loopback.
    pub(crate) port: u16,
}

impl Process {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Result<Self> {
        let mut child = Command::new("chromedriver")
            .args(["--port=0", "--allowed-ips=127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .context("starting chromedriver (Debian packages chromium and chromium-driver)")?;
        let output = child.stdout.take().context("chromedriver has no output")?;
        let mut lines = BufReader::new(output).lines();
        let mut process = Self { child, port: 0 };
        while let Some(line) = lines.next_line().await.context("reading chromedriver")? {
            let Some((_, port)) = line.split_once("started successfully on port ") else {
                continue;
            };
            let port = port.trim().trim_end_matches('.').parse();
            process.port = port.with_context(|| format!("finding the port in {line:?}"))?;
            // It writes on; a closed pipe would end it.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(process);
        }
        bail!("chromedriver ended without a port")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(group) = self.child.id() else { return };
        let group = Pid::from_raw(group.cast_signed());
        if let Err(error) = killpg(group, Signal::SIGKILL) {
            tracing::warn!("ending the browser: {error}");
        }
    }
}

/// A session's wishes (WebDriver, section 7): a browser with an empty profile that trusts any
/// certificate.
pub(crate) fn capabilities(options: &Options, profile: &Path) -> Value {
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,900",
        "--no-proxy-server",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    if let Some(name) = &options.loopback {
        arguments.push(format!("--host-resolver-rules=MAP {name} 127.0.0.1"));
    }
    let mut chrome = json!({ "args": arguments, "binary": "/usr/bin/chromium" });
    if options.screen == Screen::Phone {
        let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 2.0, "touch": true });
        chrome["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "goog:chromeOptions": chrome,
        "goog:loggingPrefs": { "browser": "WARNING" },
    } } })
}
