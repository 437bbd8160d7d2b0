//! In which project a host lands, and moving it into another one.

use burin_api::message::{EnrollAnswer, Phase};
use burin_api::token::Token;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::host::{Host, reason};
use crate::support::projects::{Two, key, machine, publish_behind};
use crate::support::{Site, database};

async fn project_of(site: &Site, host: &Host) -> String {
    let seen = site.get(&format!("/api/v1/hosts/{}", host.host_id)).await;
    seen["project"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_host_lands_where_somebody_called_it() {
    let two = Two::start().await;
    let site = &two.site;
    let technician = key(site, "technician", "a").await;
    let claim = async |body: Value| {
        let path = "/api/v1/claims";
        site.ask_as(&technician, Method::POST, path, Some(body))
            .await
    };
    // By its token.
    let token = site.token(json!({ "project": "a" })).await;
    let host = machine(site, "L1").await;
    host.join(site, &token).await;
    assert_eq!(project_of(site, &host).await, "a");
    // By an announcement of its key.
    let host = machine(site, "L2").await;
    let asked = json!({ "value": host.host_id, "key": host.label(), "project": "a" });
    site.post("/api/v1/preauths", asked).await;
    assert_eq!(reason(host.enroll(site, None).await), "accepted");
    assert_eq!(project_of(site, &host).await, "a");
    // By a claim, with the number; nobody called it before.
    let host = machine(site, "L3").await;
    let number = host.shows(site).await.number;
    assert_eq!(project_of(site, &host).await, "default");
    let begun = claim(json!({ "link": host.link(site) })).await;
    assert_eq!(begun.0, 200, "{begun:?}");
    host.shows(site).await;
    assert_eq!(project_of(site, &host).await, "a");
    let path = format!("/api/v1/claims/{}/number", host.label());
    let body = Some(json!({ "number": number }));
    let done = site.ask_as(&technician, Method::POST, &path, body).await;
    assert_eq!(
        (done.0, &done.1["state"]),
        (200, &json!("accepted")),
        "{done:?}"
    );
    assert_eq!(project_of(site, &host).await, "a");
    // By an approval, which needs a role on both sides.
    let host = machine(site, "L4").await;
    host.shows(site).await;
    let path = format!("/api/v1/hosts/{}/approve", host.host_id);
    let body = json!({ "key": host.label(), "project": "a" });
    let operator = key(site, "operator", "a").await;
    let theirs = site
        .ask_as(&operator, Method::POST, &path, Some(body.clone()))
        .await;
    assert_eq!(theirs.0, 404, "it waits in `default`: {theirs:?}");
    site.post(&path, body).await;
    assert_eq!(project_of(site, &host).await, "a");
}

#[tokio::test]
async fn a_claim_takes_no_host_that_was_called_elsewhere() {
    let two = Two::start().await;
    let site = &two.site;
    let technician = key(site, "technician", "a").await;
    // Claimed before it called, then it brings a token of the other project.
    let host = machine(site, "E1").await;
    let body = Some(json!({ "link": host.link(site) }));
    let begun = site
        .ask_as(&technician, Method::POST, "/api/v1/claims", body)
        .await;
    assert_eq!(
        (begun.0, &begun.1["state"]),
        (200, &json!("waiting")),
        "{begun:?}"
    );
    let asked = json!({ "project": "canary-b", "requires_approval": true });
    let token = site.token(asked).await;
    let answer = host.enroll(site, Some(&token)).await.unwrap();
    let EnrollAnswer::Pending {
        reason,
        match_number,
        ..
    } = answer
    else {
        panic!("{answer:?}");
    };
    assert_eq!(reason, "approval");
    assert_eq!(project_of(site, &host).await, "canary-b");
    let path = format!("/api/v1/claims/{}", host.label());
    let (_, seen) = site.ask_as(&technician, Method::GET, &path, None).await;
    assert_eq!(
        (&seen["state"], &seen["serial"]),
        (&json!("rejected"), &json!("")),
        "{seen}"
    );
    let body = Some(json!({ "number": match_number }));
    let number = format!("{path}/number");
    let told = site.ask_as(&technician, Method::POST, &number, body).await;
    assert_eq!(told.0, 404, "{told:?}");
    // Nor does an approval take it there.
    let path = format!("/api/v1/hosts/{}/approve", host.host_id);
    let body = json!({ "key": host.label(), "project": "a" });
    let (status, problem) = site.ask(Method::POST, &path, Some(body)).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(project_of(site, &host).await, "canary-b");
}

/// A host of the project `a` with a profile and a session, its uid, and the token that let it in.
async fn living() -> (Site, Host, String, Token) {
    let site = Site::with(|args| args.interval = Some(1)).await;
    for name in ["a", "canary-b"] {
        site.post("/api/v1/projects", json!({ "name": name })).await;
    }
    publish_behind(&site).await;
    let token = site
        .token(json!({ "project": "a", "profile": "edge-a" }))
        .await;
    let mut host = machine(&site, "M1").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    (site, host, uid, token)
}

#[tokio::test]
async fn a_host_is_moved_by_operators_of_both_projects_with_a_profile_of_the_new_one() {
    let (site, host, uid, _) = living().await;
    let path = format!("/api/v1/hosts/{uid}/move");
    let to = |profile: &str| Some(json!({ "project": "canary-b", "profile": profile }));
    for role in ["viewer", "operator"] {
        let one = key(&site, role, "a").await;
        let answer = site.ask_as(&one, Method::POST, &path, to("edge-b")).await;
        let want = if role == "viewer" { 403 } else { 404 };
        assert_eq!(answer.0, want, "{role}: {answer:?}");
    }
    for (body, want, said) in [
        (json!({}), 422, "where to"),
        (json!({ "project": "a" }), 409, "already"),
        (json!({ "project": "nowhere" }), 404, "nowhere"),
        (
            json!({ "project": "canary-b" }),
            409,
            "shall be edge-a@1.0.0",
        ),
        (
            json!({ "project": "canary-b", "profile": "edge-a" }),
            409,
            "of the project `a`",
        ),
        (
            json!({ "project": "canary-b", "profile": "edge-z" }),
            404,
            "never published",
        ),
    ] {
        let (status, problem) = site.ask(Method::POST, &path, Some(body.clone())).await;
        assert_eq!(status, want, "{body}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{problem}"
        );
        assert_eq!(project_of(&site, &host).await, "a");
    }
}

#[tokio::test]
async fn a_moved_host_goes_on_and_its_old_token_means_nothing_to_it() {
    let (site, mut host, uid, token) = living().await;
    let path = format!("/api/v1/hosts/{uid}/move");
    let to = |profile: &str| Some(json!({ "project": "canary-b", "profile": profile }));
    assert_eq!(site.ask(Method::POST, &path, to("edge-b")).await.0, 204);
    let seen = site.get(&format!("/api/v1/hosts/{uid}")).await;
    assert_eq!(
        (&seen["project"], &seen["assignment"]["profile"]),
        (&json!("canary-b"), &json!("edge-b"))
    );
    // It goes on in its session, and hears what it shall be now.
    let body = host.sync_body(Phase::Running);
    let answer = host.sync(&site, &body).await.unwrap();
    assert_eq!(answer.desired.unwrap().assignment, 2);
    // The token of its old project brings no other key in, as one would have before.
    let again = machine(&site, "M1").await;
    assert_eq!(reason(again.enroll(&site, Some(&token)).await), "rekey");
    let lines = site.get("/api/v1/audit").await;
    let moved = lines["items"].as_array().unwrap().iter();
    let moved: Vec<&Value> = moved.filter(|line| line["action"] == "host.move").collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0]["object"], format!("{uid} a canary-b"));
    // A profile of another project is not for it.
    let path = format!("/api/v1/hosts/{uid}/assignment");
    let body = Some(json!({ "profile": "edge-a" }));
    assert_eq!(site.ask(Method::POST, &path, body).await.0, 409);
}

#[tokio::test]
async fn five_hundred_wait_in_one_project_and_cost_the_others_nothing() {
    let two = Two::start().await;
    let site = &two.site;
    database::execute(
        site.folder.path(),
        "WITH RECURSIVE junk (number) AS \
         (SELECT 1 UNION ALL SELECT number + 1 FROM junk WHERE number < 500) \
         INSERT INTO host (uid, host_id, host_id_source, state, reason, token_id, evidence, \
         findings, labels, arch, created_at, enrolled_at, accepted_at, settled, address, project) \
         SELECT 'j' || CAST(number AS TEXT), 'J' || CAST(number AS TEXT), 'random', 'pending', \
         'approval', NULL, host.evidence, '[]', '{}', 'amd64', host.created_at, host.enrolled_at, \
         NULL, 0, '192.0.2.1', 'a' FROM junk, host WHERE host.state = 'accepted'",
    )
    .await;
    let asks = |project: &str| json!({ "project": project, "requires_approval": true });
    let waits = async |serial: &str, request: Value| {
        let token = site.token(request).await;
        machine(site, serial).await.enroll(site, Some(&token)).await
    };
    let full = waits("W1", asks("a")).await.unwrap_err();
    assert_eq!(full.code, "limited");
    assert!(
        full.message.contains("500 hosts wait in the project a"),
        "{full:?}"
    );
    assert_eq!(reason(waits("W2", asks("canary-b")).await), "approval");
    assert_eq!(reason(waits("W3", asks("default")).await), "approval");
    // Who is let in at once waits for nobody; who was called by nobody waits elsewhere.
    assert_eq!(
        reason(waits("W4", json!({ "project": "a" })).await),
        "accepted"
    );
    assert_eq!(
        reason(machine(site, "W5").await.enroll(site, None).await),
        "no_token"
    );
}
