//! Signed releases against a hub whose database and online key are in a thief's hands: the real
//! agent's code, the real hub, the real command line of the release engineer.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod host;
#[path = "../hub/program.rs"]
mod program;
mod site;

use std::time::UNIX_EPOCH;

use burin_api::dsse::{Envelope, Signature};
use burin_api::release::Statement;
use serde_json::{Value, json};

use host::Host;
use site::{Rows, Site};

/// The newest envelope of a version, as the database has it.
fn envelope(rows: &Rows, version: &str) -> Envelope {
    let of = |row: &&Value| row["version"] == version;
    let row = rows.of("signed_release").rfind(of).unwrap();
    serde_json::from_str(row["envelope"].as_str().unwrap()).unwrap()
}

/// Puts an envelope into the place of that of 1.1.0, which the host is assigned.
fn swapped(envelope: &Envelope) -> impl Fn(&mut Rows) {
    let text = serde_json::to_string(envelope).unwrap();
    move |rows| {
        rows.change("signed_release", |row| {
            if row["version"] == "1.1.0" {
                row["envelope"] = json!(text);
                row["digest"] = json!("another, so that hosts ask for it");
            }
        });
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let now = UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

fn signed_again(site: &Site, key: &str, rows: &Rows, change: impl Fn(&mut Statement)) -> Envelope {
    let mut statement: Statement = envelope(rows, "1.1.0").peek().unwrap();
    statement.counter += 1;
    change(&mut statement);
    site.seal(key, &statement)
}

/// What a thief can put into the place of the envelope, and what hosts say to it.
fn attempts(site: &Site, rows: &Rows) -> Vec<(&'static str, Envelope)> {
    let good = envelope(rows, "1.1.0");
    let again = |key: &str, change: &dyn Fn(&mut Statement)| signed_again(site, key, rows, change);
    let with = |change: &dyn Fn(&mut Envelope)| {
        let mut envelope = good.clone();
        change(&mut envelope);
        envelope
    };
    vec![
        ("release.foreign_key", again("foreign", &|_| ())),
        ("release.foreign_key", again("online", &|_| ())),
        ("release.other_profile", again("factory", &|_| ())),
        ("release.older", envelope(rows, "1.0.0")),
        (
            "release.same_counter",
            again("retail", &|it| {
                it.counter -= 1;
                it.expires += 1;
            }),
        ),
        ("release.expired", again("retail", &|it| it.expires = 1)),
        (
            "release.other_hub",
            again("retail", &|it| it.hub_id.push('0')),
        ),
        (
            "release.agent",
            again("retail", &|it| it.agent = Some("99.0.0".to_owned())),
        ),
        (
            "release.shape",
            again("retail", &|it| {
                it.release.layers[0].name = "../../etc".to_owned()
            }),
        ),
        // A part of one with the signature of another.
        (
            "release.signature",
            with(&|it| it.payload = envelope(rows, "1.0.0").payload),
        ),
        ("release.unsigned", with(&|it| it.signatures.clear())),
        (
            "release.foreign_key",
            with(&|it| {
                let sig = it.signatures[0].sig.clone();
                let keyid = "0".repeat(64);
                it.signatures = vec![Signature { keyid, sig }; 50];
            }),
        ),
    ]
}

/// The envelope taken away, and everything beside it changed.
async fn beside_the_envelope(site: &mut Site, rows: &Rows, uid: &str) -> Host {
    site.start_with(rows, |rows| rows.remove("signed_release"));
    let mut host = Host::again(site, 90);
    host.refuses("release.unsigned").await;
    host.told(site, uid, "release.unsigned").await;
    drop(host);
    site.stop();
    site.start_with(rows, |rows| {
        rows.change("profile_version", |row| {
            let text = row["release"].as_str().unwrap();
            row["release"] = json!(text.replace(&"a".repeat(64), &"f".repeat(64)));
        });
    });
    let mut host = Host::again(site, 91);
    let taken = host.takes("1.1.0").await;
    assert_eq!(
        taken.release.layers[0].manifest,
        format!("sha256:{}", "a".repeat(64))
    );
    host
}

#[tokio::test]
async fn a_thief_of_the_hubs_database_and_online_key_installs_nothing() {
    let mut site = Site::start(&["1.0.0", "1.1.0"]);
    let mut host = Host::start(&site, 0);
    host.accepted().await;
    let uid = host.uid();

    // Unsigned: people are told before hosts are.
    let refused = site.fails(&["assign", &uid, "retail@1.0.0"]);
    assert!(refused.contains("not signed"), "{refused}");
    for version in ["1.0.0", "1.1.0"] {
        site.sign_and_import(&format!("retail@{version}"));
        site.client(&["assign", &uid, &format!("retail@{version}")]);
        host.takes(version).await;
    }
    let mark = host.identity.registration().releases["retail"].clone();
    assert_eq!(mark.counter, 2);
    drop(host);

    let rows = site.stop_and_read();
    for (boot, (code, envelope)) in attempts(&site, &rows).iter().enumerate() {
        site.start_with(&rows, swapped(envelope));
        let mut host = Host::again(&site, boot + 1);
        host.refuses(code).await;
        site.stop();
    }
    let host = beside_the_envelope(&mut site, &rows, &uid).await;
    assert_eq!(host.identity.registration().releases["retail"], mark);
}

#[tokio::test]
async fn a_host_keeps_what_it_took_before_the_signatures_day_was_over() {
    let mut site = Site::start(&["1.0.0", "1.1.0"]);
    let mut host = Host::start(&site, 0);
    host.accepted().await;
    let uid = host.uid();
    site.sign_and_import("retail@1.1.0");
    site.client(&["assign", &uid, "retail@1.1.0"]);
    let rows = site.stop_and_read();
    let expires = now() + 20_000;
    let envelope = signed_again(&site, "retail", &rows, |it| it.expires = expires);
    site.start_with(&rows, swapped(&envelope));
    host.takes("1.1.0").await;
    host.syncs_after(expires).await;
    host.takes("1.1.0").await;
    // The same disk still knows after a reboot.
    drop(host);
    let mut host = Host::again(&site, 1);
    host.takes("1.1.0").await;
}

#[tokio::test]
async fn an_older_root_document_lets_nothing_unsigned_in() {
    let mut site = Site::start(&["1.0.0"]);
    let mut host = Host::start(&site, 0);
    host.accepted().await;
    let uid = host.uid();
    site.sign_and_import("retail@1.0.0");
    site.client(&["assign", &uid, "retail@1.0.0"]);
    host.takes("1.0.0").await;
    drop(host);
    let rows = site.stop_and_read();
    site.cut_root_documents_to_one();
    site.start_with(&rows, |_| ());
    // One that knows the hub holds the newer document; one that does not was told how new it must be.
    Host::again(&site, 1).refuses("release.unsigned").await;
    let mut newcomer = Host::start(&site, 2);
    newcomer.hub_state("asks for 3 or a later one").await;
    assert_eq!(newcomer.identity.registration().host_uid, None);
}

#[tokio::test]
async fn release_keys_that_come_later_reach_hosts_that_are_in_session() {
    let mut site = Site::without_release_keys(&["1.0.0"]);
    let mut host = Host::start(&site, 0);
    host.accepted().await;
    let uid = host.uid();
    site.client(&["assign", &uid, "retail@1.0.0"]);
    host.takes("1.0.0").await;
    site.stop();
    site.add_release_keys();
    site.start_again();
    host.refuses("release.unsigned").await;
    site.sign_and_import("retail@1.0.0");
    host.takes("1.0.0").await;
    assert_eq!(host.identity.registration().releases["retail"].counter, 1);
}
