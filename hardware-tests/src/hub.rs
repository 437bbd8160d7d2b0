//! A real hub on loopback, and its client subcommands as a person would use them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    artifacts::Artifacts,
    process::{self, Guard},
};

/// Seconds between two syncs: scenarios shall not wait for a minute to pass.
const SYNC: u32 = 5;

/// The address by which a guest of QEMU's user network reaches this machine's loopback.
pub const GUEST_SEES: &str = "10.0.2.2";

/// How a hub shall serve.
#[derive(Debug, Clone)]
pub struct Serving<'a> {
    /// Port on loopback; 0 picks a free one.
    pub port: u16,
    /// Name or address that hosts call it by.
    pub name: &'a str,
    /// Seconds between two syncs of a host.
    pub interval: u32,
    /// URL of a PostgreSQL database, without a password; an SQLite file when none.
    pub database: Option<&'a str>,
    /// An ISO to make others of.
    pub iso: Option<&'a Path>,
}

impl Serving<'_> {
    /// For a guest of the emulator, on an SQLite file; `port` 0 picks a free one.
    #[must_use]
    pub fn guests(port: u16) -> Self {
        Self {
            port,
            name: GUEST_SEES,
            interval: SYNC,
            database: None,
            iso: None,
        }
    }
}

/// What a hub prints when it is ready, with `--json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Greeting {
    /// The address that hosts are told.
    pub url: String,
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// Thumbprint of its root key, which hosts pin.
    pub root: String,
}

/// A hub that runs until it is dropped. Its data stays in its folder.
#[derive(Debug)]
pub struct Hub {
    program: PathBuf,
    data: PathBuf,
    port: u16,
    process: Guard,
    pub greeting: Greeting,
}

impl Hub {
    /// Starts `burin-hub serve` with its data in `folder`; an earlier run's data is used again.
    /// `port` 0 picks a free one. The guest reaches it on 10.0.2.2.
    ///
    /// # Errors
    /// When it does not say that it is ready within its time.
    pub fn start(artifacts: &Artifacts, folder: &Path, port: u16) -> Result<Self> {
        Self::serve(artifacts, folder, &Serving::guests(port))
    }

    /// As [`Self::start`], for hosts elsewhere, at another pace, on another database, or with an ISO.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn serve(artifacts: &Artifacts, folder: &Path, serving: &Serving<'_>) -> Result<Self> {
        let port = match serving.port {
            0 => burin_ports::free()?,
            port => port,
        };
        let data = folder.join("data");
        std::fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
        let mut command = Command::new(artifacts.hub());
        command
            .args(["serve", "--json", "--data"])
            .arg(&data)
            .args(["--interval", &serving.interval.to_string()])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--public-url", &format!("https://{}:{port}", serving.name)]);
        if let Some(url) = serving.database {
            command.args(["--database-url", url]);
        }
        if let Some(iso) = serving.iso {
            command.arg("--iso").arg(iso);
        }
        let process = Guard::start(&command, &log_file(folder))?;
        let line = process
            .says
            .wait_for("\"fingerprint\"", Duration::from_secs(60))?;
        let greeting = serde_json::from_str(&line)
            .with_context(|| format!("understanding the hub's greeting {line}"))?;
        Ok(Self {
            program: artifacts.hub(),
            data,
            port,
            process,
            greeting,
        })
    }

    /// Number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// File with the certificate of its authority.
    pub fn ca(&self) -> PathBuf {
        self.data.join("ca.pem")
    }

    /// Port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it logs.
    pub fn log(&self) -> String {
        self.process.says.text()
    }

    /// Runs a client subcommand and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(&self.data);
        process::output(&mut command)
    }

    /// Signs the next root document with the root key that the first start made, with `changes`: options of
    /// `root rotate`. The hub takes it up at its next start.
    ///
    /// # Errors
    /// When the client refuses.
    pub fn rotate(&self, changes: &[&str]) -> Result<()> {
        let key = self.data.join("root-unprotected.key");
        let key = key.display().to_string();
        let rotate = ["root", "rotate", "--root-key", &key];
        self.run(&[&rotate, changes].concat())?;
        Ok(())
    }

    /// Ends it at once, as a power cut does.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn stop(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// User-data that brings a host here with `token`, which no process list shows.
    ///
    /// # Errors
    /// When the client fails.
    pub fn user_data(&self, token: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("user-data").arg("--data").arg(&self.data);
        process::output(command.env("BURIN_TOKEN", token))
    }

    /// Runs a client subcommand with `--json` and returns its answer.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let text = self.run(&all)?;
        serde_json::from_str(&text)
            .with_context(|| format!("understanding the answer to {arguments:?}: {text}"))
    }

    /// The API key in the file beside the hub's data.
    ///
    /// # Errors
    /// When that is missing or makes no sense.
    pub fn admin_key(&self) -> Result<String> {
        let admin = self.data.join("admin.json");
        let text = std::fs::read(&admin).with_context(|| format!("reading {}", admin.display()))?;
        let admin: Value = serde_json::from_slice(&text).context("understanding admin.json")?;
        let key = admin["api_key"].as_str().context("no key in admin.json")?;
        Ok(key.to_owned())
    }

    /// Sends `body` to the admin API with the rights of the file beside the hub's data.
    ///
    /// # Errors
    /// When the hub refuses.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let key = self.admin_key()?;
        // By a file, so that no process list shows it.
        let mut header = tempfile::NamedTempFile::new().context("making a file")?;
        writeln!(header, "Authorization: Bearer {key}").context("writing a header")?;
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "--cacert"])
            .arg(self.data.join("ca.pem"))
            .arg("-H")
            .arg(format!("@{}", header.path().display()))
            .args(["-H", "Content-Type: application/json", "-d"])
            .arg(body.to_string())
            .arg(format!("https://127.0.0.1:{}{path}", self.port));
        let text = process::output(&mut curl)?;
        serde_json::from_str(&text).with_context(|| format!("understanding {text}"))
    }

    /// Every host as `host list --json` shows it.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub fn hosts(&self) -> Result<Vec<Value>> {
        match self.ask(&["host", "list"])? {
            Value::Array(hosts) => Ok(hosts),
            other => bail!("host list answered {other}"),
        }
    }

    /// Asks for the hosts every second until `found` takes something from them.
    ///
    /// # Errors
    /// When that did not happen `within` the time; the error carries the last answer.
    pub fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut found: impl FnMut(&[Value]) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            let hosts = self.hosts()?;
            if let Some(value) = found(&hosts) {
                return Ok(value);
            }
            if Instant::now() > deadline {
                bail!(
                    "waiting for {what}: not within {} s; the hub's hosts: {}",
                    within.as_secs(),
                    Value::from(hosts)
                );
            }
            // The hub's log is what moves when a host reports; its end would be the hub's end.
            if self
                .process
                .says
                .wait_for_end(Duration::from_secs(1))
                .is_ok()
            {
                bail!("waiting for {what}: the hub ended\n{}", self.log());
            }
        }
    }
}

/// Where a hub logs that keeps its data in `folder`: the log of an earlier one stays.
fn log_file(folder: &Path) -> PathBuf {
    let first = std::iter::once(folder.join("hub.log"));
    let mut names = first.chain((2..).map(|number| folder.join(format!("hub-{number}.log"))));
    names
        .find(|log| !log.exists())
        .unwrap_or_else(|| folder.join("hub.log"))
}
