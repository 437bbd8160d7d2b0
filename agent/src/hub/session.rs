//! One session with the hub. Its keys live in RAM and end with it; what is secret is sealed to them.

use std::time::Duration;

use burin_api::dsse::PublicKey;
use burin_api::event::EventKind;
use burin_api::message::{RootDocument, SessionAnswer};
use burin_api::sealed::{HostSecrets, Sealed, SealedSecrets};
use burin_core::kube::k3s;
use burin_seal::{Context, PrivateKey, Purpose, SealError};
use ring::signature::Ed25519KeyPair;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::context::Paths;
use crate::events::Events;
use crate::machine::file;

/// Longest kubeconfig, bytes: the hub takes 24 KiB of base 64. K3s' own has 3 KiB.
const KUBECONFIG: usize = 16 * 1024;

/// The private halves of a session's keys.
pub(super) struct Keys {
    /// Signs every sync.
    pub(super) signing: Ed25519KeyPair,
    pub(super) public: PublicKey,
    /// Opens what the hub seals to this session; wiped when it is dropped.
    pub(super) sealing: PrivateKey,
}

/// A session that the hub opened.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) key: Ed25519KeyPair,
    pub(super) key_id: String,
    pub(super) root: RootDocument,
    pub(super) sequence: u64,
    pub(super) next: Duration,
    /// Why the hub wants another identity key.
    pub(super) rekey: Option<String>,
    /// The hub has a newer root document than this session knows.
    pub(super) is_outdated: bool,
    host_uid: String,
    sealing: PrivateKey,
    /// What the hub wants its secrets sealed to.
    hub_key: Option<burin_seal::PublicKey>,
    /// Etag of the secrets that came in this session.
    held: Option<String>,
    /// SHA-256 of the kubeconfig that the hub has from this session.
    sent: Option<[u8; 32]>,
    /// A kubeconfig that cannot be sent is told once.
    told: bool,
}

/// A kubeconfig on its way.
pub(super) struct Upload {
    pub(super) sealed: Sealed,
    digest: [u8; 32],
}

impl Session {
    pub(super) fn begin(
        keys: Keys,
        root: &RootDocument,
        host_uid: &str,
        answer: SessionAnswer,
    ) -> Result<Self, Problem> {
        let hub_key = answer.sealing_key.as_deref().map(str::parse);
        let unusable = |err: SealError| Problem::Answer(format!("the hub's key: {err}"));
        Ok(Self {
            id: answer.session,
            key: keys.signing,
            key_id: keys.public.thumbprint().map_err(Problem::Signature)?,
            root: root.clone(),
            sequence: 0,
            next: Duration::from_secs(answer.interval.into()),
            rekey: None,
            is_outdated: false,
            host_uid: host_uid.to_owned(),
            sealing: keys.sealing,
            hub_key: hub_key.transpose().map_err(unusable)?,
            held: None,
            sent: None,
            told: false,
        })
    }

    fn context(&self, purpose: Purpose) -> Context<'_> {
        Context {
            purpose,
            hub_id: &self.root.hub_id,
            host_uid: &self.host_uid,
            session: match purpose {
                Purpose::HostSecrets => &self.id,
                Purpose::Kubeconfig => "",
            },
        }
    }

    /// Etag of the secrets that this session holds.
    pub(super) fn held(&self) -> Option<String> {
        self.held.clone()
    }

    /// Opens secrets that came with an answer.
    ///
    /// # Errors
    /// [`Problem::Answer`] when they were not sealed to this session.
    pub(super) fn open(&mut self, secrets: SealedSecrets) -> Result<HostSecrets, Problem> {
        let context = self.context(Purpose::HostSecrets);
        let wrong = |why: &str| Problem::Answer(format!("the secrets in it cannot be read: {why}"));
        let text = self
            .sealing
            .open(&context, &secrets.sealed)
            .map_err(|err| wrong(&err.to_string()))?;
        // The parser's own message could quote a password.
        let opened = serde_json::from_slice(&text).map_err(|_| wrong("they have another form"))?;
        self.held = Some(secrets.etag);
        Ok(opened)
    }

    /// The kubeconfig, sealed, when there is one that the hub does not have from this session.
    pub(super) fn upload(&mut self, paths: &Paths, events: &Events) -> Option<Upload> {
        match self.kubeconfig(paths) {
            Ok(upload) => upload,
            Err(err) => {
                if !std::mem::replace(&mut self.told, true) {
                    let err = err.context("sending the cluster's kubeconfig to the hub");
                    events.report(EventKind::Note, "", &err);
                }
                None
            }
        }
    }

    fn kubeconfig(&self, paths: &Paths) -> anyhow::Result<Option<Upload>> {
        let Some(hub_key) = &self.hub_key else {
            return Ok(None);
        };
        let path = paths.root.join(k3s::KUBECONFIG.trim_start_matches('/'));
        let Some(text) = file::read_if_there(&path, KUBECONFIG)? else {
            return Ok(None);
        };
        let digest: [u8; 32] = Sha256::digest(&text).into();
        if self.sent == Some(digest) {
            return Ok(None);
        }
        let sealed = hub_key.seal(&self.context(Purpose::Kubeconfig), &text)?;
        Ok(Some(Upload { sealed, digest }))
    }

    /// The hub has it: the next one is sent when it is another.
    pub(super) fn uploaded(&mut self, upload: Option<&Upload>) {
        if let Some(upload) = upload {
            self.sent = Some(upload.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(hub: Option<&PrivateKey>) -> Session {
        let (signing, public) = super::super::messages::session_key().unwrap();
        let keys = Keys {
            signing,
            public,
            sealing: PrivateKey::generate(),
        };
        let root = serde_json::json!({ "version": 1, "hub_id": "hub", "root": [], "online": [] });
        let answer = SessionAnswer {
            session: "session".to_owned(),
            lifetime: 1,
            interval: 1,
            time: 0,
            sealing_key: hub.map(|key| key.public().to_string()),
        };
        Session::begin(keys, &serde_json::from_value(root).unwrap(), "uid", answer).unwrap()
    }

    #[test]
    fn secrets_of_another_session_are_not_taken() {
        let (mut one, other) = (session(None), session(None));
        let text = br#"{"registries":[{"host":"r","username":"u","password":"p"}]}"#;
        let sealed = |session: &Session, text: &[u8]| SealedSecrets {
            etag: "e".to_owned(),
            sealed: session
                .sealing
                .public()
                .seal(&session.context(Purpose::HostSecrets), text)
                .unwrap(),
        };
        assert!(one.open(sealed(&other, text)).is_err());
        let said = one.open(sealed(&one, b"{\"registries\": \"SECRET\"}"));
        assert!(!said.unwrap_err().text().contains("SECRET"));
        assert_eq!(one.held(), None);
        let secrets = one.open(sealed(&one, text)).unwrap();
        assert_eq!(secrets.registries[0].password, "p");
        assert_eq!(one.held().as_deref(), Some("e"));
    }

    #[test]
    fn a_kubeconfig_is_sent_once_and_again_when_it_changed() {
        let root = tempfile::tempdir().unwrap();
        let (paths, events) = (Paths::under(root.path()), Events::new("boot"));
        let hub = PrivateKey::generate();
        let mut one = session(Some(&hub));
        assert!(one.upload(&paths, &events).is_none());
        let path = root.path().join("etc/rancher/k3s/k3s.yaml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for text in ["first", "second"] {
            std::fs::write(&path, text).unwrap();
            let upload = one.upload(&paths, &events).unwrap();
            let context = one.context(Purpose::Kubeconfig);
            let opened = hub.open(&context, &upload.sealed).unwrap();
            assert_eq!(*opened, text.as_bytes());
            // Until the hub answered it is not there.
            assert!(one.upload(&paths, &events).is_some());
            one.uploaded(Some(&upload));
            assert!(one.upload(&paths, &events).is_none());
        }
        std::fs::write(&path, "x".repeat(KUBECONFIG + 1)).unwrap();
        assert!(one.upload(&paths, &events).is_none());
        assert!(one.upload(&paths, &events).is_none());
        assert_eq!(events.after(0, 10).len(), 1, "told once");
        assert!(session(None).upload(&paths, &events).is_none());
    }
}
