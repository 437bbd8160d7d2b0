//! Whether the time of an answer tells that a host shows a code. Two answers say the same of a code that
//! is shown and of one that is not: that of the hub to whom the host is none of his, because it was
//! called into another project, and that to an account that guessed too often.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use burin_api::code;
use burin_api::message::EnrollAnswer;
use burin_api::token::Token;
use burin_fake_host::FakeHost;
use reqwest::Client;
use serde_json::{Value, json};

use super::super::Figure;
use super::tally::Tally;
use super::wire::{self, Way};
use crate::artifacts::Artifacts;
use crate::hub::{Hub, Serving};

/// Where the host that is none of the guessers' is called into.
const ELSEWHERE: &str = "elsewhere";
/// Wrong codes before an account is locked.
const TRIES: usize = 5;
/// What a guesser asks for: shown codes and others take turns at being the first of two, so that
/// neither always has what the one before left warm. The fifth locks the account.
const ASKED: [bool; TRIES] = [true, false, false, true, false];
/// The same once it is locked.
const LOCKED: [bool; 4] = [false, true, true, false];
/// The most by which the medians may differ, in milliseconds.
const MUST: f64 = 1.0;

/// Times of refusals, by what was refused and whether a host shows the code.
type Times = BTreeMap<(&'static str, bool), Vec<Duration>>;

/// Measures with `accounts` of technicians against a hub with its data in `folder`: four refusals of
/// each of them before it is locked, and four after.
///
/// # Errors
/// A hub that does not start, or that answers otherwise than it shall.
pub fn measure(artifacts: &Artifacts, folder: &Path, accounts: u32) -> Result<Vec<Figure>> {
    let serving = Serving {
        name: "127.0.0.1",
        ..Serving::guests(0)
    };
    let hub = Hub::serve(artifacts, folder, &serving)?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let times = runtime.block_on(async {
        let site = Site::before(&hub).await?;
        let mut times = Times::new();
        for number in 0..accounts {
            site.guess(number, &mut times).await?;
        }
        Ok::<_, anyhow::Error>(times)
    })?;
    figures(times)
}

struct Site {
    http: Client,
    url: String,
    admin: String,
    /// Shown by a host that a token calls elsewhere.
    foreign: String,
    /// Shown by one that nobody called anywhere: each technician could claim it.
    own: String,
}

impl Site {
    async fn before(hub: &Hub) -> Result<Self> {
        let http = Client::builder()
            .tls_backend_preconfigured(wire::trust(&hub.ca())?)
            .build()
            .context("preparing HTTP")?;
        let mut site = Self {
            http,
            url: format!("https://127.0.0.1:{}", hub.port()),
            admin: hub.admin_key()?,
            foreign: String::new(),
            own: String::new(),
        };
        site.make("projects", json!({ "name": ELSEWHERE })).await?;
        let asked = json!({ "project": ELSEWHERE, "requires_approval": true });
        let made = site.make("tokens", asked).await?;
        let token = made["token"].as_str().context("the hub made no token")?;
        let token = Token::parse(token).context("understanding the token")?;
        site.foreign = shown(hub, "FOREIGN", 1, Some(&token)).await?;
        site.own = shown(hub, "OWN", 2, None).await?;
        Ok(site)
    }

    async fn make(&self, what: &str, body: Value) -> Result<Value> {
        let (status, made, _) = self.post(&self.admin, what, body).await?;
        ensure!((200..300).contains(&status), "{what}: {status} {made}");
        Ok(made)
    }

    /// Status, answer, and the time from the wish to send until the whole answer.
    async fn post(&self, key: &str, what: &str, body: Value) -> Result<(u16, Value, Duration)> {
        let url = format!("{}/api/v1/{what}", self.url);
        let request = self.http.post(url).bearer_auth(key).json(&body);
        let asked = Instant::now();
        let answer = request.send().await.context("asking the hub")?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.context("reading the hub's answer")?;
        let took = asked.elapsed();
        let said = serde_json::from_slice(&bytes).context("understanding the hub's answer")?;
        Ok((status, said, took))
    }

    /// A new account guesses until it is locked and a little longer.
    async fn guess(&self, number: u32, times: &mut Times) -> Result<()> {
        let asked = json!({ "name": format!("guesser {number}"), "role": "technician",
            "project": "default" });
        let made = self.make("api-keys", asked).await?;
        let key = made["key"].as_str().context("the hub made no key")?;
        let rounds = [
            (&ASKED[..], &self.foreign, (404, "unknown_code")),
            (&LOCKED[..], &self.own, (429, "limited")),
        ];
        for (round, code, want) in rounds {
            for (at, is_shown) in round.iter().enumerate() {
                // Every second account begins with the other kind.
                let is_shown = *is_shown != (number % 2 == 1 && at < 4);
                let code = if is_shown {
                    code.clone()
                } else {
                    self.unknown()?
                };
                let body = json!({ "code": code });
                let (status, said, took) = self.post(key, "claims", body).await?;
                let kind = said["type"].as_str().unwrap_or_default();
                ensure!(
                    (status, kind) == want,
                    "{status} {said} instead of {want:?}"
                );
                // The one that only locks the account has no partner.
                if at < 4 {
                    times.entry((want.1, is_shown)).or_default().push(took);
                }
            }
        }
        Ok(())
    }

    /// A code that no host shows.
    fn unknown(&self) -> Result<String> {
        (0..100)
            .filter_map(|number| {
                code::draw(std::hash::RandomState::new().hash_one(number).to_be_bytes())
            })
            .find(|code| *code != self.foreign && *code != self.own)
            .context("drawing a code")
    }
}

/// What stands on the screen of a host that calls for the first time and has to wait.
async fn shown(hub: &Hub, serial: &str, low: u8, token: Option<&Token>) -> Result<String> {
    let trust = wire::trust(&hub.ca())?;
    let from = Ipv4Addr::new(127, 1, 1, low);
    let to = ([127, 0, 0, 1], hub.port()).into();
    let mut way = Way::new(from, to, &trust, Arc::new(Tally::default()));
    let mut host = FakeHost::new(serial, "boot")?;
    let (_, answer) = way
        .call("hello", serde_json::to_vec(&host.hello())?)
        .await?;
    host.learn(&answer, &hub.greeting.root)?;
    let body = host.enroll_body(host.nonce(&answer)?, token);
    let envelope = host.seal_enroll(&body, token)?;
    let (good, answer) = way.call("enroll", serde_json::to_vec(&envelope)?).await?;
    match host.read(&envelope, good, &answer)? {
        Ok(EnrollAnswer::Pending {
            code: Some(code), ..
        }) => Ok(code),
        other => bail!("the host was to wait: {other:?}"),
    }
}

fn figures(mut times: Times) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (kind, code) in [
        ("unknown_code", "code of a host called elsewhere"),
        ("limited", "locked account, code of a host"),
    ] {
        let mut median = |is_shown| {
            let all = times.get_mut(&(kind, is_shown));
            let all = all.context("nothing was measured")?;
            let count = all.len();
            let (_, middle, _) = all.select_nth_unstable(count / 2);
            Ok::<_, anyhow::Error>((middle.as_secs_f64() * 1000.0, count))
        };
        let ((known, count), (unknown, _)) = (median(true)?, median(false)?);
        let row = |what: &str, value| Figure::reported(&format!("{code}{what}"), value, "ms");
        figures.extend([
            row(&format!(", refused: median of {count}"), known),
            row(
                &format!(", beside it one that no host shows: median of {count}"),
                unknown,
            ),
            Figure {
                must: Some(MUST),
                ..row(": difference of the two", (known - unknown).abs())
            },
        ]);
    }
    Ok(figures)
}
