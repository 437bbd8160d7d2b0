//! Debian's registry on a free loopback port, over TLS.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    pki::{self, ServerFiles},
    process::Guard,
};

/// Who may use a registry that was locked.
#[derive(Debug, Clone, Copy)]
pub struct Login {
    pub user: &'static str,
    pub password: &'static str,
}

/// The password stands nowhere else: it is searched for where it must not be.
const LOGIN: Login = Login {
    user: "fleet",
    password: "canary-of-the-registry-93c1e07b",
};
/// bcrypt of the password of [`LOGIN`], the only form that the registry takes.
const HTPASSWD: &str = "fleet:$2b$05$burinburinburinburinbuo7hCZUvbDMf3LhFY0VxK4DOtfO53FhG\n";

/// A registry that runs until it is dropped. Its storage stays.
#[derive(Debug)]
pub struct Registry {
    process: Guard,
    port: u16,
    tls: ServerFiles,
    storage: PathBuf,
    login: Option<Login>,
}

/// Has the registry of `folder` ask for a password from its next start on.
///
/// # Errors
/// When the file cannot be written.
pub fn lock(folder: &Path) -> Result<()> {
    let file = passwords(folder);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, HTPASSWD))
        .with_context(|| format!("writing {}", file.display()))
}

fn passwords(folder: &Path) -> PathBuf {
    folder.join("htpasswd")
}

impl Registry {
    /// Starts `docker-registry` with its files in `folder`. An earlier run's storage and certificates
    /// there are used again. `port` 0 picks a free one.
    ///
    /// # Errors
    /// When the program is not installed, or does not listen within its time.
    pub fn start(folder: &Path, port: u16) -> Result<Self> {
        let port = match port {
            0 => burin_ports::free()?,
            port => port,
        };
        let storage = folder.join("storage");
        fs::create_dir_all(&storage).with_context(|| format!("creating {}", storage.display()))?;
        let tls = existing_or_new(&folder.join("tls"))?;
        let config = folder.join("config.yml");
        let passwords = Some(passwords(folder)).filter(|file| file.exists());
        fs::write(
            &config,
            configuration(&storage, port, &tls, passwords.as_deref()),
        )
        .with_context(|| format!("writing {}", config.display()))?;
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none");
        let process = Guard::start(&command, &folder.join("registry.log"))
            .context("starting docker-registry (Debian package docker-registry)")?;
        process
            .says
            .wait_for("listening on", Duration::from_secs(60))?;
        Ok(Self {
            process,
            port,
            tls,
            storage,
            login: passwords.map(|_| LOGIN),
        })
    }

    /// Port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`: how programs on this machine name it.
    pub fn local_name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `10.0.2.2:PORT`: how the guest and therefore the profile names it.
    pub fn guest_name(&self) -> String {
        format!("10.0.2.2:{}", self.port)
    }

    /// Who may use it; none when everybody may.
    pub fn login(&self) -> Option<Login> {
        self.login
    }

    /// Certificates; `ca` is what a client has to trust.
    pub fn tls(&self) -> &ServerFiles {
        &self.tls
    }

    /// The folder with every blob, for a test that damages one.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// What the registry logged.
    pub fn log(&self) -> String {
        self.process.says.text()
    }
}

fn existing_or_new(folder: &Path) -> Result<ServerFiles> {
    let files = ServerFiles::of(folder);
    if files.ca.exists() && files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    pki::make(folder)
}

fn configuration(storage: &Path, port: u16, tls: &ServerFiles, passwords: Option<&Path>) -> String {
    let login = passwords.map_or_else(String::new, |file| {
        let file = file.display();
        format!("auth:\n  htpasswd: {{ realm: fleet, path: {file} }}\n")
    });
    format!(
        "version: 0.1\n{login}\
         log: {{ level: info, accesslog: {{ disabled: false }} }}\n\
         storage:\n  filesystem: {{ rootdirectory: {} }}\n  delete: {{ enabled: true }}\n\
         http:\n  addr: 127.0.0.1:{port}\n  tls: {{ certificate: {}, key: {} }}\n",
        storage.display(),
        tls.certificate.display(),
        tls.key.display()
    )
}
