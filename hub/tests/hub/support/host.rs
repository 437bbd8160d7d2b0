//! A host as docs/protocol.md describes it, written apart from the agent.

use burin_api::claim::{ClaimLink, KeyLabel};
use burin_api::dsse::{Envelope, Payload, PublicKey};
use burin_api::host::Evidence;
use burin_api::message::{
    Enroll, EnrollAnswer, Hello, HelloAnswer, KeyStore, Mode, Observed, OpenSession, Phase,
    Refusal, SessionAnswer, Sync, SyncAnswer,
};
use burin_api::root::{Anchor, follow};
use burin_api::token::Token;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};

use super::Site;

/// One boot of a machine.
pub(crate) struct Host {
    pub(crate) evidence: Evidence,
    pub(crate) host_id: String,
    pub(crate) boot_id: String,
    pub(crate) key_store: KeyStore,
    pub(crate) findings: Vec<burin_api::event::Finding>,
    identity: EcdsaKeyPair,
    session_key: Ed25519KeyPair,
    pub(crate) session: String,
    pub(crate) sequence: u64,
    online: PublicKey,
    http: reqwest::Client,
}

impl Host {
    /// A machine with a serial number; a new identity key in RAM.
    pub(crate) async fn boot(site: &Site, serial: &str, boot_id: &str) -> Self {
        Self::boot_over(site, serial, boot_id, site.http.clone()).await
    }

    /// The same over a connection of the caller's.
    pub(crate) async fn boot_over(
        site: &Site,
        serial: &str,
        boot_id: &str,
        http: reqwest::Client,
    ) -> Self {
        let mut host = Self::unplugged(serial, boot_id, http);
        host.learn_hub(site).await;
        host
    }

    /// Another machine that knows the hub already: it costs no call at the door.
    pub(crate) fn beside(&self, serial: &str, boot_id: &str) -> Self {
        let mut host = Self::unplugged(serial, boot_id, self.http.clone());
        host.online = self.online.clone();
        host
    }

    fn unplugged(serial: &str, boot_id: &str, http: reqwest::Client) -> Self {
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let identity =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .unwrap();
        let session = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            evidence: Evidence {
                serial: serial.to_owned(),
                ..Evidence::default()
            },
            host_id: format!("ID-{serial}"),
            boot_id: boot_id.to_owned(),
            key_store: KeyStore::Ram,
            findings: Vec::new(),
            identity,
            session_key: Ed25519KeyPair::from_pkcs8(session.as_ref()).unwrap(),
            session: String::new(),
            sequence: 0,
            online: PublicKey::Ed25519(String::new()),
            http,
        }
    }

    async fn learn_hub(&mut self, site: &Site) {
        let envelope = self.raw_hello(site).await;
        let peeked: HelloAnswer = envelope.peek().unwrap();
        let pin = &site.running.ready.root;
        let root = follow(Anchor::Pinned(pin), &peeked.root).unwrap();
        self.online = root.online[0].clone();
        envelope.open::<HelloAnswer>(&[&self.online]).unwrap();
    }

    async fn raw_hello(&self, site: &Site) -> Envelope {
        let hello = Hello {
            host_nonce: "ab".repeat(32),
            protocols: vec![1],
            root_version: 0,
        };
        let request = self
            .http
            .post(format!("{}/h/1/hello", site.url))
            .json(&hello);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn nonce(&self, site: &Site) -> String {
        let answer: HelloAnswer = self.raw_hello(site).await.open(&[&self.online]).unwrap();
        assert_eq!(answer.host_nonce, "ab".repeat(32));
        answer.nonce
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey::EcdsaP256(hex::encode(self.identity.public_key()))
    }

    /// Label of the identity key, 26 characters.
    pub(crate) fn label(&self) -> String {
        let print = self.public_key().thumbprint().unwrap();
        KeyLabel::of(&print).unwrap().compact()
    }

    /// The text of the QR code on its screen.
    pub(crate) fn link(&self, site: &Site) -> String {
        let link = ClaimLink {
            host_id: self.host_id.clone(),
            key: self.label().parse().unwrap(),
        };
        link.url(&site.url)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> (String, Vec<u8>) {
        let sig = self.identity.sign(&SystemRandom::new(), message).unwrap();
        (
            self.public_key().thumbprint().unwrap(),
            sig.as_ref().to_vec(),
        )
    }

    pub(crate) fn enroll_body(&self, nonce: String, token: Option<&Token>) -> Enroll {
        Enroll {
            nonce,
            host_id: self.host_id.clone(),
            host_id_source: "serial".to_owned(),
            evidence: self.evidence.clone(),
            public_key: self.public_key(),
            key_store: self.key_store,
            boot_id: self.boot_id.clone(),
            mode: Mode::Installer,
            agent: "test".to_owned(),
            arch: "amd64".to_owned(),
            labels: [("own".to_owned(), "1".to_owned())].into(),
            token_id: token.map(|token| token.id().to_owned()),
            findings: self.findings.clone(),
            held: None,
            wait: 0,
        }
    }

    /// The envelope of an enroll, signed by the identity and the token.
    pub(crate) fn seal_enroll(&self, body: &Enroll, token: Option<&Token>) -> Envelope {
        Envelope::seal::<_, serde_json::Error>(body, |message| {
            let mut signatures = vec![self.sign(message)];
            if let Some(token) = token {
                let print = token.public_key().thumbprint().unwrap();
                signatures.push((print, token.sign(message)));
            }
            Ok(signatures)
        })
        .unwrap()
    }

    pub(crate) async fn enroll(
        &self,
        site: &Site,
        token: Option<&Token>,
    ) -> Result<EnrollAnswer, Refusal> {
        let body = self.enroll_body(self.nonce(site).await, token);
        self.send(site, "enroll", &self.seal_enroll(&body, token))
            .await
    }

    /// Enrolls without a token; the answer may be held while it is the one with this etag.
    pub(crate) async fn poll(
        &self,
        site: &Site,
        held: &Shown,
        wait: u32,
    ) -> Result<EnrollAnswer, Refusal> {
        let mut body = self.enroll_body(self.nonce(site).await, None);
        body.held = Some(held.etag.clone());
        body.wait = wait;
        self.send(site, "enroll", &self.seal_enroll(&body, None))
            .await
    }

    /// Enrolls without a token and must be pending: what its screen shows then.
    pub(crate) async fn shows(&self, site: &Site) -> Shown {
        shown(self.enroll(site, None).await.unwrap())
    }

    /// Enrolls and must be accepted.
    pub(crate) async fn join(&self, site: &Site, token: &Token) -> String {
        match self.enroll(site, Some(token)).await {
            Ok(EnrollAnswer::Accepted { host_uid }) => host_uid,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn open(&mut self, site: &Site, uid: &str) -> Result<SessionAnswer, Refusal> {
        let body = OpenSession {
            nonce: self.nonce(site).await,
            host_uid: uid.to_owned(),
            session_key: PublicKey::Ed25519(hex::encode(self.session_key.public_key())),
            sealing_key: None,
            boot_id: self.boot_id.clone(),
            hardware_digest: self.evidence.serial.clone(),
            key_store: self.key_store,
            mode: Mode::Installer,
            agent: "test".to_owned(),
        };
        let envelope =
            Envelope::seal::<_, serde_json::Error>(&body, |m| Ok(vec![self.sign(m)])).unwrap();
        let answer: SessionAnswer = self.send(site, "session", &envelope).await?;
        self.session = answer.session.clone();
        self.sequence = 0;
        Ok(answer)
    }

    pub(crate) fn sync_body(&mut self, phase: Phase) -> Sync {
        self.sequence += 1;
        Sync {
            session: self.session.clone(),
            sequence: self.sequence,
            etag: None,
            phase,
            progress: None,
            observed: Observed::default(),
            findings: Vec::new(),
            events: Vec::new(),
            wait: 0,
        }
    }

    pub(crate) fn seal_sync(&self, body: &Sync) -> Envelope {
        let key = PublicKey::Ed25519(hex::encode(self.session_key.public_key()));
        let print = key.thumbprint().unwrap();
        Envelope::seal::<_, serde_json::Error>(body, |message| {
            let sig = self.session_key.sign(message).as_ref().to_vec();
            Ok(vec![(print.clone(), sig)])
        })
        .unwrap()
    }

    pub(crate) async fn sync(&self, site: &Site, body: &Sync) -> Result<SyncAnswer, Refusal> {
        self.send(site, "sync", &self.seal_sync(body)).await
    }

    /// Sends an envelope; every answer must carry the hub's signature.
    pub(crate) async fn send<T: Payload>(
        &self,
        site: &Site,
        message: &str,
        envelope: &Envelope,
    ) -> Result<T, Refusal> {
        let url = format!("{}/h/1/{message}", site.url);
        let answer = self.http.post(url).json(envelope).send().await.unwrap();
        let good = answer.status().is_success();
        let envelope: Envelope = answer.json().await.unwrap();
        if good {
            Ok(envelope.open::<T>(&[&self.online]).unwrap())
        } else {
            Err(envelope.open::<Refusal>(&[&self.online]).unwrap())
        }
    }
}

/// What a pending answer puts on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) reason: String,
    pub(crate) code: String,
    pub(crate) number: u8,
    pub(crate) etag: String,
}

/// What the screen shows after an answer that must be pending.
pub(crate) fn shown(answer: EnrollAnswer) -> Shown {
    match answer {
        EnrollAnswer::Pending {
            reason,
            code,
            match_number,
            etag,
            ..
        } => Shown {
            reason,
            code: code.unwrap(),
            number: match_number.unwrap(),
            etag: etag.unwrap(),
        },
        other => panic!("{other:?}"),
    }
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().code
}

/// `accepted`, or the reason of any other answer.
pub(crate) fn reason(answer: Result<EnrollAnswer, Refusal>) -> String {
    match answer.unwrap() {
        EnrollAnswer::Accepted { .. } => "accepted".to_owned(),
        EnrollAnswer::Pending { reason, .. } | EnrollAnswer::Rejected { reason, .. } => reason,
        EnrollAnswer::Unknown => "unknown".to_owned(),
    }
}
