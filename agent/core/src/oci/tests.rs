use proptest::prelude::*;

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn references_always_name_their_registry() {
    for (text, registry, repository, wanted) in [
        (
            "registry.example/os/debian:13",
            "registry.example",
            "os/debian",
            "13",
        ),
        ("127.0.0.1:5000/k3s", "127.0.0.1:5000", "k3s", "latest"),
        (
            "localhost/a__b/c-d.e:v1.33.4-k3s1",
            "localhost",
            "a__b/c-d.e",
            "v1.33.4-k3s1",
        ),
        ("[fd00::1]:5000/os:1", "[fd00::1]:5000", "os", "1"),
    ] {
        let got: Reference = text.parse().unwrap();
        assert_eq!(
            (
                got.registry.as_str(),
                got.repository.as_str(),
                got.wanted().as_str()
            ),
            (registry, repository, wanted)
        );
        assert_eq!(got.to_string(), text);
    }
    let pinned = format!("r.example/os:13@sha256:{HEX}");
    let got: Reference = pinned.parse().unwrap();
    assert_eq!(got.wanted(), format!("sha256:{HEX}"));
    assert_eq!(got.to_string(), pinned);
}

#[test]
fn malformed_references_are_refused_by_their_part() {
    use ReferenceError as E;
    for (text, want) in [
        ("debian:13", E::NoRegistry("debian:13".into())),
        (
            "library/debian:13",
            E::NoRegistry("library/debian:13".into()),
        ),
        ("https://r.example/os:1", E::Scheme("https://")),
        ("r.example/OS:1", E::Repository("OS".into())),
        ("r.example/a//b", E::Repository("a//b".into())),
        ("r.example/../x", E::Repository("../x".into())),
        ("r.example/", E::Repository(String::new())),
        ("r.example/os:", E::Tag(String::new())),
        ("r.example/os:-x", E::Tag("-x".into())),
        ("r.example:0/os", E::Registry("r.example:0".into())),
        ("-r.example/os", E::Registry("-r.example".into())),
        (
            "user@r.example/os",
            E::Digest(DigestError("r.example/os".into())),
        ),
    ] {
        assert_eq!(text.parse::<Reference>(), Err(want), "{text}");
    }
    assert_eq!("a.b/".repeat(200).parse::<Reference>(), Err(E::Length));
}

#[test]
fn only_sha256_in_lower_case_is_a_digest() {
    let text = format!("sha256:{HEX}");
    assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    assert_eq!(
        Digest::of(b"").hex(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for bad in [
        HEX.to_owned(),
        format!("sha512:{HEX}"),
        text.to_uppercase(),
        text[..70].to_owned(),
        format!("sha256:{}", "Ä".repeat(32)),
        String::new(),
    ] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}

fn manifest(layer: &str, size: u64) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{HEX}","size":7}},
        "layers":[{{"mediaType":"{layer}","digest":"sha256:{HEX}","size":{size}}}]}}"#
    )
}

#[test]
fn layers_of_every_known_packing_are_read() {
    for (media_type, packing) in [
        ("application/vnd.oci.image.layer.v1.tar", Packing::Tar),
        ("application/vnd.oci.image.layer.v1.tar+gzip", Packing::Gzip),
        ("application/vnd.oci.image.layer.v1.tar+zstd", Packing::Zstd),
        (
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Packing::Gzip,
        ),
    ] {
        let Document::Manifest(got) =
            parse_document(manifest(media_type, 9).as_bytes(), None).unwrap()
        else {
            panic!("not a manifest");
        };
        assert_eq!(
            Packing::of_media_type(&got.layers[0].media_type),
            Some(packing)
        );
    }
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    assert!(matches!(
        parse_document(manifest(foreign, 9).as_bytes(), None),
        Err(DocumentError::Layer { number: 0, .. })
    ));
    for size in [0, MAX_BLOB + 1] {
        let text = manifest("application/vnd.oci.image.layer.v1.tar", size);
        assert!(matches!(
            parse_document(text.as_bytes(), None),
            Err(DocumentError::LayerSize { .. })
        ));
    }
}

#[test]
fn a_manifest_never_passes_for_an_index() {
    let text = manifest("application/vnd.oci.image.layer.v1.tar", 9);
    assert!(matches!(
        parse_document(
            text.as_bytes(),
            Some("application/vnd.oci.image.index.v1+json")
        ),
        Err(DocumentError::MediaType(_))
    ));
    assert!(
        parse_document(
            text.as_bytes(),
            Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")
        )
        .is_ok()
    );
    let both = text.replacen('{', r#"{"manifests":[],"#, 1);
    assert!(matches!(
        parse_document(both.as_bytes(), None),
        Err(DocumentError::Syntax(_))
    ));
    let old = text.replace("\"schemaVersion\":2", "\"schemaVersion\":1");
    assert_eq!(
        parse_document(old.as_bytes(), None),
        Err(DocumentError::Schema(1))
    );
}

#[test]
fn documents_are_bounded() {
    let long = vec![b' '; MAX_MANIFEST + 1];
    assert!(matches!(
        parse_document(&long, None),
        Err(DocumentError::TooLarge { .. })
    ));
    let deep = "[".repeat(100_000);
    assert!(matches!(
        parse_config(deep.as_bytes()),
        Err(DocumentError::Syntax(_))
    ));
}

#[test]
fn the_platform_is_chosen_by_architecture_and_never_guessed() {
    let entry = |os: &str, arch: &str, variant: &str, last: char| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":5,
            "digest":"sha256:{}{last}","platform":{{"os":"{os}","architecture":"{arch}"{variant}}}}}"#,
            &HEX[..63]
        )
    };
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{},{},{}]}}"#,
        entry("unknown", "unknown", "", '1'),
        entry("linux", "amd64", r#","variant":"v3""#, '2'),
        entry("linux", "amd64", "", '3'),
        entry("linux", "arm64", r#","variant":"v8""#, '4'),
    );
    let Document::Index(manifests) = parse_document(text.as_bytes(), None).unwrap() else {
        panic!("not an index");
    };
    for (arch, last) in [("amd64", '3'), ("arm64", '4')] {
        let got = choose(&manifests, arch).unwrap().digest.to_string();
        assert!(got.ends_with(last), "{arch}: {got}");
    }
    assert_eq!(
        choose(&manifests, "riscv64"),
        Err(DocumentError::Platform {
            wanted: "riscv64".into(),
            found: "linux/amd64, linux/arm64".into()
        })
    );
}

#[test]
fn layers_and_diff_ids_go_in_pairs() {
    let Document::Manifest(manifest) = parse_document(
        manifest("application/vnd.oci.image.layer.v1.tar", 9).as_bytes(),
        None,
    )
    .unwrap() else {
        panic!("not a manifest");
    };
    let config = |n: usize| {
        let ids = vec![format!("\"sha256:{HEX}\""); n].join(",");
        parse_config(format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#).as_bytes()).unwrap()
    };
    assert_eq!(image_blobs(&manifest, &config(1)).unwrap().len(), 1);
    assert_eq!(
        image_blobs(&manifest, &config(2)),
        Err(DocumentError::Mismatch {
            layers: 1,
            diff_ids: 2
        })
    );
}

proptest! {
    #[test]
    fn what_parses_prints_the_same(text in "[a-z0-9.:/@_-]{0,80}") {
        if let Ok(got) = text.parse::<Reference>() {
            prop_assert_eq!(got.to_string(), text);
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,100}") {
        let _ = (parse_document(&bytes, None), parse_config(&bytes));
        let _ = (text.parse::<Reference>(), text.parse::<Digest>());
    }
}
