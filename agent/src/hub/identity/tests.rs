use super::*;

#[test]
fn a_kept_identity_is_found_with_its_registration() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::under(root.path());
    std::fs::create_dir_all(&paths.system).unwrap();
    assert!(Identity::find(&paths).unwrap().is_none());

    let made = Identity::make("#cloud-config\n").unwrap();
    made.register(&paths, |it| it.host_uid = Some("uid".to_owned()))
        .unwrap();
    assert!(
        !paths.host().exists(),
        "nothing is written before the disk is ours"
    );
    made.keep(&paths).unwrap();
    made.register(&paths, |it| it.confirmed_time = 7).unwrap();

    let found = Identity::find(&paths).unwrap().unwrap();
    assert_eq!(found.thumbprint(), made.thumbprint());
    assert_eq!(found.registration(), made.registration());
    assert_eq!(
        (found.store(), made.store()),
        (KeyStore::File, KeyStore::File)
    );
}

#[test]
fn a_release_is_remembered_on_disk_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::under(root.path());
    std::fs::create_dir_all(&paths.system).unwrap();
    let mark = |counter| Accepted {
        counter,
        digest: burin_core::oci::Digest::of(b"release"),
    };
    let made = Identity::make("").unwrap();
    made.take_release(&paths, "retail", mark(1)).unwrap();
    made.keep(&paths).unwrap();
    let kept = |paths: &Paths| Identity::find(paths).unwrap().unwrap().registration();
    assert_eq!(kept(&paths).releases["retail"], mark(1));
    made.take_release(&paths, "retail", mark(2)).unwrap();
    assert_eq!(kept(&paths).releases["retail"], mark(2));
    let gone = Paths::under(&root.path().join("gone"));
    assert!(made.take_release(&gone, "retail", mark(3)).is_err());
    assert_eq!(made.registration().releases["retail"], mark(2));
}

#[test]
fn an_accepted_hosts_token_never_reaches_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::under(root.path());
    std::fs::create_dir_all(&paths.system).unwrap();
    let token = Token::from_seed([5; 16]).reveal();
    let text = format!("#cloud-config\nburin:\n  token: {token}\n  host: {{ name: a }}\n");
    let made = Identity::make(&text).unwrap();
    made.register(&paths, |it| it.host_uid = Some("uid".to_owned()))
        .unwrap();
    made.keep(&paths).unwrap();
    let kept = std::fs::read_to_string(paths.user_data()).unwrap();
    let seed = token.rsplit('-').next().unwrap();
    assert!(!kept.contains(seed), "{kept}");
    assert_eq!(
        userdata::parse(&kept).unwrap().host.name.as_deref(),
        Some("a")
    );
}

#[test]
fn both_keys_are_kept_until_the_hub_took_the_new_one() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::under(root.path());
    std::fs::create_dir_all(&paths.system).unwrap();
    let made = Identity::make("").unwrap();
    made.keep(&paths).unwrap();
    let first = made.thumbprint();
    made.make_next(&paths).unwrap();
    let next = made.next().unwrap().thumbprint().to_owned();
    assert_ne!(next, first);
    // A boot in between finds both, and makes no third one.
    let found = Identity::find(&paths).unwrap().unwrap();
    found.make_next(&paths).unwrap();
    assert_eq!(found.thumbprint(), first);
    assert_eq!(found.next().unwrap().thumbprint(), next);
    let old = std::fs::File::open(paths.identity_key()).unwrap();
    found.succeed(&paths).unwrap();
    let found = Identity::find(&paths).unwrap().unwrap();
    assert_eq!(found.thumbprint(), next);
    assert!(found.next().is_none());
    let left = std::io::read_to_string(old).unwrap();
    assert!(left.len() > 100 && left.bytes().all(|it| it == 0));
    assert!(!paths.next_identity_key().exists());
}

#[test]
fn a_next_key_that_the_hub_refuses_or_that_is_damaged_is_given_up() {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::under(root.path());
    std::fs::create_dir_all(&paths.system).unwrap();
    let made = Identity::make("").unwrap();
    made.keep(&paths).unwrap();
    made.make_next(&paths).unwrap();
    made.drop_next(&paths).unwrap();
    assert!(made.next().is_none() && !paths.next_identity_key().exists());
    std::fs::write(paths.next_identity_key(), "half a k").unwrap();
    let found = Identity::find(&paths).unwrap().unwrap();
    assert!(found.next().is_none());
    found.make_next(&paths).unwrap();
    let again = Identity::find(&paths).unwrap().unwrap();
    assert!(again.next().is_some());
}

#[test]
fn no_secret_is_in_debug_output() {
    let secret = "BRN1-SECRET";
    let made = Identity::make(secret).unwrap();
    let text = format!("{made:?}");
    assert!(
        !text.contains(secret) && !text.contains(&hex::encode(made.pkcs8())),
        "{text}"
    );
}

#[test]
fn signatures_verify_with_the_public_key() {
    let made = Identity::make("").unwrap();
    let made = made.key();
    let key = match made.public() {
        burin_api::dsse::PublicKey::EcdsaP256(key) => hex::decode(key).unwrap(),
        burin_api::dsse::PublicKey::Ed25519(_) => unreachable!("an identity is ECDSA"),
    };
    let signature = made.sign(b"message").unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, key)
        .verify(b"message", &signature)
        .unwrap();
}
