//! A proxy that opens TLS can change every byte; it must gain nothing by it.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use burin_api::answer::Answer;
use burin_api::claim::{ClaimLink, KeyLabel};
use burin_api::code;
use burin_api::dsse::{DsseError, Envelope, Payload, PublicKey};
use burin_api::message::{
    Enroll, EnrollAnswer, Hello, HelloAnswer, OpenSession, Refusal, Rekey, RootDocument,
    SessionAnswer, Sync, SyncAnswer,
};
use burin_api::root::{Anchor, follow};
use burin_api::token::Token;

/// SplitMix64: the same mutations in every run (Steele, Lea, Flood: "Fast splittable pseudorandom
/// number generators", 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

fn mutate(good: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = b"0123456789abcdefABCDEF+/=\"{}[],:"[random.below(32)],
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, bytes[random.below(bytes.len())]),
            _ => {
                let other = random.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
    bytes
}

#[test]
fn of_twenty_thousand_changed_answers_none_says_anything_else() {
    // A token is an Ed25519 key; here it stands for the hub's.
    let hub = Token::from_seed([3; 16]);
    let key: PublicKey = hub.public_key();
    let said = SessionAnswer {
        session: "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d".to_owned(),
        lifetime: 86_400,
        interval: 60,
        time: 1_795_305_600_000,
        sealing_key: None,
    };
    let sealed = Envelope::seal::<_, serde_json::Error>(&said, |message| {
        Ok(vec![(key.thumbprint().unwrap(), hub.sign(message))])
    })
    .unwrap();
    let good = serde_json::to_vec(&sealed).unwrap();
    let want = serde_json::to_value(&said).unwrap();
    let mut random = Random(1);
    let (mut refused, mut harmless) = (0, 0);
    for round in 0..20_000 {
        let bytes = mutate(&good, &mut random);
        let opened = serde_json::from_slice::<Envelope>(&bytes)
            .ok()
            .and_then(|envelope| envelope.open::<SessionAnswer>(&[&key]).ok());
        match opened {
            None => refused += 1,
            Some(answer) => {
                assert_eq!(
                    serde_json::to_value(&answer).unwrap(),
                    want,
                    "round {round}"
                );
                harmless += 1;
            }
        }
    }
    // Two equal bytes swapped: the text is the same.
    assert!(refused > 19_000 && harmless < 1_000, "{refused} {harmless}");
}

fn sealed<T: Payload>(body: &T, by: &Token) -> Envelope {
    sealed_by(body, &[by])
}

fn sealed_by<T: Payload>(body: &T, by: &[&Token]) -> Envelope {
    Envelope::seal::<_, serde_json::Error>(body, |message| {
        let sign = |by: &&Token| (by.public_key().thumbprint().unwrap(), by.sign(message));
        Ok(by.iter().map(sign).collect())
    })
    .unwrap()
}

fn asked(nonce: &str) -> Envelope {
    let key = Token::from_seed([5; 16]);
    let body = Rekey {
        nonce: nonce.to_owned(),
        host_uid: "u".to_owned(),
        public_key: key.public_key(),
        reason: String::new(),
    };
    sealed(&body, &key)
}

fn refusal(request: String, code: &str) -> Answer<Refusal> {
    let body = Refusal {
        code: code.to_owned(),
        message: "no".to_owned(),
        retry_after: None,
    };
    Answer { request, body }
}

#[test]
fn an_answer_is_good_for_its_own_request_only() {
    let hub = Token::from_seed([3; 16]);
    let key = hub.public_key();
    let (one, other) = (asked("1"), asked("2"));
    let body = SessionAnswer {
        session: "s".to_owned(),
        lifetime: 1,
        interval: 1,
        time: u64::MAX,
        sealing_key: None,
    };
    let bound = |request: String| {
        let body = body.clone();
        sealed(&Answer { request, body }, &hub)
    };
    let good = bound(one.digest().unwrap());
    let opened = good.open_answer::<SessionAnswer>(&key, &one).unwrap();
    assert_eq!(opened.time, u64::MAX);
    for wrong in [
        good.open_answer::<SessionAnswer>(&key, &other),
        bound(String::new()).open_answer(&key, &one),
        sealed(&body, &hub).open_answer(&key, &one),
    ] {
        assert_eq!(wrong.unwrap_err(), DsseError::OtherRequest);
    }
}

#[test]
fn a_refusal_is_good_for_its_own_request_or_says_that_nothing_could_be_read() {
    let hub = Token::from_seed([3; 16]);
    let key = hub.public_key();
    let (one, other) = (asked("1"), asked("2"));
    let digest = one.digest().unwrap();
    for (request, code, asked, good) in [
        (digest.clone(), "revoked", &one, true),
        (digest.clone(), "revoked", &other, false),
        (digest, "bad_request", &other, false),
        (String::new(), "revoked", &one, false),
        (String::new(), "bad_request", &one, true),
    ] {
        let said = sealed(&refusal(request.clone(), code), &hub).open_refusal(&key, asked);
        assert_eq!(said.is_ok(), good, "{code} for {request:?}");
    }
}

fn document(version: u32, root: &Token, online: &Token) -> RootDocument {
    serde_json::from_value(serde_json::json!({
        "version": version, "hub_id": "39e0215b",
        "root": [root.public_key()], "online": [online.public_key()],
    }))
    .unwrap()
}

#[test]
fn of_ten_thousand_changed_chains_of_root_documents_none_names_another_key() {
    let [first, second, online] = [1, 2, 3].map(|seed| Token::from_seed([seed; 16]));
    let (old, new) = (document(1, &first, &online), document(2, &second, &online));
    let chain = [
        sealed_by(&old, &[&first]),
        sealed_by(&new, &[&first, &second]),
    ];
    let pin = first.public_key().thumbprint().unwrap();
    assert_eq!(follow(Anchor::Pinned(&pin), &chain).as_ref(), Ok(&new));
    let good = serde_json::to_vec(&chain).unwrap();
    let mut random = Random(2);
    let mut refused = 0;
    for round in 0..10_000 {
        let bytes = mutate(&good, &mut random);
        let Ok(chain) = serde_json::from_slice::<Vec<Envelope>>(&bytes) else {
            refused += 1;
            continue;
        };
        for anchor in [Anchor::Pinned(&pin), Anchor::Held(&old)] {
            match follow(anchor, &chain) {
                Ok(document) => {
                    assert!(document == old || document == new, "round {round}");
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 9_000, "{refused}");
}

/// Reads a text as every message that there is: an error or a value, and no end of the program.
fn read_as_all(bytes: &[u8]) -> usize {
    fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> usize {
        usize::from(serde_json::from_slice::<T>(bytes).is_ok())
    }
    read::<Envelope>(bytes)
        + read::<Hello>(bytes)
        + read::<HelloAnswer>(bytes)
        + read::<Enroll>(bytes)
        + read::<EnrollAnswer>(bytes)
        + read::<Answer<EnrollAnswer>>(bytes)
        + read::<Rekey>(bytes)
        + read::<OpenSession>(bytes)
        + read::<SessionAnswer>(bytes)
        + read::<Sync>(bytes)
        + read::<Answer<SyncAnswer>>(bytes)
        + read::<Answer<Refusal>>(bytes)
        + read::<RootDocument>(bytes)
}

#[test]
fn no_changed_message_ends_its_reader() {
    let page = include_str!("../../../docs/protocol.md");
    let mut random = Random(3);
    let (mut whole, mut read, mut changed) = (0, 0, 0);
    for block in page.split("```json ").skip(1) {
        let (_, rest) = block.split_once('\n').unwrap();
        let text = rest.split("```").next().unwrap().as_bytes();
        whole += read_as_all(text);
        for _ in 0..1_000 {
            read += read_as_all(&mutate(text, &mut random));
            changed += 1;
        }
    }
    assert!(whole >= 15, "{whole} examples are read");
    assert!(read > 0 && changed >= 15_000, "{read} of {changed}");
}

#[test]
fn what_people_type_is_read_or_refused() {
    let token = Token::from_seed([9; 16]).reveal();
    let label = KeyLabel::of(&"ab".repeat(32)).unwrap();
    let link = ClaimLink {
        host_id: "4D43BPQZXXWD6PRN".to_owned(),
        key: label,
    };
    let texts = [
        token.clone(),
        label.to_string(),
        link.url("https://hub.example"),
        "WDJB-MJHT".to_owned(),
    ];
    let mut random = Random(4);
    for text in &texts {
        for _ in 0..5_000 {
            let bytes = mutate(text.as_bytes(), &mut random);
            let typed = String::from_utf8_lossy(&bytes);
            // A token knows its own mistakes; the others are compared with what the hub has.
            if let Ok(read) = Token::parse(&typed) {
                assert_eq!(read.reveal(), token, "{typed}");
            }
            if let Some(code) = code::typed(&typed) {
                assert_eq!(code.len(), 8, "{typed}");
            }
            if let Ok(key) = typed.parse::<KeyLabel>() {
                assert_eq!(key.compact().len(), 26, "{typed}");
            }
            if let Ok(link) = ClaimLink::parse(&typed) {
                assert_eq!(link.host_id.len(), 16, "{typed}");
            }
        }
    }
}
