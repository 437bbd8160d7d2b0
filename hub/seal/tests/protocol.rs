//! The sealed example of docs/protocol.md opens with the key and the context that the page tells.

use burin_api::sealed::{HostSecrets, Sealed};
use burin_seal::{Context, PrivateKey, Purpose};

/// The text of a block of the page.
fn block<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let rest = page.split(&format!("```json {name}\n")).nth(1)?;
    rest.split("```").next()
}

#[test]
fn the_example_of_the_protocol_page_opens() {
    let page = include_str!("../../../docs/protocol.md");
    let seed: Vec<u8> = (0..32).collect();
    let key = PrivateKey::derive(&seed);
    assert!(page.contains(&key.public().to_string()));
    let context = Context {
        purpose: Purpose::HostSecrets,
        hub_id: "39e0215b",
        host_uid: "01980f2e-7a8b-7c3d-9e4f-000000000001",
        session: "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d",
    };
    let sealed: Sealed = serde_json::from_str(block(page, "Sealed").unwrap()).unwrap();
    let opened = key.open(&context, &sealed).unwrap();
    let secrets: HostSecrets = serde_json::from_slice(&opened).unwrap();
    let told: HostSecrets = serde_json::from_str(block(page, "HostSecrets").unwrap()).unwrap();
    assert_eq!(secrets, told);
    assert!(page.contains(
        "8 39e0215b 36 01980f2e-7a8b-7c3d-9e4f-000000000001 32 9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d"
    ));
}
