//! Projects: what somebody of one project finds of another one, which is nothing.

use burin_hub::routes::{Access, Route};
use burin_hub::serve::route_list;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::host::Host;
use crate::support::projects::{CANARIES, Two, key};

/// A body with which the route would do something.
fn body(path: &str) -> Value {
    match path.rsplit('/').next().unwrap_or_default() {
        "assignment" => json!({ "profile": "edge-a" }),
        "number" => json!({ "number": 42 }),
        "labels" => json!({ "mine": "now" }),
        "move" => json!({ "project": "a", "profile": "edge-a" }),
        "approve" => json!({ "key": "3BGTS77Z", "project": "a" }),
        "release" => json!({ "machine": "12345678" }),
        _ => json!({}),
    }
}

const FORM: &str = "labels=mine%3Dnow&profile=edge-a&number=42&key=3BGTS77Z&project=a&address=";

/// Status and body.
async fn ask(site: &Site, key: &str, route: &Route, path: &str) -> (u16, String) {
    let method: Method = route.method.parse().unwrap();
    let url = format!("{}{path}", site.url);
    let request = site.http.request(method, url).bearer_auth(key);
    let request = match route.access {
        Access::Api(_) if route.method == "GET" => request,
        Access::Api(_) => request.json(&body(path)),
        _ => request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(FORM),
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

#[tokio::test]
async fn no_route_tells_or_changes_anything_of_another_project() {
    let two = Two::start().await;
    let site = &two.site;
    let all = site.get(&format!("/api/v1/hosts/{}", two.uid)).await;
    let (mut named, mut lists) = (0, 0);
    for role in ["operator", "technician", "viewer"] {
        let key = key(site, role, "a").await;
        for route in route_list() {
            // The account of the caller, and what everybody may ask.
            if route.access == Access::Open || route.path.contains("account") {
                continue;
            }
            for path in two.addresses(&route) {
                let (status, text) = ask(site, &key, &route, &path).await;
                let said = format!("{role}: {} {path}: {status} {text}", route.method);
                assert!(!path.contains('{'), "{said}");
                for canary in CANARIES {
                    assert!(!text.contains(canary), "{canary}: {said}");
                }
                if route.path.contains('{') {
                    assert!([403, 404].contains(&status), "{said}");
                    named += 1;
                    continue;
                }
                assert!(status < 500, "{said}");
                for canary in [
                    &two.uid,
                    &two.host_id,
                    two.token.id(),
                    &two.preauth,
                    "canary-b",
                    "edge-b",
                ] {
                    assert!(!text.contains(canary), "{canary}: {said}");
                }
                lists += u32::from(route.method == "GET" && status == 200);
            }
        }
    }
    assert!(named > 150 && lists > 30, "{named} {lists}");
    // The walk would have found them: the admin does, and nothing was changed.
    assert_eq!(
        site.get(&format!("/api/v1/hosts/{}", two.uid)).await["labels"],
        all["labels"]
    );
    let mut seen = String::new();
    for path in [
        "hosts", "tokens", "preauths", "profiles", "events", "projects",
    ] {
        seen += &site.get(&format!("/api/v1/{path}")).await.to_string();
    }
    for canary in [
        &two.uid,
        two.token.id(),
        &two.preauth,
        "canary-b",
        "canary-event",
    ] {
        assert!(seen.contains(canary), "{canary}");
    }
}

#[tokio::test]
async fn nothing_is_made_in_another_project_or_of_what_is_there() {
    let two = Two::start().await;
    let site = &two.site;
    let link = two.waiting.link(site);
    let operator = key(site, "operator", "a").await;
    let technician = key(site, "technician", "a").await;
    let post = async |key: &str, path: &str, body: Value| {
        let path = format!("/api/v1/{path}");
        site.ask_as(key, Method::POST, &path, Some(body)).await
    };
    for (path, body, want) in [
        ("tokens", json!({ "project": "canary-b" }), 404),
        ("tokens", json!({ "project": "nowhere" }), 404),
        ("tokens", json!({ "profile": "edge-b" }), 422),
        (
            "preauths",
            json!({ "value": "S4EVNX77", "project": "canary-b" }),
            404,
        ),
        (
            "preauths",
            json!({ "value": "S4EVNX77", "profile": "edge-b" }),
            422,
        ),
        // It names the same machine, and does not say who announced it.
        ("preauths", json!({ "value": "CANARYSERIAL" }), 409),
        ("claims", json!({ "link": link }), 404),
        (
            "claims",
            json!({ "link": link, "project": "canary-b" }),
            404,
        ),
        ("claims", json!({ "link": link, "project": "a" }), 404),
        ("claims", json!({ "code": two.code }), 404),
    ] {
        let (status, problem) = post(&operator, path, body.clone()).await;
        assert_eq!(status, want, "{path} {body}: {problem}");
        let said = problem["detail"].as_str().unwrap();
        assert!(
            !said.contains("canary-label") && !said.contains("admin.json"),
            "{said}"
        );
    }
    let (status, problem) = post(&technician, "claims", json!({ "link": link })).await;
    assert_eq!(status, 404, "{problem}");
    // A code of another project is as unknown as one that nobody shows, and counts like one.
    for code in [&two.code, "BBBBBBBB", &two.code, "CCCCCCCC"] {
        let (status, problem) = post(&technician, "claims", json!({ "code": code })).await;
        assert_eq!(
            (status, &problem["type"]),
            (404, &json!("unknown_code")),
            "{problem}"
        );
    }
    post(&technician, "claims", json!({ "code": "BBBBBBBB" })).await;
    let (status, _) = post(&technician, "claims", json!({ "code": two.code })).await;
    assert_eq!(status, 429);
    // Who sees a project and may not do this there is told so.
    let viewer = key(site, "viewer", "canary-b").await;
    let path = format!("hosts/{}/revoke", two.uid);
    assert_eq!(post(&viewer, &path, json!({})).await.0, 403);
}

#[tokio::test]
async fn figures_are_of_the_projects_that_their_reader_sees() {
    let two = Two::start().await;
    let site = &two.site;
    let viewer = key(site, "viewer", "canary-b").await;
    let operator = key(site, "operator", "a").await;
    let metrics = |key: &str| {
        site.http
            .get(format!("{}/metrics", site.url))
            .bearer_auth(key)
    };
    let text = async |key: &str| metrics(key).send().await.unwrap().text().await.unwrap();
    assert!(
        text(&viewer)
            .await
            .contains("burin_hosts{state=\"accepted\",phase=\"running\"} 1")
    );
    let nothing = text(&operator).await;
    assert!(!nothing.contains("burin_hosts{"), "{nothing}");
    assert!(nothing.contains("burin_tokens_active 0"), "{nothing}");
}

#[tokio::test]
async fn a_role_in_two_projects_is_held_to_what_it_is_in_each() {
    let two = Two::start().await;
    let site = &two.site;
    let asked = json!({ "name": "anna", "role": "operator", "project": "a" });
    let made = site.post("/api/v1/people", asked).await;
    let path = "/api/v1/people/anna/projects/canary-b";
    let give = async |role: &str| {
        let body = Some(json!({ "role": role }));
        site.ask(Method::PUT, path, body).await.0
    };
    assert_eq!(give("viewer").await, 204);
    let mut anna = Browser::new(site);
    anna.enter("anna", made["password"].as_str().unwrap()).await;
    assert_eq!(anna.get("/").await.location, "/hosts");
    let host = format!("/hosts/{}", two.uid);
    let page = anna.get(&host).await;
    assert!(page.text.contains("canary-label"), "{}", page.text);
    assert!(!page.text.contains("/revoke"), "a viewer gets no buttons");
    assert_eq!(anna.post(&format!("{host}/revoke"), &[]).await.status, 403);
    assert_eq!(anna.get("/people").await.status, 403);
    // With the role the login ends.
    assert_eq!(give("operator").await, 204);
    assert_eq!(anna.get("/hosts").await.status, 303);
    anna.log_in("anna", Browser::PASSWORD).await;
    assert!(anna.get(&host).await.text.contains("/revoke"));
    for (role, want) in [("admin", 422), ("none", 204), ("none", 404), ("king", 422)] {
        assert_eq!(give(role).await, want, "{role}");
    }
    anna.log_in("anna", Browser::PASSWORD).await;
    assert_eq!(anna.get(&host).await.status, 404);
    let people = site.get("/api/v1/people").await;
    let anna = people
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "anna");
    assert_eq!(anna.unwrap()["projects"], json!({ "a": "operator" }));
    assert_eq!(anna.unwrap()["role"], "none");
}

#[tokio::test]
async fn a_project_is_removed_when_nothing_is_in_it() {
    let two = Two::start().await;
    let site = &two.site;
    for (name, want) in [
        ("a", 409),
        ("A b", 422),
        ("-x", 422),
        ("", 422),
        ("a%", 422),
    ] {
        let made = json!({ "name": name });
        let answer = site.ask(Method::POST, "/api/v1/projects", Some(made)).await;
        assert_eq!(answer.0, want, "{name}: {}", answer.1);
    }
    let remove = async |name: &str| {
        let path = format!("/api/v1/projects/{name}");
        site.ask(Method::DELETE, &path, None).await
    };
    let (status, problem) = remove("canary-b").await;
    assert_eq!(status, 409);
    for part in [
        "2 hosts,",
        "1 profile,",
        "1 token that lets",
        "1 announced host,",
    ] {
        assert!(
            problem["detail"].as_str().unwrap().contains(part),
            "{problem}"
        );
    }
    assert_eq!(remove("default").await.0, 409);
    assert_eq!(remove("nowhere").await.0, 404);
    site.post("/api/v1/projects", json!({ "name": "c" })).await;
    let key = key(site, "operator", "c").await;
    let token = site.token(json!({ "project": "c" })).await;
    assert_eq!(remove("c").await.0, 409);
    site.post(&format!("/api/v1/tokens/{}/revoke", token.id()), json!({}))
        .await;
    assert_eq!(remove("c").await.0, 204);
    // Another one of the same name begins with nobody in it.
    site.post("/api/v1/projects", json!({ "name": "c" })).await;
    let (status, _) = site.ask_as(&key, Method::GET, "/api/v1/hosts", None).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn who_has_only_default_sees_nothing_of_projects() {
    let site = Site::start().await;
    let token = site.token(json!({})).await;
    let host = Host::boot(&site, "S1", "b").await;
    let uid = host.join(&site, &token).await;
    let mut admin = Browser::admin(&site).await;
    let host = format!("/hosts/{uid}");
    let token = format!("/tokens/{}", token.id());
    for path in [
        "/hosts",
        &host,
        "/tokens",
        &token,
        "/c",
        "/install",
        "/profiles",
        "/people",
    ] {
        let page = admin.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        for word in ["name=\"project\"", "Project", "value=\"none\""] {
            assert!(
                !page.text.contains(word),
                "{path} says {word}: {}",
                page.text
            );
        }
    }
    assert_eq!(
        site.get("/api/v1/hosts").await["items"][0]["project"],
        "default"
    );
}

#[tokio::test]
async fn an_admin_divides_the_hub_by_hand() {
    let site = Site::start().await;
    let mut admin = Browser::admin(&site).await;
    assert!(admin.get("/people").await.text.contains("/projects"));
    let made = admin.post("/projects", &[("name", " oslo ")]).await;
    assert_eq!(made.location, "/projects?done=made", "{}", made.text);
    let again = admin.post("/projects", &[("name", "oslo")]).await;
    assert_eq!(again.status, 409);
    assert!(
        again.text.contains("The name oslo is taken."),
        "{}",
        again.text
    );
    let token = site.token(json!({ "project": "oslo" })).await;
    let page = admin.get("/projects").await.text;
    assert!(page.contains("data-label=\"Good tokens\">1<"), "{page}");
    assert!(!page.contains("Remove oslo"), "{page}");
    let oslo = [("name", "oslo")];
    let kept = admin.post("/projects/remove", &oslo).await;
    assert_eq!(kept.status, 409);
    assert!(kept.text.contains("is not empty"), "{}", kept.text);
    let kept = admin.post("/projects/remove", &[("name", "default")]).await;
    assert!(kept.text.contains("stays"), "{}", kept.text);
    admin
        .post(&format!("/tokens/{}/revoke", token.id()), &[])
        .await;
    assert!(admin.get("/projects").await.text.contains("Remove oslo"));
    let gone = admin.post("/projects/remove", &oslo).await;
    assert_eq!(gone.location, "/projects?done=removed");
    assert_eq!(
        site.get("/api/v1/projects").await.as_array().unwrap().len(),
        1
    );
}
