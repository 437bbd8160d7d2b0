use super::*;

fn machine(uuid: &str) -> Evidence {
    Evidence {
        uuid: uuid.to_owned(),
        serial: "S1".to_owned(),
        macs: vec!["52:54:00:00:00:01".to_owned()],
        ..Evidence::default()
    }
}

fn token(id: &str) -> Proven {
    Proven {
        id: id.to_owned(),
        revoked: false,
        requires_approval: false,
    }
}

fn situation(evidence: &Evidence) -> Situation<'_> {
    Situation {
        known: Known::No,
        rival: None,
        token: Some(token("T")),
        matched: None,
        evidence,
        findings: &[],
        replace_after: Duration::from_secs(600),
    }
}

fn rival() -> Rival {
    Rival {
        uid: "u1".to_owned(),
        settled: false,
        token_id: Some("T".to_owned()),
        evidence: machine("a"),
        silent: Duration::from_secs(600),
        replaced_in_this_boot: false,
    }
}

fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Pending { reason, .. } => reason,
        Verdict::Rejected { reason, .. } => reason,
        Verdict::Already { .. } => "already",
        Verdict::Admit(By::Token) => "token",
        Verdict::Admit(By::Preauth(_)) => "preauth",
        Verdict::Admit(By::Claim) => "claim",
        Verdict::Replace { .. } => "replace",
    }
}

#[test]
fn a_new_host_is_admitted_by_its_token_only() {
    let evidence = machine("a");
    let base = situation(&evidence);
    assert_eq!(decide(&base), Verdict::Admit(By::Token));
    let none = Situation {
        token: None,
        ..base.clone()
    };
    assert_eq!(reason(&decide(&none)), "no_token");
    let asks = Proven {
        requires_approval: true,
        ..token("T")
    };
    let asks = Situation {
        token: Some(asks),
        ..base
    };
    assert_eq!(reason(&decide(&asks)), "approval");
}

#[test]
fn what_people_said_of_a_host_decides_with_its_token() {
    let evidence = machine("a");
    let announced = Matched::Announced { id: "P".to_owned() };
    let waived = Matched::ClaimedWithoutNumber;
    let free = Some(token("T"));
    let asks = Some(Proven {
        requires_approval: true,
        ..token("T")
    });
    for (matched, token, want) in [
        (Some(&announced), None, "preauth"),
        // No use of a token is spent on a host that a person let in.
        (Some(&announced), free.clone(), "preauth"),
        (Some(&announced), asks.clone(), "preauth"),
        (Some(&waived), None, "claim"),
        (Some(&waived), free.clone(), "claim"),
        (Some(&Matched::Named), None, "confirm_key"),
        (Some(&Matched::Named), free.clone(), "token"),
        (Some(&Matched::Named), asks.clone(), "confirm_key"),
        (Some(&Matched::OtherKey), None, "other_key"),
        (Some(&Matched::OtherKey), asks.clone(), "other_key"),
        (Some(&Matched::Claimed), None, "confirm_number"),
        (Some(&Matched::Claimed), asks.clone(), "confirm_number"),
        (Some(&Matched::Claimed), free.clone(), "token"),
        (None, None, "no_token"),
        (None, asks, "approval"),
        (None, free, "token"),
    ] {
        let case = format!("{matched:?} {token:?}");
        let verdict = decide(&Situation {
            matched: matched.cloned(),
            token,
            ..situation(&evidence)
        });
        assert_eq!(reason(&verdict), want, "{case}");
    }
}

#[test]
fn no_matcher_displaces_a_live_host_or_opens_a_closed_door() {
    let evidence = machine("a");
    for matched in [
        Matched::Announced { id: "P".to_owned() },
        Matched::ClaimedWithoutNumber,
        Matched::Claimed,
        Matched::Named,
    ] {
        for (uuid, want) in [("a", "rekey"), ("b", "id_conflict")] {
            let mut live = rival();
            live.settled = true;
            live.evidence.uuid = uuid.to_owned();
            let verdict = decide(&Situation {
                rival: Some(live),
                matched: Some(matched.clone()),
                ..situation(&evidence)
            });
            assert_eq!(reason(&verdict), want, "{matched:?}");
        }
        for state in ["revoked", "retired", "rejected"] {
            let known = Known::Key {
                uid: "u".to_owned(),
                state: state.to_owned(),
                reason: String::new(),
            };
            let verdict = decide(&Situation {
                known,
                matched: Some(matched.clone()),
                ..situation(&evidence)
            });
            assert!(
                matches!(verdict, Verdict::Rejected { .. }),
                "{state} {matched:?}"
            );
        }
    }
}

#[test]
fn a_key_that_is_known_keeps_its_state() {
    let evidence = machine("a");
    for (state, why, want) in [
        ("accepted", "", "already"),
        ("pending", "", "token"),
        ("quarantined", "", "quarantined"),
        ("revoked", "", "revoked"),
        ("retired", "", "retired"),
        ("rejected", "", "denied"),
        ("rejected", "expired", "expired"),
    ] {
        let known = Known::Key {
            uid: "u".to_owned(),
            state: state.to_owned(),
            reason: why.to_owned(),
        };
        let verdict = decide(&Situation {
            known,
            ..situation(&evidence)
        });
        assert_eq!(reason(&verdict), want, "{state} {why}");
    }
    let verdict = decide(&Situation {
        known: Known::Replaced,
        ..situation(&evidence)
    });
    assert_eq!(reason(&verdict), "replaced");
}

#[test]
fn a_blocked_host_uses_no_token() {
    let evidence = machine("a");
    let finding = Finding {
        name: "memory.size".to_owned(),
        measured: "4 GB".to_owned(),
        required: "8 GB".to_owned(),
        severity: Severity::Block,
        advice: "add memory".to_owned(),
    };
    let findings = [finding];
    let verdict = decide(&Situation {
        findings: &findings,
        ..situation(&evidence)
    });
    assert_eq!(reason(&verdict), "blocked");
}

#[test]
fn a_ram_key_is_replaced_only_when_every_condition_holds() {
    let evidence = machine("a");
    let with = |rival: Rival| Situation {
        rival: Some(rival),
        ..situation(&evidence)
    };
    assert_eq!(
        decide(&with(rival())),
        Verdict::Replace {
            uid: "u1".to_owned()
        }
    );

    let other = |change: fn(&mut Rival)| {
        let mut rival = rival();
        change(&mut rival);
        rival
    };
    for (case, rival, want) in [
        ("settled", other(|r| r.settled = true), "rekey"),
        (
            "other token",
            other(|r| r.token_id = Some("X".to_owned())),
            "rekey",
        ),
        ("no token", other(|r| r.token_id = None), "rekey"),
        (
            "other machine",
            other(|r| r.evidence.uuid = "b".to_owned()),
            "id_conflict",
        ),
        (
            "same boot",
            other(|r| r.replaced_in_this_boot = true),
            "rekey",
        ),
        (
            "heard",
            other(|r| r.silent = Duration::from_secs(599)),
            "replacement_wait",
        ),
    ] {
        assert_eq!(reason(&decide(&with(rival))), want, "{case}");
    }
    let no_token = Situation {
        token: None,
        ..with(rival())
    };
    assert_eq!(reason(&decide(&no_token)), "rekey");
    let revoked = Proven {
        revoked: true,
        ..token("T")
    };
    let revoked = Situation {
        token: Some(revoked),
        ..with(rival())
    };
    assert_eq!(reason(&decide(&revoked)), "rekey");
}

#[test]
fn evidence_matches_by_what_both_name() {
    let empty = Evidence::default();
    assert!(!same_machine(&empty, &empty));
    assert!(same_machine(&machine("A"), &machine("a")));
    assert!(!same_machine(&machine("a"), &machine("b")));
    let moved = Evidence {
        macs: vec!["52:54:00:00:00:02".to_owned()],
        ..machine("a")
    };
    assert!(!same_machine(&machine("a"), &moved));
    let mut with_loopback = machine("a");
    with_loopback.macs.push("00:00:00:00:00:00".to_owned());
    assert!(same_machine(&with_loopback, &machine("a")));
}
