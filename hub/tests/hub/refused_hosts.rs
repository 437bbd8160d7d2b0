//! Every refusal that a host can get: its status, its code, a sentence for a person, and a line on
//! the list of those who were turned away.

use std::time::Duration;

use burin_api::dsse::Envelope;
use burin_api::message::{Phase, Refusal, RekeyAnswer};
use burin_api::token::Token;
use burin_hub::codes::HostCode;
use serde_json::{Value, json};

use crate::abuse::{copied, rekey_body, seal_rekey, settled};
use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::host::Host;

/// A refusal, and whether the request was signed by the key of a host that the hub knows.
struct Provoked {
    status: u16,
    refusal: Refusal,
    proven: bool,
}

async fn send(site: &Site, host: &Host, message: &str, envelope: &Envelope) -> Provoked {
    let url = format!("{}/h/1/{message}", site.url);
    let answer = site.http.post(url).json(envelope).send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(status >= 400, "{message} was not refused");
    let said: Envelope = answer.json().await.unwrap();
    // The type of a good answer does not matter: there is none.
    let refusal = host.read::<RekeyAnswer>(envelope, false, &said).unwrap();
    Provoked {
        status,
        refusal: refusal.unwrap_err(),
        proven: false,
    }
}

async fn enroll(site: &Site, token: Option<&Token>) -> Provoked {
    let host = Host::boot(site, "S4EVNX0R", "b").await;
    let body = host.enroll_body(host.nonce(site).await, token);
    send(site, &host, "enroll", &host.seal_enroll(&body, token)).await
}

async fn open(site: &Site, host: &Host, uid: &str) -> Provoked {
    let envelope = host.seal_session(host.nonce(site).await, uid).unwrap();
    send(site, host, "session", &envelope).await
}

fn proven(provoked: Provoked) -> Provoked {
    Provoked {
        proven: true,
        ..provoked
    }
}

/// Brings the hub to say this; none for what only a broken hub says, with the test that breaks it.
async fn provoke(site: &Site, code: HostCode) -> Option<Provoked> {
    Some(match code {
        HostCode::BadRequest | HostCode::BadSignature | HostCode::BadNonce | HostCode::Limited => {
            malformed(site, code).await
        }
        HostCode::TokenUnknown
        | HostCode::TokenExpired
        | HostCode::TokenUsed
        | HostCode::TokenRevoked
        | HostCode::TokenNetwork => with_token(site, code).await,
        HostCode::HostUnknown
        | HostCode::NotAccepted
        | HostCode::Revoked
        | HostCode::Quarantined => at_the_session(site, code).await,
        HostCode::SessionUnknown | HostCode::Sequence | HostCode::KeyUsed => {
            in_the_fleet(site, code).await
        }
        // outage.rs takes the database away.
        HostCode::Busy => return None,
        // No request brings it; outage.rs and killed.rs look that none does.
        HostCode::Internal => return None,
    })
}

async fn malformed(site: &Site, code: HostCode) -> Provoked {
    let host = Host::boot(site, "S1", "b").await;
    let mut body = host.enroll_body(host.nonce(site).await, None);
    match code {
        HostCode::BadRequest => body.host_id = "x".repeat(65),
        HostCode::BadNonce => body.nonce = "0".repeat(64),
        HostCode::Limited => {
            // Until the address has had enough of the door.
            for _ in 0..200 {
                let hello = site.http.post(format!("{}/h/1/hello", site.url));
                let answer = hello.json(&host.hello()).send().await.unwrap();
                if answer.status() == 429 {
                    break;
                }
            }
        }
        _ => {
            let thief = Host::boot(site, "S1", "b").await;
            return send(site, &thief, "enroll", &thief.seal_enroll(&body, None)).await;
        }
    }
    send(site, &host, "enroll", &host.seal_enroll(&body, None)).await
}

async fn with_token(site: &Site, code: HostCode) -> Provoked {
    let token = match code {
        HostCode::TokenUnknown => Token::from_seed([7; 16]),
        HostCode::TokenNetwork => site.token(json!({ "networks": ["192.0.2.0/24"] })).await,
        HostCode::TokenExpired => expired(site).await,
        _ => site.token(json!({})).await,
    };
    if code == HostCode::TokenUsed {
        Host::boot(site, "S2", "b").await.join(site, &token).await;
    }
    if code == HostCode::TokenRevoked {
        let path = format!("/api/v1/tokens/{}/revoke", token.id());
        site.post(&path, json!(null)).await;
    }
    enroll(site, Some(&token)).await
}

async fn expired(site: &Site) -> Token {
    let token = site.token(json!({ "lifetime": 1 })).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let all = site.get("/api/v1/tokens").await;
        let own = |it: &&Value| it["id"] == token.id();
        // The token itself tells when its second is over.
        if all.as_array().unwrap().iter().find(own).unwrap()["state"] == "expired" {
            return token;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never expires");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn at_the_session(site: &Site, code: HostCode) -> Provoked {
    match code {
        HostCode::Quarantined => {
            let (host, uid) = copied(site).await;
            proven(open(site, &host, &uid).await)
        }
        HostCode::Revoked => {
            let (host, uid) = settled(site, "S3").await;
            let path = format!("/api/v1/hosts/{uid}/revoke");
            site.post(&path, json!(null)).await;
            proven(open(site, &host, &uid).await)
        }
        HostCode::NotAccepted => {
            let host = Host::boot(site, "PENDING", "b").await;
            host.enroll(site, None).await.unwrap();
            let seen = site.get("/api/v1/hosts/ID-PENDING").await;
            proven(open(site, &host, seen["uid"].as_str().unwrap()).await)
        }
        _ => {
            let host = Host::boot(site, "S4", "b").await;
            open(site, &host, "01a1fe9f-a0b0-73f2-848c-93447a39c126").await
        }
    }
}

async fn in_the_fleet(site: &Site, code: HostCode) -> Provoked {
    let (mut host, uid) = settled(site, &format!("S-{}", code.name())).await;
    match code {
        HostCode::Sequence => {
            let mut again = host.sync_body(Phase::Running);
            again.sequence = 1;
            proven(send(site, &host, "sync", &host.seal_sync(&again)).await)
        }
        HostCode::KeyUsed => {
            let new = host.beside("S-key_used", "b");
            let body = rekey_body(site, &uid, &new).await;
            let there = seal_rekey(&body, &[&host, &new]);
            new.send::<RekeyAnswer>(site, "rekey", &there)
                .await
                .unwrap();
            let body = rekey_body(site, &uid, &host).await;
            send(site, &new, "rekey", &seal_rekey(&body, &[&new, &host])).await
        }
        _ => {
            site.post(&format!("/api/v1/hosts/{uid}/retire"), json!(null))
                .await;
            let body = host.sync_body(Phase::Running);
            send(site, &host, "sync", &host.seal_sync(&body)).await
        }
    }
}

/// The line of the list with this code; it is written a little later than the answer.
async fn line(site: &Site, code: HostCode, uid: bool) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let list = site.get("/api/v1/refusals").await;
        let fits = |it: &&Value| it["code"] == code.name() && it["host_uid"].is_string() == uid;
        if let Some(line) = list.as_array().unwrap().iter().find(fits) {
            return line.clone();
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{code:?} is not listed: {list}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn status(code: HostCode) -> u16 {
    match code {
        HostCode::BadRequest => 400,
        HostCode::Sequence | HostCode::KeyUsed => 409,
        HostCode::Limited => 429,
        HostCode::Internal => 500,
        HostCode::Busy => 503,
        _ => 403,
    }
}

#[tokio::test]
async fn every_refusal_of_a_host_has_a_code_a_sentence_and_a_line_for_people() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let mut codes: Vec<HostCode> = HostCode::ALL.to_vec();
    // Once the door is closed nothing else can be asked from here.
    codes.sort_by_key(|code| *code == HostCode::Limited);
    let mut shown = Vec::new();
    for code in codes {
        let Some(found) = provoke(&site, code).await else {
            continue;
        };
        assert_eq!(found.refusal.code, code.name(), "{:?}", found.refusal);
        assert_eq!(found.status, status(code), "{code:?}");
        let words = found.refusal.message.split_whitespace().count();
        assert!(words >= 4, "{code:?}: {}", found.refusal.message);
        let line = line(&site, code, found.proven).await;
        assert_eq!(line["message"], found.refusal.message.as_str(), "{line}");
        assert_eq!(line["address"], "127.0.0.1");
        assert!(line["times"].as_i64().unwrap() >= 1, "{line}");
        shown.push((code, line));
    }
    assert_eq!(shown.len(), HostCode::ALL.len() - 2);
    let mut browser = Browser::admin(&site).await;
    let list = browser.get("/refused").await.text;
    let hosts = browser.get("/hosts").await.text;
    assert!(hosts.contains("href=\"/refused\""), "{hosts}");
    for (code, line) in shown {
        let named = format!("<code>{}</code>", code.name());
        assert!(list.contains(&named), "{code:?}: {list}");
        if let Some(uid) = line["host_uid"].as_str() {
            let page = browser.get(&format!("/hosts/{uid}")).await.text;
            assert!(page.contains(&named), "{code:?}: {page}");
        }
    }
    // What somebody says of itself helps to find the box.
    assert!(list.contains("ID-S4EVNX0R"), "{list}");
}
