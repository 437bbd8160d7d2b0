use burin_api::desired::{Blob, Layer, LayerFacts, LayerKind, Release};
use burin_api::dsse::Signature;
use burin_api::release::ReleaseKey;
use burin_api::token::Token;

use super::*;

const NOW: u64 = 1_795_305_600_000;
const DAY: u64 = 24 * 3600 * 1000;

// A token is an Ed25519 key; here it stands for a release key.
fn key(seed: u8) -> Token {
    Token::from_seed([seed; 16])
}

fn root(keys: &[(&Token, &[&str])]) -> RootDocument {
    RootDocument {
        version: 2,
        hub_id: "hub".to_owned(),
        root: vec![key(8).public_key()],
        online: vec![key(9).public_key()],
        release: keys
            .iter()
            .map(|(key, profiles)| ReleaseKey {
                key: key.public_key(),
                profiles: profiles.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        retiring: Vec::new(),
        addresses: Vec::new(),
        images: Vec::new(),
        unprotected: false,
    }
}

fn release(name: &str) -> Release {
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    Release {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        layers: vec![Layer {
            kind: LayerKind::Os,
            name: "os".to_owned(),
            registry: "registry.example:5000".to_owned(),
            repository: "os/debian".to_owned(),
            reference: "registry.example:5000/os/debian:13".to_owned(),
            manifest: digest("a"),
            resolved: String::new(),
            verify: Vec::new(),
            blobs: vec![Blob {
                digest: digest("b"),
                diff_id: digest("c"),
                size: 1,
                media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
                unpacked: 1,
                entries: 1,
            }],
            files: BTreeMap::new(),
            inline: BTreeMap::new(),
            replaces_system: false,
            facts: LayerFacts::default(),
        }],
        ..Release::default()
    }
}

fn statement(counter: u64) -> Statement {
    Statement {
        hub_id: "hub".to_owned(),
        counter,
        expires: NOW + DAY,
        agent: None,
        release: release("retail"),
    }
}

fn sealed(statement: &Statement, signers: &[&Token]) -> Envelope {
    Envelope::seal::<_, serde_json::Error>(statement, |message| {
        let sign = |key: &&Token| (key.public_key().thumbprint().unwrap(), key.sign(message));
        Ok(signers.iter().map(sign).collect())
    })
    .unwrap()
}

fn desired(release: Release, signed: Option<Envelope>) -> Desired {
    Desired {
        assignment: 1,
        release,
        signed,
        disk: None,
        unserved: Vec::new(),
    }
}

fn judged(
    desired: &Desired,
    root: &RootDocument,
    accepted: &[(&str, Accepted)],
) -> Result<Taken, Refusal> {
    let accepted = accepted
        .iter()
        .map(|(name, it)| (name.to_string(), it.clone()));
    let ground = Ground {
        root,
        accepted: &accepted.collect(),
        now: NOW,
        agent: "0.1.0",
    };
    judge(desired, &ground)
}

fn code(result: &Result<Taken, Refusal>) -> &'static str {
    result.as_ref().map_or_else(Refusal::code, |_| "taken")
}

#[test]
fn a_hub_without_release_keys_needs_no_signature_and_one_with_them_does() {
    let signer = key(1);
    let plain = desired(release("retail"), None);
    assert_eq!(judged(&plain, &root(&[]), &[]).unwrap().mark, None);
    let keys = root(&[(&signer, &[])]);
    assert_eq!(judged(&plain, &keys, &[]), Err(Refusal::Unsigned));
    // What stands beside the envelope counts for nothing.
    let other = desired(release("other"), Some(sealed(&statement(3), &[&signer])));
    let taken = judged(&other, &keys, &[]).unwrap();
    assert_eq!(taken.desired.release, release("retail"));
    assert_eq!(taken.mark.unwrap().counter, 3);
    let nothing = desired(Release::default(), None);
    assert_eq!(code(&judged(&nothing, &root(&[]), &[])), "release.shape");
}

#[test]
fn only_a_listed_key_may_sign_and_only_for_its_profiles() {
    let (signer, other, third) = (key(1), key(2), key(3));
    let listed = root(&[(&signer, &["retail"]), (&other, &["factory", "lab"])]);
    let good = sealed(&statement(1), &[&signer]);
    let with = |change: &dyn Fn(&mut Envelope)| {
        let mut envelope = good.clone();
        change(&mut envelope);
        envelope
    };
    let online = sealed(&statement(1), &[&key(9)]);
    let cases = [
        ("taken", good.clone()),
        ("taken", sealed(&statement(1), &[&third, &other, &signer])),
        ("release.foreign_key", sealed(&statement(1), &[&third])),
        ("release.foreign_key", online),
        ("release.other_profile", sealed(&statement(1), &[&other])),
        ("release.unsigned", with(&|it| it.signatures.clear())),
        // The count of signatures helps nobody: a copy under another name is no second signer.
        (
            "release.foreign_key",
            with(&|it| {
                let sig = it.signatures[0].sig.clone();
                let keyid = "00".repeat(32);
                it.signatures = vec![Signature { keyid, sig }; 1000];
            }),
        ),
        (
            "release.signature",
            with(&|it| it.signatures[0].sig = BASE64.encode([0; 64])),
        ),
        (
            "release.signature",
            with(&|it| it.signatures[0].sig = "?".to_owned()),
        ),
        (
            "release.signature",
            with(&|it| it.payload = sealed(&statement(9), &[]).payload),
        ),
        (
            "release.signature",
            with(&|it| it.payload_type = "application/vnd.burin.root.v1+json".to_owned()),
        ),
    ];
    for (want, envelope) in cases {
        let result = judged(
            &desired(Release::default(), Some(envelope.clone())),
            &listed,
            &[],
        );
        assert_eq!(code(&result), want, "{envelope:?}");
    }
}

#[test]
fn no_flipped_bit_of_an_envelope_is_taken() {
    let signer = key(1);
    let listed = root(&[(&signer, &[])]);
    let good = sealed(&statement(1), &[&signer]);
    let payload = BASE64.decode(&good.payload).unwrap();
    for at in 0..payload.len() {
        let mut bytes = payload.clone();
        bytes[at] ^= 1;
        let envelope = Envelope {
            payload: BASE64.encode(bytes),
            ..good.clone()
        };
        let result = judged(&desired(Release::default(), Some(envelope)), &listed, &[]);
        assert_eq!(code(&result), "release.signature", "byte {at}");
    }
}

#[test]
fn a_host_never_goes_back_and_two_releases_never_share_a_counter() {
    let signer = key(1);
    let listed = root(&[(&signer, &[])]);
    let offer =
        |statement: &Statement| desired(Release::default(), Some(sealed(statement, &[&signer])));
    let held = judged(&offer(&statement(5)), &listed, &[])
        .unwrap()
        .mark
        .unwrap();
    let other = Statement {
        expires: NOW + 2 * DAY,
        ..statement(5)
    };
    let of_another = Statement {
        release: release("factory"),
        ..statement(1)
    };
    for (want, statement) in [
        ("taken", statement(5)),
        ("taken", statement(6)),
        ("taken", of_another),
        ("release.older", statement(4)),
        ("release.older", statement(0)),
        ("release.same_counter", other),
    ] {
        let result = judged(&offer(&statement), &listed, &[("retail", held.clone())]);
        assert_eq!(code(&result), want, "{}", statement.counter);
    }
}

#[test]
fn a_day_that_is_over_stops_only_what_the_host_did_not_take_before() {
    let signer = key(1);
    let listed = root(&[(&signer, &[])]);
    let ended = Statement {
        expires: NOW - DAY,
        ..statement(5)
    };
    let offer =
        |statement: &Statement| desired(Release::default(), Some(sealed(statement, &[&signer])));
    let held = Accepted {
        counter: 5,
        digest: open(offer(&ended).signed.as_ref().unwrap(), &listed)
            .unwrap()
            .digest,
    };
    let newer = Statement {
        counter: 6,
        ..ended.clone()
    };
    let changed = Statement {
        expires: NOW - DAY + 1,
        ..ended.clone()
    };
    for (want, statement, accepted) in [
        ("taken", &ended, ("retail", held.clone())),
        // Never taken, taken of another profile only, a newer one, another one of the same counter.
        ("release.expired", &ended, ("factory", held.clone())),
        ("release.expired", &newer, ("retail", held.clone())),
        ("release.same_counter", &changed, ("retail", held.clone())),
    ] {
        let result = judged(&offer(statement), &listed, &[accepted]);
        assert_eq!(code(&result), want, "{statement:?}");
    }
    assert_eq!(
        code(&judged(&offer(&ended), &listed, &[])),
        "release.expired"
    );
}

#[test]
fn time_hub_and_agent_must_fit() {
    let signer = key(1);
    let listed = root(&[(&signer, &[])]);
    let with = |change: &dyn Fn(&mut Statement)| {
        let mut statement = statement(1);
        change(&mut statement);
        let envelope = sealed(&statement, &[&signer]);
        judged(&desired(Release::default(), Some(envelope)), &listed, &[])
    };
    for (want, result) in [
        ("taken", with(&|it| it.expires = NOW)),
        ("release.expired", with(&|it| it.expires = NOW - 1)),
        ("release.expired", with(&|it| it.expires = 0)),
        (
            "release.other_hub",
            with(&|it| it.hub_id = "other".to_owned()),
        ),
        ("taken", with(&|it| it.agent = Some("0.1.0".to_owned()))),
        (
            "release.agent",
            with(&|it| it.agent = Some("0.1.1".to_owned())),
        ),
        (
            "release.agent",
            with(&|it| it.agent = Some("new".to_owned())),
        ),
    ] {
        assert_eq!(code(&result), want);
        if let Err(refusal) = result {
            let finding = refusal.finding();
            assert_eq!(finding.name, want);
            assert!(!finding.advice.is_empty() && finding.severity == Severity::Block);
        }
    }
}

#[test]
fn names_are_no_paths_digests_are_digests_and_sizes_are_bounded() {
    let blob = |it: &mut Release, change: &dyn Fn(&mut Blob)| change(&mut it.layers[0].blobs[0]);
    type Change<'a> = &'a dyn Fn(&mut Release);
    let cases: [Change<'_>; 22] = [
        &|it| it.name = "../retail".to_owned(),
        &|it| it.name = "x".repeat(64),
        &|it| it.version = "../1.0.0".to_owned(),
        &|it| it.layers.clear(),
        &|it| it.layers = vec![it.layers[0].clone(); 65],
        &|it| it.layers.push(it.layers[0].clone()),
        &|it| it.layers[0].name = "/etc".to_owned(),
        &|it| it.layers[0].registry = String::new(),
        &|it| it.layers[0].registry = "registry.example/x".to_owned(),
        &|it| it.layers[0].repository = "../../v2/other".to_owned(),
        &|it| it.layers[0].repository = "os/debian:13".to_owned(),
        &|it| it.layers[0].manifest = "latest".to_owned(),
        &|it| it.layers[0].resolved = "latest".to_owned(),
        &|it| it.layers[0].verify = vec!["../key".to_owned()],
        &|it| it.layers[0].verify = vec!["key".to_owned(); 17],
        &|it| blob(it, &|blob| blob.digest = "sha256:../../x".to_owned()),
        &|it| blob(it, &|blob| blob.diff_id = "md5:00".to_owned()),
        &|it| blob(it, &|blob| blob.size = u64::MAX),
        &|it| blob(it, &|blob| blob.unpacked = u64::MAX),
        &|it| {
            drop(
                it.layers[0]
                    .inline
                    .insert("../a.yaml".into(), String::new()),
            )
        },
        &|it| {
            drop(
                it.layers[0]
                    .files
                    .insert("/a/../../etc/shadow".into(), "/a".into()),
            )
        },
        &|it| it.cmdline.push("init=/bin/sh".to_owned()),
    ];
    assert_eq!(check(&release("retail")), Ok(()));
    for (at, change) in cases.iter().enumerate() {
        let mut release = release("retail");
        change(&mut release);
        assert!(check(&release).is_err(), "case {at}: {release:?}");
    }
}
