//! A host as docs/protocol.md describes it, written apart from the agent: what it says and how it
//! reads the answers, without a network. For tests and for the fleet simulator.

use anyhow::{Context as _, Result, ensure};
use burin_api::dsse::{Envelope, Payload, PublicKey};
use burin_api::event::Finding;
use burin_api::host::Evidence;
use burin_api::message::{
    Enroll, Hello, HelloAnswer, KeyStore, Mode, Observed, OpenSession, PROTOCOL, Phase, Refusal,
    SessionAnswer, Sync,
};
use burin_api::root::{Anchor, follow};
use burin_api::token::Token;
use burin_seal::PrivateKey;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};

/// What it calls its agent.
const AGENT: &str = "test";

/// One boot of a machine: its identity key and its session key live in RAM.
#[derive(Debug)]
pub struct FakeHost {
    pub evidence: Evidence,
    pub host_id: String,
    pub boot_id: String,
    pub key_store: KeyStore,
    pub findings: Vec<Finding>,
    /// Id of the open session; empty before the first.
    pub session: String,
    /// Number of the newest message of the session.
    pub sequence: u64,
    /// Secrets are sealed to it; none for a host that takes none.
    pub sealing: Option<PrivateKey>,
    identity: EcdsaKeyPair,
    identity_print: String,
    session_key: Ed25519KeyPair,
    session_print: String,
    /// Signs for the hub; none before the first hello.
    online: Option<PublicKey>,
    /// Of the hub's root document that it holds; 0 for none.
    root_version: u32,
}

impl FakeHost {
    /// A machine with a serial number, and new keys.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn new(serial: &str, boot_id: &str) -> Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let identity = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .and_then(|pkcs8| {
                Ok(EcdsaKeyPair::from_pkcs8(
                    algorithm,
                    pkcs8.as_ref(),
                    &random,
                )?)
            })
            .map_err(|err| anyhow::anyhow!("making an identity key: {err}"))?;
        let session_key = Ed25519KeyPair::generate_pkcs8(&random)
            .and_then(|pkcs8| Ok(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref())?))
            .map_err(|err| anyhow::anyhow!("making a session key: {err}"))?;
        Ok(Self {
            evidence: Evidence {
                serial: serial.to_owned(),
                ..Evidence::default()
            },
            host_id: format!("ID-{serial}"),
            boot_id: boot_id.to_owned(),
            key_store: KeyStore::Ram,
            findings: Vec::new(),
            session: String::new(),
            sequence: 0,
            sealing: None,
            identity_print: ecdsa(&identity).thumbprint()?,
            identity,
            session_print: ed25519(&session_key).thumbprint()?,
            session_key,
            online: None,
            root_version: 0,
        })
    }

    /// Trusts the hub that another host trusts, without a call.
    pub fn trust_as(&mut self, other: &Self) {
        self.online.clone_from(&other.online);
        self.root_version = other.root_version;
    }

    /// First words, with a nonce that is always the same.
    #[must_use]
    pub fn hello(&self) -> Hello {
        Hello {
            host_nonce: "ab".repeat(32),
            protocols: vec![PROTOCOL],
            root_version: self.root_version,
        }
    }

    /// Whether it said hello to a hub before and would know that one again.
    #[must_use]
    pub fn knows_a_hub(&self) -> bool {
        self.online.is_some()
    }

    /// Finds out from the answer to its first hello who signs for the hub whose root key has the thumbprint `pin`.
    ///
    /// # Errors
    /// An answer of another hub, or one that is not signed.
    pub fn learn(&mut self, answer: &Envelope, pin: &str) -> Result<()> {
        let peeked: HelloAnswer = answer.peek()?;
        let root = follow(Anchor::Pinned(pin), &peeked.root)?;
        self.online = root.online.first().cloned();
        self.root_version = root.version;
        self.nonce(answer).map(drop)
    }

    /// The hub's nonce in a hello's answer.
    ///
    /// # Errors
    /// An answer that is not signed, or belongs to another hello.
    pub fn nonce(&self, answer: &Envelope) -> Result<String> {
        let answer: HelloAnswer = self.verified(answer)?;
        ensure!(
            answer.host_nonce == self.hello().host_nonce,
            "it is an answer to another hello"
        );
        Ok(answer.nonce)
    }

    /// The body of an answer, which must carry the hub's signature.
    ///
    /// # Errors
    /// One that does not, or is of another kind.
    pub fn verified<T: Payload>(&self, answer: &Envelope) -> Result<T> {
        let online = self.online.as_ref().context("the host knows no hub yet")?;
        Ok(answer.open(&[online])?)
    }

    /// What `request` asked for where the HTTP status says success, else a refusal.
    ///
    /// # Errors
    /// As [`Self::verified`], and an answer to another request.
    pub fn read<T: Payload>(
        &self,
        request: &Envelope,
        good: bool,
        answer: &Envelope,
    ) -> Result<Result<T, Refusal>> {
        let online = self.online.as_ref().context("the host knows no hub yet")?;
        Ok(if good {
            Ok(answer.open_answer(online, request)?)
        } else {
            Err(answer.open_refusal(online, request)?)
        })
    }

    /// Of the identity key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        ecdsa(&self.identity)
    }

    /// Thumbprint and signature of the identity key.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<(String, Vec<u8>)> {
        let sig = self.identity.sign(&SystemRandom::new(), message);
        let sig = sig.map_err(|_| anyhow::anyhow!("signing needs random bytes"))?;
        Ok((self.identity_print.clone(), sig.as_ref().to_vec()))
    }

    /// Thumbprint and signature of the session key.
    #[must_use]
    pub fn sign_in_session(&self, message: &[u8]) -> (String, Vec<u8>) {
        let sig = self.session_key.sign(message).as_ref().to_vec();
        (self.session_print.clone(), sig)
    }

    /// Of the session key.
    #[must_use]
    pub fn session_key(&self) -> PublicKey {
        ed25519(&self.session_key)
    }

    /// Asks for admission.
    #[must_use]
    pub fn enroll_body(&self, nonce: String, token: Option<&Token>) -> Enroll {
        Enroll {
            nonce,
            host_id: self.host_id.clone(),
            host_id_source: "serial".to_owned(),
            evidence: self.evidence.clone(),
            public_key: self.public_key(),
            key_store: self.key_store,
            boot_id: self.boot_id.clone(),
            mode: Mode::Installer,
            agent: AGENT.to_owned(),
            arch: "amd64".to_owned(),
            labels: [("own".to_owned(), "1".to_owned())].into(),
            token_id: token.map(|token| token.id().to_owned()),
            findings: self.findings.clone(),
            held: None,
            wait: 0,
        }
    }

    /// The envelope of an enroll, signed by the identity and the token.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn seal_enroll(&self, body: &Enroll, token: Option<&Token>) -> Result<Envelope> {
        Envelope::seal(body, |message| {
            let mut signatures = vec![self.sign(message)?];
            if let Some(token) = token {
                signatures.push((token.public_key().thumbprint()?, token.sign(message)));
            }
            Ok(signatures)
        })
    }

    /// The envelope that opens a session of an accepted host.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn seal_session(&self, nonce: String, host_uid: &str) -> Result<Envelope> {
        let key = self.sealing.as_ref().map(|key| key.public().to_string());
        self.seal_session_with(nonce, host_uid, key.as_deref())
    }

    /// As [`Self::seal_session`], with anything for a sealing key.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn seal_session_with(
        &self,
        nonce: String,
        host_uid: &str,
        sealing_key: Option<&str>,
    ) -> Result<Envelope> {
        let body = OpenSession {
            nonce,
            host_uid: host_uid.to_owned(),
            session_key: ed25519(&self.session_key),
            sealing_key: sealing_key.map(str::to_owned),
            boot_id: self.boot_id.clone(),
            hardware_digest: hex::encode(ring::digest::digest(
                &ring::digest::SHA256,
                self.evidence.serial.as_bytes(),
            )),
            machine: format!("serial {}", self.evidence.serial),
            key_store: self.key_store,
            mode: Mode::Installer,
            agent: AGENT.to_owned(),
        };
        Envelope::seal(&body, |message| Ok(vec![self.sign(message)?]))
    }

    /// Counts from the beginning of a session that the hub opened.
    pub fn begin(&mut self, answer: &SessionAnswer) {
        self.session.clone_from(&answer.session);
        self.sequence = 0;
    }

    /// The next sync of the session, with nothing to report.
    pub fn sync_body(&mut self, phase: Phase) -> Sync {
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
            secrets: None,
            kubeconfig: None,
        }
    }

    /// The envelope of a sync, signed by the session key.
    ///
    /// # Errors
    /// A body that does not serialize.
    pub fn seal_sync(&self, body: &Sync) -> Result<Envelope> {
        Envelope::seal(body, |message| Ok(vec![self.sign_in_session(message)]))
    }
}

fn ecdsa(pair: &EcdsaKeyPair) -> PublicKey {
    PublicKey::EcdsaP256(hex::encode(pair.public_key()))
}

fn ed25519(pair: &Ed25519KeyPair) -> PublicKey {
    PublicKey::Ed25519(hex::encode(pair.public_key()))
}
