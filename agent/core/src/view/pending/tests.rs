use super::super::{Fact, Pending, screen};
use super::*;
use burin_api::claim::{ClaimLink, KeyLabel};
use burin_api::event::{Event, EventKind, Finding, Severity};
use proptest::prelude::*;

/// Longest refusal with its advice that the agent knows today, and the longest hub name.
const REASON: &str = "the hub cannot prove that it is the hub: the root document is signed by other \
                      keys. Compare burin.hub.root with `burin-hub user-data`; if they differ, \
                      this is another hub or somebody is between.";
const PRINT: &str = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";

fn host(hub: &str) -> View {
    let key = KeyLabel::of(PRINT).unwrap();
    let link = ClaimLink {
        host_id: "K7QF2M9X0TRD8HWN".to_owned(),
        key,
    };
    let mut view = View::default();
    for fact in [
        Fact::Phase(Phase::Waiting),
        Fact::Host {
            id: "K7QF-2M9X-0TRD-8HWN".to_owned(),
            source: "smbios-uuid".to_owned(),
        },
        Fact::Claim {
            key: key.to_string(),
            link: link.url(hub),
        },
        Fact::Hub(hub.to_owned()),
        Fact::Address("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".to_owned()),
    ] {
        view.fact(&fact);
    }
    view
}

fn known(view: &mut View) {
    view.fact(&Fact::Pending(Pending {
        code: "WDJB-MJHT".to_owned(),
        match_number: Some(42),
        ..Pending::default()
    }));
    view.fact(&Fact::HubState(REASON.to_owned()));
}

/// The text as one line without the breaks, so that what was broken over rows is found.
fn said(rows: &[Row]) -> String {
    let words = rows.iter().flat_map(|row| row.text.split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

fn coded(rows: &[Row]) -> usize {
    rows.iter().filter(|row| !row.code.is_empty()).count()
}

fn failed(step: &str) -> Event {
    Event {
        id: String::new(),
        sequence: 1,
        boot_id: String::new(),
        monotonic: 0,
        time: 0,
        operation: String::new(),
        step: step.to_owned(),
        kind: EventKind::Retrying,
        message: "no route".to_owned(),
        causes: Vec::new(),
    }
}

#[test]
fn everything_stands_beside_the_code_on_80_by_25() {
    for (name, code) in [(36, 21), (68, 23)] {
        let hub = format!("https://{}", "h".repeat(name));
        let mut view = host(&hub);
        view.fact(&Fact::Name(format!("edge-{}", "0a".repeat(16))));
        known(&mut view);
        let rows = screen(&view, "0.1.0", 79, 24);
        assert_eq!(coded(&rows), code);
        let text = said(&rows);
        let unbroken = text.replace(' ', "");
        for want in [
            "State waiting",
            "Host ID K7QF-2M9X-0TRD-8HWN",
            "Key 3BGT S77Z SMZK GSTT W09V ZNMF TQ",
            "Code WDJB-MJHT",
            "Number 42",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
        let long = [
            &hub,
            "edge-0a0a0a0a",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        ];
        for want in long {
            assert!(unbroken.contains(want), "{want} in {text}");
        }
        // The advice may be cut on the smallest console, the refusal itself never is.
        assert!(
            text.contains("the hub cannot prove that it is the hub"),
            "{text}"
        );
    }
}

#[test]
fn the_code_is_shown_before_the_hub_was_ever_reached() {
    let mut view = host("https://hub.example:8443");
    view.fact(&Fact::Phase(Phase::Starting));
    view.fact(&Fact::HubState(
        "the hub does not answer: no route".to_owned(),
    ));
    let rows = screen(&view, "0.1.0", 79, 24);
    assert_eq!(coded(&rows), 21);
    assert!(said(&rows).contains("the hub does not answer: no route"));
    assert!(!said(&rows).contains("Code"));
}

#[test]
fn a_larger_console_draws_larger_and_says_how_to_do_without_a_phone() {
    let mut view = host("https://hub.example:8443");
    known(&mut view);
    let rows = screen(&view, "0.1.0", 159, 49);
    assert_eq!(coded(&rows), 41);
    assert!(said(&rows).contains("Or type the code at https://hub.example:8443/c"));
    assert!(said(&rows).contains("somebody is between."));
}

#[test]
fn a_code_that_does_not_fit_leaves_the_text() {
    let long = format!("https://{}.example", "h".repeat(150));
    for (hub, width, height) in [(long.as_str(), 79, 24), ("https://h.example", 60, 24)] {
        let mut view = host(hub);
        known(&mut view);
        let rows = screen(&view, "0.1.0", width, height);
        assert_eq!(coded(&rows), 0);
        assert!(said(&rows).contains("Code WDJB-MJHT"), "{rows:?}");
        assert!(!rows[0].text.contains("scan"), "{rows:?}");
    }
}

#[test]
fn no_code_is_shown_to_nobody() {
    for (fact, shown) in [
        (Fact::Address("10.0.2.15".to_owned()), true),
        (Fact::Phase(Phase::Degraded), true),
        (
            Fact::Accepted {
                host_uid: "u".to_owned(),
            },
            false,
        ),
        (Fact::Blocked, false),
        (Fact::Phase(Phase::Installing), false),
        (Fact::Rebooting, false),
    ] {
        let mut view = host("https://hub.example");
        view.event(&failed("hub"));
        view.fact(&fact);
        assert_eq!(
            coded(&screen(&view, "0.1.0", 79, 24)) > 0,
            shown,
            "{fact:?}"
        );
    }
    let mut none = host("https://hub.example");
    none.fact(&Fact::Claim {
        key: String::new(),
        link: String::new(),
    });
    assert_eq!(coded(&screen(&none, "0.1.0", 79, 24)), 0);
}

#[test]
fn a_refusal_takes_code_and_number_away_and_says_why() {
    let mut view = host("https://hub.example");
    known(&mut view);
    view.fact(&Fact::Refused {
        reason: "denied".to_owned(),
    });
    let why = "the hub refused this host: an admin denied it";
    view.fact(&Fact::HubState(why.to_owned()));
    let rows = screen(&view, "0.1.0", 79, 24);
    let text = said(&rows);
    assert!(text.contains(why) && coded(&rows) > 0, "{text}");
    assert!(!text.contains("Code") && !text.contains("Number"), "{text}");
}

#[test]
fn an_answer_ends_the_errors_of_the_hub_and_no_others() {
    for (step, left) in [("hub", false), ("pull", true)] {
        let mut view = host("https://hub.example");
        view.event(&failed(step));
        view.fact(&Fact::Accepted {
            host_uid: "u".to_owned(),
        });
        assert_eq!(view.failed.is_some(), left, "{step}");
    }
}

#[test]
fn who_is_pending_again_is_shown_again() {
    let mut view = host("https://hub.example");
    view.fact(&Fact::Accepted {
        host_uid: "u".to_owned(),
    });
    known(&mut view);
    assert!(coded(&screen(&view, "0.1.0", 79, 24)) > 0);
}

proptest! {
    #[test]
    fn it_always_fits(reason in ".{0,400}", hub in "[a-z.]{0,200}", width in 1_usize..200, height in 1_usize..70) {
        let mut view = host(&format!("https://{hub}"));
        known(&mut view);
        view.fact(&Fact::HubState(reason.clone()));
        view.fact(&Fact::Name(reason.clone()));
        view.fact(&Fact::Findings(vec![Finding {
            name: "storage.ssd".to_owned(),
            measured: reason,
            required: "SSD".to_owned(),
            severity: Severity::Warn,
            advice: String::new(),
        }]));
        let rows = screen(&view, "0.1.0", width, height);
        prop_assert!(rows.len() <= height);
        for row in rows {
            prop_assert!(row.code.chars().count() + row.text.chars().count() <= width);
            prop_assert!(!row.text.chars().any(char::is_control));
        }
    }
}
