//! The examples of docs/protocol.md are read with the types of this package.

use burin_api::dsse::Envelope;
use burin_api::message::{
    Enroll, EnrollAnswer, Hello, HelloAnswer, OpenSession, Refusal, Rekey, RekeyAnswer,
    RootDocument, SessionAnswer, Sync, SyncAnswer,
};
use burin_api::release::Statement;
use burin_api::sealed::{HostSecrets, Sealed};
use serde::de::DeserializeOwned;

fn reads<T: DeserializeOwned>(text: &str) -> Result<(), String> {
    let value = serde_json::from_str::<T>(text);
    value.map(drop).map_err(|err| err.to_string())
}

#[test]
fn every_example_of_the_protocol_page_reads() {
    let page = include_str!("../../../docs/protocol.md");
    let mut seen = Vec::new();
    for block in page.split("```json ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let text = rest.split("```").next().unwrap();
        let read = match name {
            "Envelope" => reads::<Envelope>(text),
            "RootDocument" => reads::<RootDocument>(text),
            "Hello" => reads::<Hello>(text),
            "HelloAnswer" => reads::<HelloAnswer>(text),
            "Enroll" => reads::<Enroll>(text),
            "EnrollAnswer" => reads::<EnrollAnswer>(text),
            "Rekey" => reads::<Rekey>(text),
            "RekeyAnswer" => reads::<RekeyAnswer>(text),
            "OpenSession" => reads::<OpenSession>(text),
            "SessionAnswer" => reads::<SessionAnswer>(text),
            "Sync" => reads::<Sync>(text),
            "SyncAnswer" => reads::<SyncAnswer>(text),
            "Sealed" => reads::<Sealed>(text),
            "HostSecrets" => reads::<HostSecrets>(text),
            "Statement" => reads::<Statement>(text),
            "Refusal" => reads::<Refusal>(text),
            other => Err(format!("no type is called {other}")),
        };
        assert_eq!(read, Ok(()), "{name}: {text}");
        seen.push(name);
    }
    assert_eq!(seen.len(), 18, "{seen:?}");
}
