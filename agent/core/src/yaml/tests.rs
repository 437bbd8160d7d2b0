use proptest::prelude::*;

use super::*;

fn at(text: &str) -> (usize, usize, String) {
    let problem = parse(text).unwrap_err();
    (problem.line, problem.column, problem.message)
}

#[test]
fn every_value_knows_its_place() {
    let node = parse("#cloud-config\na:\n  b: [one, 'two']\nc: |\n  text\n")
        .unwrap()
        .unwrap();
    let Value::Mapping(top) = &node.value else {
        panic!()
    };
    assert_eq!(
        (top[0].key.as_str(), top[0].line, top[0].column),
        ("a", 2, 1)
    );
    let Value::Mapping(inner) = &top[0].value.value else {
        panic!()
    };
    assert_eq!(
        (inner[0].key.as_str(), inner[0].line, inner[0].column),
        ("b", 3, 3)
    );
    let Value::Sequence(items) = &inner[0].value.value else {
        panic!()
    };
    assert_eq!(
        (items[1].text(), items[1].line, items[1].column),
        (Some("two"), 3, 12)
    );
    assert_eq!(top[1].value.text(), Some("text\n"));
}

#[test]
fn scalars_mean_what_the_core_schema_says() {
    let node = parse("[1, -2, 1.5, true, ~, 'true', yes, 0644, 1e3, v1.33, .inf, '']")
        .unwrap()
        .unwrap();
    assert_eq!(
        node.to_json(),
        serde_json::json!([
            1, -2, 1.5, true, null, "true", "yes", 644, 1000.0, "v1.33", ".inf", ""
        ])
    );
    assert_eq!(parse("# nothing\n").unwrap(), None);
    assert_eq!(parse("").unwrap(), None);
    assert_eq!(
        parse("\u{feff}a: 1\n").unwrap().unwrap().to_json(),
        serde_json::json!({"a": 1})
    );
    assert_eq!(
        parse("a: !!str 1").unwrap().unwrap().to_json(),
        serde_json::json!({"a": "1"})
    );
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, line, column, message) in [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "the key `a` stands twice"),
        ("x: {a: 1, a: 2}\n", 1, 11, "the key `a` stands twice"),
        ("[1]: 2\n", 1, 1, "a key must be a single word"),
        ("a: 1\n---\nb: 2\n", 3, 1, "a second document begins here"),
        (
            "a: !custom 1\n",
            1,
            12,
            "the tag `!custom` is not supported",
        ),
    ] {
        assert_eq!(at(text), (line, column, message.to_owned()), "{text:?}");
    }
    for text in ["a: [1", "a: b: c", "a: 'b", "a: *nowhere"] {
        let problem = parse(text).unwrap_err();
        assert!(
            problem.message.starts_with("not valid YAML"),
            "{text:?} {problem}"
        );
        assert!(problem.line >= 1 && problem.column >= 1);
    }
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 9].join(", ");
        text += &format!("a{i}: &a{i} [{refs}]\n");
    }
    assert_eq!(at(&text).2, "too many values");
    assert_eq!(
        at("a: &a [*a]\n").2,
        "this alias stands inside the value that it names"
    );
    let shared = parse("a: &x {k: 1}\nb: *x\n").unwrap().unwrap();
    assert_eq!(
        shared.to_json(),
        serde_json::json!({"a": {"k": 1}, "b": {"k": 1}})
    );
}

#[test]
fn depth_and_size_are_bounded() {
    assert_eq!(
        at(&format!("{}1{}", "[".repeat(49), "]".repeat(49))).2,
        "nested too deeply"
    );
    assert!(parse(&format!("{}1{}", "[".repeat(48), "]".repeat(48))).is_ok());
    let block: String = (0..2000)
        .map(|i| format!("{}a:\n", " ".repeat(i)))
        .collect();
    assert!(parse(&block).is_err());
    assert!(at(&"a".repeat(MAX_BYTES + 1)).2.contains("bytes"));
    assert_eq!(
        at(&format!("[{}]", "1,".repeat(MAX_NODES + 1))).2,
        "too many values"
    );
    let deep = "a: &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\nb: [[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]\n";
    assert_eq!(at(deep).2, "nested too deeply");
}

#[test]
fn a_tree_does_not_show_its_text() {
    let node = parse("token: BRN1-SECRET\n").unwrap().unwrap();
    assert!(!format!("{node:?}").contains("SECRET"));
    let Value::Mapping(entries) = &node.value else {
        panic!()
    };
    assert!(!format!("{entries:?}").contains("SECRET"));
}

#[test]
fn the_nearest_known_word_is_found() {
    for (written, want) in [
        ("wype", Some("wipe")),
        ("Device", Some("device")),
        ("rebot", Some("reboot")),
        ("devcie", Some("device")),
        ("colour", None),
    ] {
        assert_eq!(
            nearest(written, ["device", "wipe", "reboot"]),
            want,
            "{written}"
        );
    }
}

#[test]
fn unknown_keys_and_wrong_kinds_are_all_told() {
    let node = parse("install:\n  wype: true\n  device: [a]\n  reboot: maybe\n")
        .unwrap()
        .unwrap();
    let mut reader = Reader::default();
    let mut top = reader.map(&node, "").unwrap();
    let mut install = reader.map_at(&mut top, "install").unwrap();
    assert_eq!(reader.boolean(&mut install, "wipe"), None);
    assert_eq!(reader.text(&mut install, "device"), None);
    assert_eq!(reader.boolean(&mut install, "reboot"), None);
    install.finish(&mut reader);
    top.finish(&mut reader);
    let told: Vec<String> = reader
        .finish()
        .unwrap_err()
        .iter()
        .map(Problem::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "2:3: error: unknown key `install.wype`; expected `wipe`, perhaps",
            "3:11: error: `install.device` is a list; expected a single value",
            "4:11: error: `install.reboot` is not a yes or no; expected `true` or `false`",
        ]
    );
}

fn merged(texts: &[&str]) -> Result<serde_json::Value, Vec<Problem>> {
    let mut all = parse_all(&texts.join("\n---\n"), 1).unwrap().into_iter();
    let mut node = all.next().unwrap();
    for over in all {
        merge(&mut node, over)?;
    }
    Ok(node.to_json())
}

#[test]
fn documents_are_laid_over_each_other() {
    for (texts, want) in [
        (
            ["{a: {b: 1, c: 2}}", "{a: {c: 3, d: 4}}"],
            serde_json::json!({"a": {"b": 1, "c": 3, "d": 4}}),
        ),
        (
            ["{a: [x, y]}", "{a: [y, z]}"],
            serde_json::json!({"a": ["x", "y", "z"]}),
        ),
        (
            ["{a: [{n: 1}]}", "{a: [{n: 1}]}"],
            serde_json::json!({"a": [{"n": 1}, {"n": 1}]}),
        ),
        (
            ["{a: 1}", "{a: ~, b: }"],
            serde_json::json!({"a": 1, "b": null}),
        ),
        (["{a: ~}", "{a: [1]}"], serde_json::json!({"a": [1]})),
    ] {
        assert_eq!(merged(&texts).unwrap(), want, "{texts:?}");
    }
    let told = merged(&["{a: {b: 1}, c: [1]}", "{a: 2, c: {d: 1}}"]).unwrap_err();
    let told: Vec<String> = told.iter().map(Problem::to_string).collect();
    assert_eq!(
        told,
        [
            "3:5: error: `a` is a single value here and a mapping on line 1; expected a mapping",
            "3:11: error: `c` is a mapping here and a list on line 1; expected a list",
        ]
    );
}

#[test]
fn lines_count_on_from_the_text_before() {
    let all = parse_all("# x\n---\na: 1\n---\nb: 2\n", 11).unwrap();
    let places: Vec<_> = all.iter().map(|node| (node.line, node.column)).collect();
    assert_eq!(places, [(13, 1), (15, 1)]);
    assert_eq!(parse_all("a: [", 11).unwrap_err().line, 12);
}

#[test]
fn keys_of_another_product_are_ignored_unless_one_that_counts_is_meant() {
    let node = parse("wype: true\nfuture: 1\nverbose: 2\n")
        .unwrap()
        .unwrap();
    let mut reader = Reader::default();
    let mut top = reader.map(&node, "").unwrap();
    assert!(top.get("wipe").is_none());
    top.idle(&[("verbose", "it always is")], &mut reader);
    top.finish_foreign(&mut reader);
    let told: Vec<String> = reader
        .finish()
        .unwrap_err()
        .iter()
        .map(Problem::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "1:1: error: unknown key `wype`; expected `wipe`, perhaps",
            "2:1: warning: unknown key `future`: it has no effect",
            "3:1: warning: `verbose` has no effect: it always is",
        ]
    );
}

proptest! {
    #[test]
    fn no_pair_of_documents_makes_the_merge_panic(a in "[a-c:\\-\\[\\]{}, \n~0-9]{0,60}", b in "[a-c:\\-\\[\\]{}, \n~0-9]{0,60}") {
        if let (Ok(Some(mut a)), Ok(Some(b))) = (parse(&a), parse(&b)) {
            let same = b.clone();
            if merge(&mut a, b).is_ok() {
                // What was laid on is there, whatever was below.
                let before = a.to_json();
                if matches!(same.value, Value::Scalar { .. }) {
                    prop_assert_eq!(before, same.to_json());
                }
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-c:\\-\\[\\]{}&*!|>'\"#%@,? \n\t~0-9]{0,120}") {
        let _ = parse(&text).map(|node| node.map(|n| n.to_json()));
    }

    #[test]
    fn no_unicode_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }
}
