//! What an attacker on the line, a copied disk and a foreign machine try.

use burin_api::dsse::Envelope;
use burin_api::message::{EnrollAnswer, KeyStore, Phase, Rekey, RekeyAnswer};
use burin_hub::cli::Span;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::host::{Host, code, reason};

/// A host that is in and has synced with a stored key.
pub(crate) async fn settled(site: &Site, serial: &str) -> (Host, String) {
    let token = site.token(json!({})).await;
    let mut host = Host::boot(site, serial, "b").await;
    host.key_store = KeyStore::File;
    let uid = host.join(site, &token).await;
    host.open(site, &uid).await.unwrap();
    let body = host.sync_body(Phase::Running);
    host.sync(site, &body).await.unwrap();
    (host, uid)
}

#[tokio::test]
async fn a_live_host_misses_no_sync_while_others_come_with_its_host_id() {
    let site = Site::with(|args| {
        args.interval = Some(1);
        args.replace_after = Span(std::time::Duration::ZERO);
    })
    .await;
    let (mut live, uid) = settled(&site, "S1").await;
    let token = site.token(json!({ "uses": 99 })).await;
    for at in 0..18 {
        let serial = if at % 2 == 0 { "S1" } else { "other" };
        let mut newcomer = live.beside(serial, &format!("n{at}"));
        newcomer.host_id = live.host_id.clone();
        let want = if at % 2 == 0 { "rekey" } else { "id_conflict" };
        assert_eq!(reason(newcomer.enroll(&site, Some(&token)).await), want);
        if at % 6 == 5 {
            let body = live.sync_body(Phase::Running);
            live.sync(&site, &body).await.unwrap();
        }
    }
    assert_eq!(site.get("/api/v1/tokens").await[1]["used"], 0);
    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(seen["state"], "accepted");
}

#[tokio::test]
async fn a_proxy_that_writes_the_body_anew_changes_nothing() {
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let host = Host::boot(&site, "S1", "b").await;
    let body = host.enroll_body(host.nonce(&site).await, Some(&token));
    let envelope = serde_json::to_value(host.seal_enroll(&body, Some(&token))).unwrap();
    // Other order, other white space, fields of its own, escapes, pieces.
    let mut signatures: Vec<Value> = envelope["signatures"].as_array().unwrap().clone();
    signatures.reverse();
    let again = json!({ "x-proxy": [1, 2], "signatures": signatures,
        "payload": envelope["payload"], "payloadType": envelope["payloadType"] });
    let text = serde_json::to_string_pretty(&again)
        .unwrap()
        .replace("application/", "\\u0061pplication\\/");
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = text
        .as_bytes()
        .chunks(7)
        .map(|it| Ok(it.to_vec()))
        .collect();
    let answer = site
        .http
        .post(format!("{}/h/1/enroll", site.url))
        .header("x-forwarded-for", "192.0.2.1")
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(
            pieces,
        )))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let answer: Envelope = answer.json().await.unwrap();
    let answer: EnrollAnswer = answer.peek().unwrap();
    assert!(
        matches!(answer, EnrollAnswer::Accepted { .. }),
        "{answer:?}"
    );
}

pub(crate) fn seal_rekey(body: &Rekey, signers: &[&Host]) -> Envelope {
    Envelope::seal::<_, serde_json::Error>(body, |message| {
        Ok(signers.iter().map(|host| host.sign(message)).collect())
    })
    .unwrap()
}

pub(crate) async fn rekey_body(site: &Site, uid: &str, new: &Host) -> Rekey {
    Rekey {
        nonce: new.nonce(site).await,
        host_uid: uid.to_owned(),
        public_key: new.public_key(),
        reason: "yearly".to_owned(),
    }
}

#[tokio::test]
async fn a_host_changes_its_key_with_both_signatures_and_never_with_one() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut old, uid) = settled(&site, "S1").await;
    let mut new = old.beside("S1", "b");
    let thief = old.beside("S1", "b");
    for signers in [vec![&new], vec![&old], vec![&thief, &new], vec![]] {
        let body = rekey_body(&site, &uid, &new).await;
        let forged = seal_rekey(&body, &signers);
        let answer = new.send::<RekeyAnswer>(&site, "rekey", &forged).await;
        assert_eq!(code(answer), "bad_signature", "{} signers", signers.len());
    }
    let body = old.sync_body(Phase::Running);
    old.sync(&site, &body).await.unwrap();

    let body = rekey_body(&site, &uid, &new).await;
    let good = seal_rekey(&body, &[&old, &new]);
    let answer: RekeyAnswer = new.send(&site, "rekey", &good).await.unwrap();
    assert_eq!(answer.thumbprint, new.public_key().thumbprint().unwrap());
    let replayed = new.send::<RekeyAnswer>(&site, "rekey", &good).await;
    assert_eq!(code(replayed), "bad_nonce");
    // The answer was lost on the way: asking again is answered, by the new key alone.
    let body = rekey_body(&site, &uid, &new).await;
    let again = seal_rekey(&body, &[&new]);
    let again: RekeyAnswer = new.send(&site, "rekey", &again).await.unwrap();
    assert_eq!(again.thumbprint, answer.thumbprint);

    let body = old.sync_body(Phase::Running);
    assert_eq!(code(old.sync(&site, &body).await), "session_unknown");
    assert_eq!(code(old.open(&site, &uid).await), "bad_signature");
    new.open(&site, &uid).await.unwrap();
    let body = new.sync_body(Phase::Running);
    new.sync(&site, &body).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_replaced_is_never_taken_again() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (old, uid) = settled(&site, "S1").await;
    let new = old.beside("S1", "b");
    let body = rekey_body(&site, &uid, &new).await;
    let there = seal_rekey(&body, &[&old, &new]);
    new.send::<RekeyAnswer>(&site, "rekey", &there)
        .await
        .unwrap();
    let body = rekey_body(&site, &uid, &old).await;
    let back = seal_rekey(&body, &[&new, &old]);
    let answer = new.send::<RekeyAnswer>(&site, "rekey", &back).await;
    assert_eq!(code(answer), "key_used");
}

#[tokio::test]
async fn a_revoked_host_changes_no_key() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (old, uid) = settled(&site, "S1").await;
    site.post(&format!("/api/v1/hosts/{uid}/revoke"), json!(null))
        .await;
    let new = old.beside("S1", "b");
    let body = rekey_body(&site, &uid, &new).await;
    let asked = seal_rekey(&body, &[&old, &new]);
    let answer = new.send::<RekeyAnswer>(&site, "rekey", &asked).await;
    assert_eq!(code(answer), "revoked");
}

/// Opens a session as the machine with this serial number.
async fn open_as(host: &mut Host, site: &Site, serial: &str, uid: &str) -> String {
    host.evidence.serial = serial.to_owned();
    host.boot_id = format!("boot of {serial}");
    match host.open(site, uid).await {
        Ok(_) => "open".to_owned(),
        Err(refusal) => refusal.message,
    }
}

/// A host whose disk was copied: both machines took turns.
pub(crate) async fn copied(site: &Site) -> (Host, String) {
    let token = site.token(json!({})).await;
    let mut host = Host::boot(site, "S1", "b").await;
    host.key_store = KeyStore::File;
    let uid = host.join(site, &token).await;
    assert_eq!(open_as(&mut host, site, "S1", &uid).await, "open");
    assert_eq!(open_as(&mut host, site, "COPY", &uid).await, "open");
    let why = open_as(&mut host, site, "S1", &uid).await;
    assert!(why.contains("two machines"), "{why}");
    (host, uid)
}

#[tokio::test]
async fn of_two_machines_with_one_key_the_chosen_one_is_the_host() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = copied(&site).await;
    let path = format!("/api/v1/hosts/{uid}");
    let seen = site.get(&path).await;
    assert_eq!(seen["state"], "quarantined");
    let names: Vec<_> = seen["machines"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2);
    assert_eq!(
        (&names[0]["name"], &names[1]["name"]),
        (&json!("serial S1"), &json!("serial COPY"))
    );

    let release = format!("{path}/release");
    for wrong in [
        json!(null),
        json!({ "machine": "" }),
        json!({ "machine": "00000000" }),
    ] {
        let (status, problem) = site.ask(reqwest::Method::POST, &release, Some(wrong)).await;
        assert_eq!(status, 422, "{problem}");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    }
    let first = names[0]["hardware"].as_str().unwrap();
    site.post(&release, json!({ "machine": first[..8].to_uppercase() }))
        .await;
    assert_eq!(open_as(&mut host, &site, "S1", &uid).await, "open");
    let mut chosen = host.sync_body(Phase::Running);
    host.sync(&site, &chosen).await.unwrap();
    let why = open_as(&mut host, &site, "COPY", &uid).await;
    assert!(why.contains("this disk is a copy"), "{why}");
    // The host does not notice that the other one is still there.
    chosen.sequence += 1;
    host.sync(&site, &chosen).await.unwrap();
    let seen = site.get(&path).await;
    assert_eq!(seen["state"], "accepted");
    assert_eq!(seen["machines"][0]["chosen"], true);
    assert_eq!(seen["machines"][1]["chosen"], false);

    let mut browser = crate::support::browser::Browser::admin(&site).await;
    let page = browser.get(&format!("/hosts/{uid}")).await.text;
    assert!(
        page.contains("serial COPY") && page.contains("This one is the host"),
        "{page}"
    );
    // The copy has the key as well: no change of it can be believed.
    let mut new = host.beside("COPY", "b");
    new.evidence.serial = "COPY".to_owned();
    let body = rekey_body(&site, &uid, &new).await;
    let asked = seal_rekey(&body, &[&host, &new]);
    let answer = new.send::<RekeyAnswer>(&site, "rekey", &asked).await;
    let refused = answer.unwrap_err().code;
    assert!(["quarantined", "limited"].contains(&&*refused), "{refused}");
}

#[tokio::test]
async fn the_choice_between_two_machines_can_be_made_the_other_way() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let (mut host, uid) = copied(&site).await;
    let mut browser = crate::support::browser::Browser::admin(&site).await;
    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    for (at, serial) in [(0, "S1"), (1, "COPY")] {
        let machine = seen["machines"][at]["hardware"].as_str().unwrap();
        let form = [("machine", machine)];
        let done = browser.post(&format!("/hosts/{uid}/release"), &form).await;
        assert_eq!(
            done.location,
            format!("/hosts/{uid}?done=release"),
            "{}",
            done.text
        );
        assert_eq!(open_as(&mut host, &site, serial, &uid).await, "open");
    }
    let log = site.get("/api/v1/audit").await.to_string();
    assert!(
        log.contains("host.release") && log.contains("serial COPY"),
        "{log}"
    );
}
