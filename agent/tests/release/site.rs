//! A hub, the keys beside it, and its database in anybody's hands.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use burin_api::dsse::{Envelope, PublicKey};
use burin_api::release::Statement;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::program::{program, serve};

/// Every row of a database.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    header: String,
    rows: Vec<Value>,
}

impl Rows {
    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines();
        let header = lines.next().unwrap().to_owned();
        let rows = lines.map(|line| serde_json::from_str(line).unwrap());
        let mut rows: Vec<Value> = rows.collect();
        rows.pop();
        Self { header, rows }
    }

    fn write(&self, file: &Path) {
        let lines = self.rows.iter().map(|row| format!("{row}\n"));
        let mut text = format!("{}\n", self.header);
        text.extend(lines);
        let hash = hex::encode(Sha256::digest(&text));
        let end = json!({ "rows": self.rows.len(), "sha256": hash });
        std::fs::write(file, format!("{text}{end}\n")).unwrap();
    }

    pub(crate) fn of(&self, table: &str) -> impl DoubleEndedIterator<Item = &Value> {
        let rows = self.rows.iter().filter(move |row| row["table"] == table);
        rows.map(|row| &row["row"])
    }

    pub(crate) fn remove(&mut self, table: &str) {
        self.rows.retain(|row| row["table"] != table);
    }

    pub(crate) fn change(&mut self, table: &str, change: impl Fn(&mut Value)) {
        let rows = self.rows.iter_mut().filter(|row| row["table"] == table);
        rows.for_each(|row| change(&mut row["row"]));
    }
}

pub(crate) struct Site {
    data: tempfile::TempDir,
    /// Where the operator keeps what the hub must not have.
    stick: tempfile::TempDir,
    child: Option<Child>,
    listen: String,
    /// Thumbprint and root version of the user-data that hosts are started with.
    pub(crate) user_data: String,
    pub(crate) token: String,
}

impl Site {
    /// A hub that lists keys for `retail` and `factory`, with versions of `retail` that nobody signed.
    pub(crate) fn start(versions: &[&str]) -> Self {
        Self::with(versions, Self::add_release_keys)
    }

    pub(crate) fn without_release_keys(versions: &[&str]) -> Self {
        Self::with(versions, |_| ())
    }

    fn with(versions: &[&str], prepare: impl Fn(&Self)) -> Self {
        let mut site = Self {
            data: tempfile::tempdir().unwrap(),
            stick: tempfile::tempdir().unwrap(),
            child: None,
            listen: format!("127.0.0.1:{}", burin_ports::free().unwrap()),
            user_data: String::new(),
            token: String::new(),
        };
        site.client(&["root", "init", "--root-key", &site.key("root")]);
        for name in ["retail", "factory", "foreign"] {
            site.client(&["release", "key", "init", &site.key(name)]);
        }
        prepare(&site);
        site.start_again();
        site.stop();
        let rows = site.read();
        site.start_with(&rows, |rows| {
            let owner = json!({ "name": "retail", "project": "default" });
            rows.rows.push(json!({ "table": "profile", "row": owner }));
            for version in versions {
                rows.rows.push(published(version));
            }
        });
        let printed = site.client(&["user-data"]);
        site.user_data = printed["user_data"].as_str().unwrap().to_owned();
        let made = site.client(&["token", "create", "--uses", "9"]);
        site.token = made["token"].as_str().unwrap().to_owned();
        site
    }

    pub(crate) fn add_release_keys(&self) {
        for name in ["retail", "factory"] {
            let public = format!("{}.pub", self.key(name));
            let rotate = ["root", "rotate", "--root-key", &self.key("root")];
            let add = ["--add-release-key", &public, "--release-profile", name];
            self.client(&[rotate, add].concat());
        }
    }

    /// Where the disks of the machines are.
    pub(crate) fn machines(&self) -> PathBuf {
        self.stick.path().join("machines")
    }

    /// The file of a key; the hub's own is `online`.
    fn key(&self, name: &str) -> String {
        let path = match name {
            "online" => self.data.path().join("online.key"),
            _ => self.stick.path().join(name),
        };
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.args(["--json", "--data"]).arg(self.data.path());
        command.args(arguments).output().unwrap()
    }

    /// What a command prints.
    pub(crate) fn client(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// What a command that does not do it says.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// As a release engineer does it, off the hub.
    pub(crate) fn sign_and_import(&self, release: &str) {
        let file = |name: &str| self.stick.path().join(name);
        let (statement, envelope) = (file("statement.json"), file("envelope.json"));
        let exported = self.client(&["release", "export", release]);
        std::fs::write(&statement, exported.to_string()).unwrap();
        let key = self.key("retail");
        let sign = [
            "release",
            "sign",
            "--key",
            &key,
            statement.to_str().unwrap(),
        ];
        let shown = self.fails(&sign);
        let digest = shown.rsplit("--examined ").next().unwrap();
        let digest = &digest[..12];
        let wrong = self.fails(&[&sign[..], &["--examined", "000000000000"]].concat());
        assert!(wrong.contains("another digest"), "{wrong}");
        let signed = self.client(&[&sign[..], &["--examined", digest]].concat());
        std::fs::write(&envelope, signed.to_string()).unwrap();
        let envelope = envelope.to_str().unwrap();
        let public = format!("{key}.pub");
        self.client(&["release", "verify", "--key", &public, envelope]);
        self.client(&["release", "import", envelope]);
    }

    /// Signs what no command would.
    pub(crate) fn seal(&self, key: &str, statement: &Statement) -> Envelope {
        let pair = Ed25519KeyPair::from_pkcs8(&std::fs::read(self.key(key)).unwrap()).unwrap();
        let public = PublicKey::Ed25519(hex::encode(pair.public_key()));
        Envelope::seal::<_, serde_json::Error>(statement, |message| {
            let sig = pair.sign(message).as_ref().to_vec();
            Ok(vec![(public.thumbprint().unwrap(), sig)])
        })
        .unwrap()
    }

    pub(crate) fn start_again(&mut self) {
        let (child, listen) = serve(self.data.path(), &self.listen, &[]);
        self.listen = listen;
        self.child = Some(child);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn stop_and_read(&mut self) -> Rows {
        self.stop();
        self.read()
    }

    fn read(&self) -> Rows {
        let file = self.stick.path().join("hub.jsonl");
        // It prints no JSON, and never writes over a file.
        drop(std::fs::remove_file(&file));
        self.client(&["export", file.to_str().unwrap()]);
        Rows::read(&file)
    }

    /// Starts the hub on a database with these rows, changed.
    pub(crate) fn start_with(&mut self, rows: &Rows, change: impl Fn(&mut Rows)) {
        let mut rows = rows.clone();
        change(&mut rows);
        let file = self.stick.path().join("changed.jsonl");
        rows.write(&file);
        for name in ["hub.db", "hub.db-wal", "hub.db-shm"] {
            // The last two are there after a crash only.
            drop(std::fs::remove_file(self.data.path().join(name)));
        }
        self.client(&["import", file.to_str().unwrap()]);
        self.start_again();
    }

    pub(crate) fn cut_root_documents_to_one(&self) {
        let file = self.data.path().join("root.json");
        let chain: Vec<Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert!(chain.len() > 1);
        std::fs::write(&file, json!([chain[0]]).to_string()).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A row of a published version.
fn published(version: &str) -> Value {
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    let release = json!({
        "name": "retail", "version": version, "registries": [],
        "layers": [{
            "kind": "os", "name": "os", "registry": "registry.example", "repository": "os",
            "reference": "registry.example/os:13", "manifest": digest("a"),
            "blobs": [{
                "digest": digest("b"), "diff_id": digest("c"), "size": 1, "unpacked": 1,
                "entries": 1, "media_type": "application/vnd.oci.image.layer.v1.tar",
            }],
            "facts": {},
        }],
    });
    json!({ "table": "profile_version", "row": {
        "name": "retail", "version": version, "published_at": 1, "digest": "", "document": "",
        "release": release.to_string(), "module_aliases": "[]",
    } })
}
