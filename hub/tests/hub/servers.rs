//! What keeps a hub from a PostgreSQL server, and several hubs on one.

use std::time::Duration;

use burin_api::message::{EnrollAnswer, Phase, SyncAnswer};
use burin_hub::cli::{ServeArgs, Span};
use burin_hub::db::Place;
use burin_hub::secret::Secret;
use burin_hub::serve;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::commands::program;
use crate::support::host::{Host, code, reason};
use crate::support::{Site, copy_of, postgres};

async fn refusal(url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let args = ServeArgs {
        database: Place::Server(Secret::new(url.to_owned())),
        ..crate::support::arguments(folder.path()).await
    };
    let err = format!("{:#}", serve::start(&args).await.unwrap_err());
    assert!(!err.contains(postgres::PASSWORD), "{err}");
    err
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_told_in_words_to_act_on() {
    let url = postgres::database().await;
    let wrong = postgres::as_person(&url, "wrong").await;
    let (before, _) = url.rsplit_once('/').unwrap();
    let missing = format!("{before}/nothing");
    let nobody = url.replace("//postgres@", "//nobody@");
    let nowhere = format!("postgres://hub:{}@127.0.0.1:1/hub", postgres::PASSWORD);
    for (url, said) in [
        (wrong.as_str(), "the password is wrong"),
        (missing.as_str(), "make it with `createdb`"),
        (nobody.as_str(), "does not let this user in"),
        (nowhere.as_str(), "no PostgreSQL server answers"),
        ("postgres://u@127.0.0.1:1/h", "database 127.0.0.1:1/h"),
    ] {
        let err = refusal(url).await;
        assert!(err.contains(said), "{err}");
    }
}

#[tokio::test]
async fn a_password_opens_the_database_and_is_told_nowhere() {
    let url = postgres::database().await;
    let url = postgres::as_person(&url, postgres::PASSWORD).await;
    let site = Site::with(|args| args.database = Place::Server(Secret::new(url))).await;
    let token = site.token(json!({})).await;
    Host::boot(&site, "S1", "b").await.join(&site, &token).await;
    assert!(!format!("{:?}", site.running).contains(postgres::PASSWORD));
}

#[tokio::test]
async fn a_read_only_or_oddly_encoded_database_is_refused() {
    let url = postgres::database().await;
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let text = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', \
         current_database()); END $$";
    admin.execute(sqlx::raw_sql(text)).await.unwrap();
    let err = refusal(&url).await;
    assert!(err.contains("read-only"), "{err}");

    let odd = postgres::encoded("SQL_ASCII").await;
    let err = refusal(&odd).await;
    assert!(err.contains("--encoding=UTF8"), "{err}");
}

#[tokio::test]
async fn tables_of_a_newer_hub_are_left_alone() {
    let url = postgres::database().await;
    let place = Place::Server(Secret::new(url.clone()));
    let site = Site::with(|args| args.database = place).await;
    drop(site.stop().await);
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let text = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
         execution_time) VALUES (9999, 'later', TRUE, '\\x00', 0)";
    admin.execute(sqlx::raw_sql(text)).await.unwrap();
    let err = refusal(&url).await;
    assert!(
        err.contains("a newer burin-hub wrote this database"),
        "{err}"
    );
}

#[tokio::test]
async fn hubs_that_start_at_once_make_the_tables_and_the_admin_once() {
    let place = Place::Server(Secret::new(postgres::database().await));
    let first = Site::with(|_| {}).await;
    let keys = first.stop().await;
    let starts = (0..4).map(|_| {
        let (place, folder) = (place.clone(), copy_of(keys.path()));
        async move { Site::at(folder, |args| args.database = place).await }
    });
    let sites = futures_util::future::join_all(starts).await;
    let passwords = sites
        .iter()
        .filter(|site| site.running.ready.admin_password.is_some());
    assert_eq!(passwords.count(), 1);
    let token = sites[0].token(json!({})).await;
    assert_eq!(
        sites[3].get("/api/v1/tokens").await[0]["id"],
        token.id(),
        "what one wrote the others read"
    );
}

#[tokio::test]
async fn a_hub_with_other_keys_does_not_answer_for_anothers_hosts() {
    let url = postgres::database().await;
    let place = Place::Server(Secret::new(url.clone()));
    let _site = Site::with(|args| args.database = place).await;
    let err = refusal(&url).await;
    assert!(err.contains("the database belongs to the hub"), "{err}");
}

/// Two hubs on one database.
async fn pair() -> (Site, Site) {
    let place = Place::Server(Secret::new(postgres::database().await));
    let quick = |args: &mut ServeArgs| {
        args.database = place.clone();
        args.interval = Some(1);
        args.replace_after = Span(Duration::ZERO);
    };
    let one = Site::with(&quick).await;
    let other = Site::at(copy_of(one.folder.path()), &quick).await;
    (one, other)
}

#[tokio::test]
async fn what_one_hub_has_seen_another_does_not_take_again() {
    let (one, other) = pair().await;
    let token = one.token(json!({ "uses": 9 })).await;
    let mut host = Host::boot(&one, "S1", "b1").await;

    // A nonce of the one is good at the other, once in all.
    let body = host.enroll_body(host.nonce(&one).await, Some(&token));
    let envelope = host.seal_enroll(&body, Some(&token));
    assert_eq!(
        reason(host.send::<EnrollAnswer>(&other, "enroll", &envelope).await),
        "accepted"
    );
    for site in [&one, &other] {
        let again = host.send::<EnrollAnswer>(site, "enroll", &envelope).await;
        let again = again.unwrap_err();
        assert_eq!(again.code, "bad_nonce");
        assert!(again.message.contains("was used before"), "{again:?}");
    }

    // A session of the one goes on at the other, each sequence number once in all.
    let uid = host.join(&one, &token).await;
    host.open(&one, &uid).await.unwrap();
    let body = host.sync_body(Phase::Installing);
    let envelope = host.seal_sync(&body);
    host.send::<SyncAnswer>(&other, "sync", &envelope)
        .await
        .unwrap();
    for site in [&one, &other] {
        let again = host.send::<SyncAnswer>(site, "sync", &envelope).await;
        assert_eq!(code(again), "sequence");
    }
    assert_eq!(
        one.get(&format!("/api/v1/hosts/{uid}")).await["phase"],
        "installing"
    );

    // Revoked at the one, over at the other.
    one.post(&format!("/api/v1/hosts/{uid}/revoke"), json!(null))
        .await;
    let body = host.sync_body(Phase::Installing);
    let over = code(host.sync(&other, &body).await);
    assert!(["revoked", "session_unknown"].contains(&&*over), "{over}");
}

#[tokio::test]
async fn a_hub_goes_on_after_the_server_cut_all_its_connections() {
    let url = postgres::database().await;
    let place = Place::Server(Secret::new(url.clone()));
    let site = Site::with(|args| {
        args.database = place;
        args.interval = Some(1);
    })
    .await;
    let token = site.token(json!({})).await;
    let mut host = Host::boot(&site, "S1", "b1").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    let mut admin = PgConnection::connect(&url).await.unwrap();
    for _ in 0..3 {
        let cut: i64 = sqlx::query_scalar(
            "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert!(cut > 0);
        // A request may meet a connection that is just being cut; it is told to come again.
        let body = host.sync_body(Phase::Installing);
        if let Err(refusal) = host.sync(&site, &body).await {
            assert_eq!(
                (refusal.code.as_str(), refusal.retry_after),
                ("busy", Some(5))
            );
            let body = host.sync_body(Phase::Installing);
            host.sync(&site, &body).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_password_is_in_no_log_however_much_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let url = postgres::database().await;
    let wrong = format!("{}-and-wrong", postgres::PASSWORD);
    for (password, said) in [
        (wrong.as_str(), "the password is wrong"),
        (postgres::PASSWORD, "DEBUG"),
    ] {
        let done = program()
            .arg("export")
            .arg(folder.path().join("file"))
            .env("BURIN_LOG", "trace")
            .env(
                "BURIN_DATABASE_URL",
                postgres::as_person(&url, password).await,
            )
            .output()
            .await
            .unwrap();
        let log = String::from_utf8(done.stderr).unwrap();
        assert!(log.contains(said), "{log}");
        assert!(!log.contains(postgres::PASSWORD), "{log}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_told_the_password() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut caller, _) = listener.accept().await.unwrap();
        // The request for TLS is 8 bytes long; `N` is no.
        let mut request = [0; 8];
        caller.read_exact(&mut request).await.unwrap();
        caller.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        caller.read_to_end(&mut rest).await.unwrap();
        rest
    });
    let password = postgres::PASSWORD;
    let err = refusal(&format!(
        "postgres://hub:{password}@127.0.0.1:{port}/hub?sslmode=verify-full"
    ))
    .await;
    assert!(err.contains("no certificate that can be trusted"), "{err}");
    assert_eq!(server.await.unwrap(), b"");
}

#[tokio::test]
async fn a_decision_at_one_hub_reaches_a_host_that_waits_at_another() {
    let (one, other) = pair().await;
    let host = Host::boot(&other, "S1", "b1").await;
    let screen = host.shows(&other).await;
    let asked = std::time::Instant::now();
    let waiting = host.poll(&other, &screen, 25);
    let key = json!({ "key": host.label() });
    let approving = one.post("/api/v1/hosts/ID-S1/approve", key);
    let (answer, _) = tokio::join!(waiting, approving);
    assert_eq!(reason(answer), "accepted");
    // It was told, and did not find out at the end of its 25 seconds.
    assert!(asked.elapsed() < Duration::from_secs(20), "{asked:?}");
}
