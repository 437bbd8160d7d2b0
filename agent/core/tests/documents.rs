//! The examples of README.md, docs/userdata.md and docs/profile.md are what the parsers take.

use burin_core::yaml::Problem;
use burin_core::{profile, userdata};

const USERDATA: &str = include_str!("../../../docs/userdata.md");
const PROFILE: &str = include_str!("../../../docs/profile.md");
const README: &str = include_str!("../../../README.md");

fn examples(document: &str) -> Vec<&str> {
    document
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("{p}\n")).collect()
}

#[test]
fn every_example_of_user_data_is_taken_without_a_warning() {
    let examples = examples(USERDATA);
    assert!(examples.len() >= 5);
    for text in examples {
        let data = userdata::parse(text).unwrap_or_else(|p| panic!("{}\n{text}", told(&p)));
        assert_eq!(told(&data.warnings), "", "{text}");
        assert_ne!(
            data,
            userdata::UserData::default(),
            "nothing was read\n{text}"
        );
    }
}

#[test]
fn every_example_of_a_profile_is_taken_without_a_warning() {
    let mut all = examples(PROFILE);
    assert!(all.len() >= 2);
    all.extend(examples(README));
    assert!(all.len() >= 3);
    for text in all {
        let profile = profile::parse(text).unwrap_or_else(|p| panic!("{}\n{text}", told(&p)));
        assert_eq!(told(&profile.warnings), "", "{text}");
        assert!(profile.kubernetes.is_some(), "{text}");
    }
}

#[test]
fn every_check_is_named_in_the_document() {
    for name in burin_core::checks::NAMES {
        assert!(USERDATA.contains(&format!("`{name}`")), "{name}");
    }
}
