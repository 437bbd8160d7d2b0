use super::*;
use burin_api::message::Phase;

#[test]
fn events_are_numbered_and_read_at_each_readers_pace() {
    let events = Events::since(7, "boot");
    events.started("pull");
    events.failed("pull", &anyhow::anyhow!("reset").context("reading"));
    events.done("pull");
    let first = events.after(0, 2);
    assert_eq!(
        first.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(),
        ["boot:7:1", "boot:7:2"]
    );
    assert_eq!(first[1].causes, ["reset"]);
    assert_eq!(events.after(2, 10).len(), 1);
    assert_eq!(events.after(3, 10), []);
}

#[test]
fn an_agent_that_is_started_again_repeats_no_id() {
    let ids = [7, 9001].map(|began| {
        let events = Events::since(began, "boot");
        events.note("starting");
        events.after(0, 1)[0].id.clone()
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn retries_never_push_out_starts_and_failures() {
    let events = Events::new("boot");
    events.started("hub");
    for _ in 0..2 * KEPT {
        events.retrying("hub", &anyhow::anyhow!("no route"), Duration::from_secs(5));
    }
    let kept = events.after(0, usize::MAX);
    assert_eq!(kept[0].kind, EventKind::Started);
    assert_eq!(kept.len(), RETRIES + 1);
}

#[test]
fn the_log_begins_with_what_happened_before_there_was_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let events = Events::new("boot");
    events.note("before");
    events.log_to(folder.path()).unwrap();
    events.note("after");
    let text = std::fs::read_to_string(folder.path().join("boot.jsonl")).unwrap();
    let messages: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Event>(line).unwrap().message)
        .collect();
    assert_eq!(messages, ["before", "after"]);
}

#[test]
fn a_repeated_state_makes_one_line() {
    let events = Events::new("boot");
    events.tell(&Fact::Phase(Phase::Waiting));
    events.tell(&Fact::Phase(Phase::Waiting));
    events.tell(&Fact::Phase(Phase::Installing));
    let (newest, lines) = events.lines(0);
    assert_eq!(lines, ["burin: state=waiting", "burin: state=installing"]);
    assert_eq!(events.lines(newest).1, Vec::<String>::new());
}

#[test]
fn progress_is_thinned_but_its_end_is_always_shown() {
    let events = Events::new("boot");
    for done in 0..=1000 {
        events.progress(Progress {
            step: "pull".to_owned(),
            position: 1,
            steps: 1,
            done,
            total: 1000,
            left: None,
        });
    }
    let (_, lines) = events.lines(0);
    assert!(lines.len() < 100, "{}", lines.len());
    assert!(lines.last().unwrap().contains("done=1000"), "{lines:?}");
    assert_eq!(events.view().progress.unwrap().done, 1000);
}
