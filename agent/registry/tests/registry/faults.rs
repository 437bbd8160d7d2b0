//! A registry that fails, lies or cheats: the read goes on where it can and ends in an error where
//! it must.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{GZIP, Reply, Server, gzip, noise, pull, read, sha256, spec};
use burin_registry::{Access, Cause, Error, Registry, Retry};

fn quick() -> Retry {
    Retry {
        attempts: 4,
        stall: Duration::from_millis(300),
        delay: Arc::new(|_| Duration::from_millis(1)),
        report: Arc::new(|_, _| {}),
    }
}

fn plain(server: &Server) -> Registry {
    let access = Access {
        host: server.address.clone(),
        plain_http: true,
        ..Access::default()
    };
    Registry::new(access).unwrap().with_retry(quick())
}

fn cause(error: &std::io::Error) -> &Cause {
    &error
        .get_ref()
        .and_then(|e| e.downcast_ref::<Error>())
        .expect("a registry error")
        .cause
}

#[tokio::test]
async fn a_cut_is_resumed_by_range_with_the_hash_going_on() {
    let tar = noise(300_000);
    let blob = gzip(&tar);
    let served = blob.clone();
    let server = Server::start(move |request, count| {
        let whole = request
            .from()
            .map_or_else(|| Reply::ok(&served), |at| Reply::rest(&served, at));
        Reply {
            cut: (count < 3).then_some(50_000),
            ..whole
        }
    })
    .await;
    let seen = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&seen);
    let stream = plain(&server)
        .layer("os/test", &spec(&blob, &tar, GZIP), move |n| {
            told.store(n, Ordering::SeqCst)
        })
        .unwrap();
    assert_eq!(read(stream).await.unwrap(), tar);
    assert_eq!(seen.load(Ordering::SeqCst), blob.len() as u64);
    let from: Vec<_> = server
        .requests()
        .iter()
        .map(crate::support::Request::from)
        .collect();
    assert_eq!(from, [None, Some(50_000), Some(100_000), Some(150_000)]);
}

#[tokio::test]
async fn a_server_that_ignores_range_is_passed_over_to_the_missing_byte() {
    let tar = noise(200_000);
    let blob = gzip(&tar);
    let served = blob.clone();
    let server = Server::start(move |_, count| Reply {
        cut: (count == 0).then_some(77_777),
        ..Reply::ok(&served)
    })
    .await;
    assert_eq!(
        pull(&plain(&server), &spec(&blob, &tar, GZIP))
            .await
            .unwrap(),
        tar
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_silent_connection_is_left_and_the_rest_fetched_anew() {
    let tar = noise(100_000);
    let blob = gzip(&tar);
    let served = blob.clone();
    let server = Server::start(move |request, count| match request.from() {
        Some(at) => Reply::rest(&served, at),
        None => Reply {
            hang: (count == 0).then_some(1000),
            ..Reply::ok(&served)
        },
    })
    .await;
    assert_eq!(
        pull(&plain(&server), &spec(&blob, &tar, GZIP))
            .await
            .unwrap(),
        tar
    );
}

#[tokio::test]
async fn busy_and_broken_answers_are_repeated_with_the_pause_they_ask_for() {
    let tar = noise(1000);
    let blob = gzip(&tar);
    let served = blob.clone();
    let server = Server::start(move |_, count| match count {
        0 => Reply::status(429).with("Retry-After", "1"),
        1 => Reply::status(503),
        _ => Reply::ok(&served),
    })
    .await;
    let pauses: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let told = Arc::clone(&pauses);
    let retry = Retry {
        report: Arc::new(move |_, pause| told.lock().unwrap().push(pause)),
        ..quick()
    };
    let registry = plain(&server).with_retry(retry);
    assert_eq!(
        pull(&registry, &spec(&blob, &tar, GZIP)).await.unwrap(),
        tar
    );
    assert_eq!(
        *pauses.lock().unwrap(),
        [Duration::from_secs(1), Duration::from_millis(1)]
    );
}

#[tokio::test]
async fn repetition_ends() {
    let server = Server::start(|_, _| Reply::status(500)).await;
    let error = pull(&plain(&server), &spec(b"x", b"x", GZIP))
        .await
        .unwrap_err();
    assert!(matches!(cause(&error), Cause::Server(500, None)), "{error}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn wrong_bytes_of_every_kind_never_end_well() {
    let tar = noise(50_000);
    let blob = gzip(&tar);
    let other = gzip(&noise(50_001));
    let mut flipped = blob.clone();
    flipped[30_000] ^= 1;
    let mut longer = blob.clone();
    longer.extend_from_slice(b"tail");
    let short = blob[..40_000].to_vec();
    let range = Reply::rest(&blob, 10).with("X", "y");
    let good = spec(&blob, &tar, GZIP);
    let mut other_tar = good.clone();
    other_tar.diff_id = Some(sha256(b"another"));
    let mut bomb = good.clone();
    bomb.most_unpacked = tar.len() as u64 - 1;
    for (name, reply, spec, says) in [
        ("flipped", Reply::ok(&flipped), &good, "wrong content"),
        ("longer, announced", Reply::ok(&longer), &good, "it offers"),
        (
            "other blob",
            Reply {
                length: None,
                ..Reply::ok(&other)
            },
            &good,
            "wrong content",
        ),
        (
            "truncated, announced",
            Reply::ok(&short),
            &good,
            "it offers 40000 bytes",
        ),
        ("wrong range", range, &good, "it offers \"bytes 10-"),
        ("diff-id", Reply::ok(&blob), &other_tar, "its diff-id is"),
        ("bomb", Reply::ok(&blob), &bomb, "unpacks to more than"),
    ] {
        let server = Server::start(move |_, _| reply.clone()).await;
        let error = pull(&plain(&server), spec).await.unwrap_err();
        assert!(error.to_string().contains(says), "{name}: {error}");
        assert!(
            matches!(cause(&error), Cause::Content(_)),
            "{name}: {error}"
        );
        assert_eq!(server.requests().len(), 1, "{name}: repeating cannot help");
    }
}

#[tokio::test]
async fn an_endless_body_without_length_is_cut_at_the_size_of_the_manifest() {
    let tar = noise(10_000);
    let blob = gzip(&tar);
    let mut body = Vec::new();
    for _ in 0..100 {
        body.extend_from_slice(b"1000\r\n");
        body.extend_from_slice(&noise(0x1000));
        body.extend_from_slice(b"\r\n");
    }
    let reply = Reply::ok(&body).with("Transfer-Encoding", "chunked");
    let server = Server::start(move |_, _| reply.clone()).await;
    let error = pull(&plain(&server), &spec(&blob, &tar, GZIP))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("longer than") || error.to_string().contains("damaged"),
        "{error}"
    );
    assert!(matches!(cause(&error), Cause::Content(_)), "{error}");
}

#[tokio::test]
async fn zstd_and_plain_layers_are_read_too() {
    let tar = noise(100_000);
    let zstd = zstd::encode_all(&tar[..], 3).unwrap();
    for (blob, media_type) in [
        (zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
        (tar.clone(), "application/vnd.oci.image.layer.v1.tar"),
    ] {
        let served = blob.clone();
        let server = Server::start(move |_, _| Reply::ok(&served)).await;
        let got = pull(&plain(&server), &spec(&blob, &tar, media_type))
            .await
            .unwrap();
        assert_eq!(got, tar, "{media_type}");
    }
}

#[tokio::test]
async fn a_zstd_window_beyond_the_memory_of_small_hosts_is_refused() {
    let tar = noise(1000);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    let blob = encoder.finish().unwrap();
    let served = blob.clone();
    let server = Server::start(move |_, _| Reply::ok(&served)).await;
    let spec = spec(&blob, &tar, "application/vnd.oci.image.layer.v1.tar+zstd");
    let error = pull(&plain(&server), &spec).await.unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test]
async fn damaged_packing_ends_in_an_error_and_never_in_other_bytes() {
    let tar = noise(40_000);
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    let packed = [
        (gzip(&tar), GZIP),
        (zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
    ];
    let places = noise(4 * 120);
    for (number, place) in places.chunks(4).enumerate() {
        let (good, media_type) = &packed[number % 2];
        let mut blob = good.clone();
        let at = usize::from(place[0]) << 8 | usize::from(place[1]);
        // Headers are short and have the most to go wrong: every second case goes there.
        let at = if place[2] & 1 == 0 {
            at % 30
        } else {
            at % blob.len()
        };
        blob[at] ^= place[3] | 1;
        // The digest is right: a hostile registry can sign what it likes, but not the diff-id.
        let mut spec = spec(&blob, &tar, media_type);
        spec.most_unpacked = 100_000;
        let served = blob.clone();
        let server = Server::start(move |_, _| Reply::ok(&served)).await;
        match pull(&plain(&server), &spec).await {
            Ok(read) => assert_eq!(read, tar, "byte {at} of {media_type} does not matter"),
            Err(error) => assert!(matches!(cause(&error), Cause::Content(_)), "{error}"),
        }
    }
}
