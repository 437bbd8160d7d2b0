//! First words: time, nonce, root documents.

use std::net::IpAddr;

use burin_api::dsse::Envelope;
use burin_api::message::{Hello, HelloAnswer, PROTOCOL, RootDocument};

use super::refusal::Refused;
use crate::clock;
use crate::state::Hub;

/// 32 bytes as hex.
const NONCE_DIGITS: usize = 64;

pub(super) fn answer(hub: &Hub, ip: IpAddr, body: &[u8]) -> Result<HelloAnswer, Refused> {
    let now = clock::now_ms();
    super::door(hub, ip, now)?;
    let hello: Hello = serde_json::from_slice(body)
        .map_err(|err| Refused::bad_request(format!("the body is not a hello: {err}")))?;
    if hello.host_nonce.len() != NONCE_DIGITS || hex::decode(&hello.host_nonce).is_err() {
        return Err(Refused::bad_request("`host_nonce` must be 32 bytes as hex"));
    }
    if !hello.protocols.contains(&PROTOCOL) {
        let message = format!(
            "the host speaks protocol versions {:?}, this hub speaks {PROTOCOL}; upgrade the older one",
            hello.protocols
        );
        return Err(Refused::bad_request(message));
    }
    Ok(HelloAnswer {
        host_nonce: hello.host_nonce,
        hub_id: hub.keys.root.hub_id.clone(),
        time: clock::wire(now),
        nonce: hub.nonces.issue(now)?,
        root: newer(&hub.keys.chain, hello.root_version),
    })
}

fn newer(chain: &[Envelope], held: u32) -> Vec<Envelope> {
    chain
        .iter()
        .filter(|envelope| {
            envelope
                .peek::<RootDocument>()
                .is_ok_and(|document| document.version > held)
        })
        .cloned()
        .collect()
}
