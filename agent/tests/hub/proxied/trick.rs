//! What a proxy does to one message: what is harmless, and what a host or the hub has to notice.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burin_api::dsse::{Envelope, MAX_ANSWER, Signature, pre_authentication};
use burin_api::message::{HelloAnswer, RootDocument};
use burin_api::token::Token;
use serde_json::{Value, json};

use super::http::{Framing, Message};
use super::line::Exchange;
use super::random::{Random, damage};

/// Where an attack happens: the message's name, and how many of that name went by before.
pub(crate) const PLACES: [(&str, usize); 6] = [
    ("hello", 0),
    ("enroll", 0),
    ("hello", 1),
    ("session", 0),
    ("sync", 0),
    ("rekey", 0),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    // As proxies do: nothing may come of it.
    Nothing,
    HeadersAdded,
    HeadersDropped,
    Chunked,
    Rewritten,
    Late,
    // To an answer.
    AnswerDamaged,
    AnswerBit,
    AnswerField,
    AnswerForged,
    AnswerUnsigned,
    AnswerOtherType,
    AnswerOlder,
    AnswerOfOther,
    AnswerStatus,
    AnswerRefusal,
    AnswerCut,
    AnswerShort,
    AnswerEmpty,
    AnswerElsewhere,
    AnswerEndless,
    OwnHub,
    // To a request.
    RequestBit,
    RequestField,
    RequestUnsigned,
    RequestOtherType,
    RequestOlder,
    RequestShort,
    RequestTwice,
    Swallowed,
    Downgraded,
}

/// What the host must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Get on as if nothing was.
    Nothing,
    /// Say that something is wrong, and take nothing from it.
    Notice,
}

use Expect::{Nothing, Notice};

pub(crate) const TRICKS: [(Trick, Expect); 31] = [
    (Trick::Nothing, Nothing),
    (Trick::HeadersAdded, Nothing),
    (Trick::HeadersDropped, Nothing),
    (Trick::Chunked, Nothing),
    (Trick::Rewritten, Nothing),
    (Trick::Late, Nothing),
    (Trick::AnswerDamaged, Notice),
    (Trick::AnswerBit, Notice),
    (Trick::AnswerField, Notice),
    (Trick::AnswerForged, Notice),
    (Trick::AnswerUnsigned, Notice),
    (Trick::AnswerOtherType, Notice),
    (Trick::AnswerOlder, Notice),
    (Trick::AnswerOfOther, Notice),
    (Trick::AnswerStatus, Notice),
    (Trick::AnswerRefusal, Notice),
    (Trick::AnswerCut, Notice),
    (Trick::AnswerShort, Notice),
    (Trick::AnswerEmpty, Notice),
    (Trick::AnswerElsewhere, Notice),
    (Trick::AnswerEndless, Notice),
    (Trick::OwnHub, Notice),
    (Trick::RequestBit, Notice),
    (Trick::RequestField, Notice),
    (Trick::RequestUnsigned, Notice),
    (Trick::RequestOtherType, Notice),
    (Trick::RequestOlder, Notice),
    (Trick::RequestShort, Notice),
    (Trick::RequestTwice, Notice),
    (Trick::Swallowed, Notice),
    (Trick::Downgraded, Notice),
];

impl Trick {
    /// Whether there is something to play it on: a hello is no envelope, and two of them are no fault.
    pub(crate) fn fits(self, name: &str) -> bool {
        let hello = name == "hello";
        match self {
            Self::RequestUnsigned | Self::RequestOtherType | Self::RequestTwice => !hello,
            Self::Downgraded | Self::OwnHub => hello,
            _ => true,
        }
    }
}

/// How often the hub gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Never,
    Once,
    Twice,
}

impl Way {
    pub(crate) fn times(self) -> usize {
        match self {
            Self::Never => 0,
            Self::Once => 1,
            Self::Twice => 2,
        }
    }
}

/// One trick at one place, with what was caught of other hosts before.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) trick: Trick,
    pub(crate) place: (&'static str, usize),
    pub(crate) caught: Vec<Exchange>,
    pub(crate) seed: u64,
}

impl Plan {
    pub(crate) fn is_for(&self, name: &str, earlier: usize) -> bool {
        self.place == (name, earlier)
    }

    fn random(&self) -> Random {
        Random::new(self.seed)
    }

    fn caught(&self, fits: impl Fn(&Exchange) -> bool) -> &Exchange {
        self.caught
            .iter()
            .find(|it| fits(it))
            .expect("every message was caught before")
    }

    pub(crate) fn on_request(&self, message: &mut Message) -> Way {
        let mut random = self.random();
        let name = self.place.0;
        let body = &mut message.body;
        match self.trick {
            Trick::Swallowed => return Way::Never,
            Trick::RequestTwice => return Way::Twice,
            Trick::HeadersAdded => message.headers.extend(added()),
            Trick::HeadersDropped => message.headers.retain(|(name, _)| name == "host"),
            Trick::Chunked => message.framing = Framing::Chunked(7),
            Trick::Rewritten => *body = rewritten(body),
            Trick::RequestBit if name == "hello" => *body = other_nonce(body),
            Trick::RequestBit => *body = with_payload(body, |it| flip(it, &mut random)),
            Trick::RequestField if name == "hello" => *body = other_nonce(body),
            Trick::RequestField => *body = with_payload(body, |it| other_field(it, &mut random)),
            Trick::RequestUnsigned => *body = changed(body, |it| drop(it.signatures.remove(0))),
            Trick::RequestOtherType => *body = changed(body, |it| it.payload_type = other_type(it)),
            Trick::RequestOlder => body.clone_from(&self.caught(|it| it.name == name).request),
            Trick::RequestShort => body.truncate(body.len() / 2),
            Trick::Downgraded => *body = downgraded(body),
            _ => {}
        }
        Way::Once
    }

    pub(crate) async fn on_answer(&self, asked: &[u8], message: &mut Message) {
        if self.trick == Trick::Late {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.change_answer(asked, message);
    }

    pub(crate) fn change_answer(&self, asked: &[u8], message: &mut Message) {
        let mut random = self.random();
        let name = self.place.0;
        let body = &mut message.body;
        match self.trick {
            Trick::HeadersAdded => message.headers.extend(added()),
            Trick::HeadersDropped => message.headers.clear(),
            Trick::Chunked => message.framing = Framing::Chunked(11),
            Trick::Rewritten => *body = rewritten(body),
            Trick::AnswerDamaged => *body = damage(body, &mut random),
            Trick::AnswerBit => *body = with_payload(body, |it| flip(it, &mut random)),
            Trick::AnswerField => *body = with_payload(body, |it| other_field(it, &mut random)),
            Trick::AnswerForged => *body = forged(body, &mut random),
            Trick::AnswerUnsigned => *body = changed(body, |it| it.signatures.clear()),
            Trick::AnswerOtherType => *body = changed(body, |it| it.payload_type = other_type(it)),
            Trick::AnswerOlder => body.clone_from(&self.caught(|it| it.name == name).answer),
            Trick::AnswerOfOther => body.clone_from(&self.caught(|it| it.name != name).answer),
            Trick::AnswerStatus => "HTTP/1.1 403 Forbidden".clone_into(&mut message.start),
            Trick::AnswerRefusal => {
                "HTTP/1.1 403 Forbidden".clone_into(&mut message.start);
                body.clone_from(&self.caught(|it| it.status >= 400).answer);
            }
            Trick::AnswerCut => {
                message.framing = Framing::Missing(body.len() / 2);
                body.truncate(body.len() / 2);
            }
            Trick::AnswerShort => body.truncate(body.len() / 2),
            Trick::AnswerEmpty => body.clear(),
            Trick::AnswerEndless => *body = vec![b' '; MAX_ANSWER + 1],
            Trick::AnswerElsewhere => {
                "HTTP/1.1 307 Temporary Redirect".clone_into(&mut message.start);
                let to = ("location".to_owned(), "/h/1/hello".to_owned());
                message.headers.push(to);
            }
            Trick::OwnHub => *body = own_hub(asked, body),
            _ => {}
        }
    }
}

fn added() -> Vec<(String, String)> {
    let header = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    [
        ("x-forwarded-for", "192.0.2.1"),
        ("via", "1.1 proxy"),
        ("x-http-method-override", "DELETE"),
        ("cookie", "burin=1"),
        ("set-cookie", "burin=1"),
        ("authorization", "Bearer x"),
    ]
    .map(header)
    .to_vec()
}

fn envelope(body: &[u8]) -> Envelope {
    serde_json::from_slice(body).expect("an envelope was caught")
}

fn changed(body: &[u8], change: impl FnOnce(&mut Envelope)) -> Vec<u8> {
    let mut envelope = envelope(body);
    change(&mut envelope);
    serde_json::to_vec(&envelope).unwrap()
}

fn with_payload(body: &[u8], change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    changed(body, |it| {
        let payload = STANDARD.decode(&it.payload).unwrap();
        it.payload = STANDARD.encode(change(payload));
    })
}

fn flip(mut payload: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let at = random.below(payload.len());
    payload[at] ^= 1 << random.below(8);
    payload
}

/// A field says something else, and it is good JSON still.
fn other_field(payload: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(&payload).unwrap();
    let fields = value.as_object_mut().unwrap();
    let at = random.below(fields.len());
    let field = fields.values_mut().nth(at).unwrap();
    *field = match &*field {
        Value::Null => json!("x"),
        Value::Bool(it) => json!(!it),
        Value::Number(it) => json!(it.as_u64().unwrap_or(0).wrapping_add(1)),
        Value::String(it) => json!(format!("{it}0")),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    };
    let said = serde_json::to_vec(&value).unwrap();
    // An empty list was one before.
    if said == payload || serde_json::from_slice::<Value>(&payload).unwrap() == value {
        return flip(payload, random);
    }
    said
}

fn other_type(envelope: &Envelope) -> String {
    let other = if envelope.payload_type.contains("refusal") {
        "sync-answer"
    } else {
        "refusal"
    };
    format!("application/vnd.burin.{other}.v1+json")
}

/// Changed, and signed by the proxy under the name of the hub's key.
fn forged(body: &[u8], random: &mut Random) -> Vec<u8> {
    let mut forged = envelope(&with_payload(body, |it| other_field(it, random)));
    let payload = STANDARD.decode(&forged.payload).unwrap();
    let own = Token::from_seed([77; 16]);
    let signature = own.sign(&pre_authentication(&forged.payload_type, &payload));
    for it in &mut forged.signatures {
        it.sig = STANDARD.encode(&signature);
    }
    serde_json::to_vec(&forged).unwrap()
}

fn sealed<T: burin_api::dsse::Payload>(body: &T, by: &Token) -> Envelope {
    let key = by.public_key().thumbprint().unwrap();
    Envelope::seal::<_, serde_json::Error>(body, |message| {
        Ok(vec![(key.clone(), by.sign(message))])
    })
    .unwrap()
}

/// The whole hub is the proxy's: its own root, its own key, the right nonce.
fn own_hub(asked: &[u8], body: &[u8]) -> Vec<u8> {
    let asked: Value = serde_json::from_slice(asked).unwrap();
    let real: HelloAnswer = envelope(body).peek().unwrap();
    let (root, online) = (Token::from_seed([78; 16]), Token::from_seed([79; 16]));
    let version = asked["root_version"].as_u64().unwrap() + 1;
    let document: RootDocument = serde_json::from_value(json!({
        "version": version, "hub_id": real.hub_id,
        "root": [root.public_key()], "online": [online.public_key()],
        "addresses": ["https://127.0.0.1:9"],
    }))
    .unwrap();
    let answer = HelloAnswer {
        root: vec![sealed(&document, &root)],
        time: real.time + 86_400_000,
        ..real
    };
    serde_json::to_vec(&sealed(&answer, &online)).unwrap()
}

fn other_nonce(body: &[u8]) -> Vec<u8> {
    let mut hello: Value = serde_json::from_slice(body).unwrap();
    hello["host_nonce"] = json!("ab".repeat(32));
    serde_json::to_vec(&hello).unwrap()
}

fn downgraded(body: &[u8]) -> Vec<u8> {
    let mut hello: Value = serde_json::from_slice(body).unwrap();
    hello["protocols"] = json!([0]);
    serde_json::to_vec(&hello).unwrap()
}

/// The same text for a reader of JSON: other order, white space, escapes, fields of its own, and in an
/// envelope a signature of nobody.
fn rewritten(body: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).unwrap();
    if let Some(all) = value["signatures"].as_array_mut() {
        let nobody = Signature {
            keyid: "0".repeat(64),
            sig: "AAAA".to_owned(),
        };
        all.insert(0, json!(nobody));
    }
    let fields: Vec<String> = value
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("\"{name}\" :\n\t{value}"))
        .rev()
        .collect();
    let text = format!(" {{ \"x-proxy\": [1, {{}}], {} }}\r\n", fields.join(" ,"));
    text.replace("application/", "\\u0061pplication\\/")
        .into_bytes()
}
