//! Requests that are too long or have no end: the hub says so where it can be heard, and reads no more
//! than it must.

use std::io::Write as _;

use burin_api::dsse::{Envelope, MAX_REQUEST};
use burin_api::message::Refusal;
use futures_util::stream;

use crate::slow::{impatient, rest, secure, works};
use crate::support::Site;

/// More than a hub that stops at its limits can have been sent: what lies in buffers of both kernels.
const ENOUGH: usize = 32 * 1024 * 1024;

async fn refused(site: &Site, name: &str, body: reqwest::Body, what: &str) {
    let url = format!("{}/h/1/{name}", site.url);
    let answer = site.http.post(url).body(body).send().await;
    let answer = answer.unwrap_or_else(|err| panic!("{name}, {what}: {err:?}"));
    assert_eq!(answer.status().as_u16(), 413, "{name}, {what}");
    let said: Envelope = answer.json().await.unwrap();
    let refusal: Refusal = said.peek().unwrap();
    assert_eq!(refusal.code, "bad_request", "{name}, {what}");
    let limit = format!("longer than {MAX_REQUEST} bytes");
    assert!(refusal.message.contains(&limit), "{refusal:?}");
}

#[tokio::test]
async fn who_sends_too_much_gets_to_read_that_it_was_too_much() {
    let site = Site::start().await;
    for name in ["hello", "enroll", "session", "sync", "rekey"] {
        for size in [MAX_REQUEST + 1, 5 * MAX_REQUEST, 12 * MAX_REQUEST] {
            for _ in 0..5 {
                let whole = vec![b'['; size];
                refused(&site, name, whole.into(), "at once").await;
            }
            let pieces = (0..=size / 1024).map(|_| Ok::<_, std::io::Error>(vec![b'['; 1024]));
            let pieces = reqwest::Body::wrap_stream(stream::iter(pieces));
            refused(&site, name, pieces, "in pieces").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_end_is_ended() {
    let site = impatient().await;
    let head = "POST /h/1/sync HTTP/1.1\r\nhost: hub\r\n";
    let piece = " x".repeat(8 * 1024);
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    for (what, begun, piece) in [
        (
            "a body in pieces",
            format!("{head}{chunked}"),
            format!("{:x}\r\n{piece}\r\n", piece.len()),
        ),
        (
            "a long body",
            format!("{head}content-length: 99999999999\r\n\r\n"),
            piece.clone(),
        ),
        ("a header", format!("{head}x-endless: "), piece.clone()),
        ("headers", head.to_owned(), "x-endless: x\r\n".repeat(1024)),
        ("a path", "POST /h/1/".to_owned(), "x".repeat(16 * 1024)),
        (
            "trailers",
            format!("{head}{chunked}2\r\n{{}}\r\n0\r\n"),
            "x-endless: x\r\n".repeat(1024),
        ),
        (
            "an extension of a piece",
            format!("{head}{chunked}2;x="),
            piece.clone(),
        ),
    ] {
        let mut stream = secure(&site);
        let sent = tokio::task::spawn_blocking(move || {
            let mut sent = 0;
            let mut more = stream.write_all(begun.as_bytes());
            while more.is_ok() && sent < ENOUGH {
                more = stream.write_all(piece.as_bytes());
                sent += piece.len();
            }
            // Over is over; what it said may have been lost with the rest.
            let said = rest(&mut stream);
            assert!(!said.contains(" 200 "), "{said}");
            sent
        });
        let sent = sent.await.unwrap();
        assert!(sent < ENOUGH, "{what}: {sent} bytes were taken");
        works(&site).await;
    }
}
