//! Tests of the judge of health.

use super::*;

pub(super) const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn gate() -> Gate {
    Gate::new(&Health {
        deadline: 100,
        soak: 20,
        checks: Vec::new(),
    })
}

pub(super) fn healthy() -> Observation {
    Observation {
        systemd: SystemState::Reached,
        kubernetes: Some(Kubernetes {
            api: true,
            node: true,
            reason: String::new(),
        }),
        ..Observation::default()
    }
}

pub(super) fn node_down() -> Observation {
    Observation {
        kubernetes: Some(Kubernetes {
            api: true,
            node: false,
            reason: "cni plugin not initialized".into(),
        }),
        ..healthy()
    }
}

#[test]
fn good_needs_the_whole_soak_without_a_break() {
    let mut gate = gate();
    assert_eq!(
        gate.observe(secs(10), &healthy()),
        Verdict::Soaking { left: secs(20) }
    );
    assert_eq!(
        gate.observe(secs(25), &healthy()),
        Verdict::Soaking { left: secs(5) }
    );
    assert!(matches!(
        gate.observe(secs(26), &node_down()),
        Verdict::Waiting { .. }
    ));
    assert_eq!(
        gate.observe(secs(30), &healthy()),
        Verdict::Soaking { left: secs(20) }
    );
    assert_eq!(gate.observe(secs(50), &healthy()), Verdict::Good);
}

#[test]
fn each_thing_that_is_missing_is_named() {
    let cases: [(Observation, &str); 5] = [
        (
            Observation {
                systemd: SystemState::Starting,
                ..healthy()
            },
            "still starting",
        ),
        (
            Observation {
                systemd: SystemState::parse("maintenance\n"),
                ..healthy()
            },
            "the state `maintenance`",
        ),
        (
            Observation {
                failed_units: vec!["sshd.service".into()],
                ..healthy()
            },
            "sshd.service failed",
        ),
        (node_down(), "node is not ready: cni plugin not initialized"),
        (
            Observation {
                failed_checks: vec!["GET x: 503".into()],
                ..healthy()
            },
            "GET x: 503",
        ),
    ];
    for (seen, want) in cases {
        let Verdict::Waiting { missing, .. } = gate().observe(secs(1), &seen) else {
            panic!("{want}: not waiting");
        };
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains(want), "{missing:?}");
    }
}

#[test]
fn the_deadline_counts_from_the_start_of_the_machine() {
    let mut gate = gate();
    assert!(matches!(
        gate.observe(secs(99), &node_down()),
        Verdict::Waiting { .. }
    ));
    let Verdict::Failed { causes } = gate.observe(secs(100), &node_down()) else {
        panic!("not failed");
    };
    assert!(causes[0].contains("node is not ready"));
}

#[test]
fn a_slow_line_is_no_failure_but_a_dead_one_is() {
    let mut gate = gate();
    let mut seen = Observation {
        pulling: true,
        ..node_down()
    };
    for n in 1..100 {
        seen.received += MOVING * 10;
        assert!(
            matches!(gate.observe(secs(n * 10), &seen), Verdict::Waiting { .. }),
            "{n}"
        );
    }
    let failed =
        (100..112).any(|n| matches!(gate.observe(secs(n * 10), &seen), Verdict::Failed { .. }));
    assert!(failed, "no byte moved any more");
}

#[test]
fn bytes_that_are_no_pull_do_not_stop_the_clock() {
    let mut gate = gate();
    let mut seen = node_down();
    seen.received = 1 << 30;
    gate.observe(secs(50), &seen);
    seen.received = 1 << 40;
    assert!(matches!(
        gate.observe(secs(100), &seen),
        Verdict::Failed { .. }
    ));
}

#[test]
fn only_units_that_the_host_needs_count() {
    let list = r#"[{"unit":"k3s.service","load":"loaded"},{"unit":"motd.service"}]"#;
    assert_eq!(critical_failures(list).unwrap(), ["k3s.service"]);
    assert!(critical_failures("[]").unwrap().is_empty());
    assert!(critical_failures("UNIT LOAD").is_err());
}

#[test]
fn received_bytes_are_those_of_real_links() {
    let text =
        "Inter-|   Receive\n face |bytes packets\n    lo: 999 1 0\n  eth0: 100 2 0\n  eth1:7 1\n";
    assert_eq!(received(text), 107);
    assert_eq!(received("junk"), 0);
}

#[test]
fn without_kubernetes_only_the_system_counts() {
    let seen = Observation {
        kubernetes: None,
        ..healthy()
    };
    assert!(matches!(
        gate().observe(secs(1), &seen),
        Verdict::Soaking { .. }
    ));
    assert_eq!(SystemState::parse("degraded\n"), SystemState::Reached);
}
