//! A proxy that opens TLS can change every byte; it must gain nothing by it.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use burin_api::answer::Answer;
use burin_api::dsse::{DsseError, Envelope, Payload, PublicKey};
use burin_api::message::{Refusal, Rekey, SessionAnswer};
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
    Envelope::seal::<_, serde_json::Error>(body, |message| {
        Ok(vec![(
            by.public_key().thumbprint().unwrap(),
            by.sign(message),
        )])
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
