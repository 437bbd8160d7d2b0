//! Every route without a login, the login itself, forms.

use crate::support::Site;
use burin_hub::people::Permission::{
    self, Administer, Claim, Enter, Operate, Own, Renew, Secure, See,
};
use burin_hub::routes::{Access, Route};
use burin_hub::serve::route_list;
use reqwest::Method;
use serde_json::json;

/// Open to everybody, and why.
const OPEN: [(&str, &str); 14] = [
    ("GET", "/health"),
    ("POST", "/h/1/hello"),
    ("POST", "/h/1/enroll"),
    ("POST", "/h/1/rekey"),
    ("POST", "/h/1/session"),
    ("POST", "/h/1/sync"),
    // The login itself and what its page needs.
    ("POST", "/api/v1/login"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/login/oidc"),
    ("GET", "/login/oidc/done"),
    ("GET", "/style.css"),
    ("GET", "/page.js"),
    ("GET", "/icon.svg"),
];

/// What each role may ask for, written down apart from the hub's own rule.
const ROLES: [(&str, &[Permission]); 4] = [
    ("admin", &[See, Claim, Operate, Administer]),
    ("operator", &[See, Claim, Operate]),
    ("technician", &[Claim]),
    ("viewer", &[See]),
];

async fn ask(site: &Site, route: &Route, key: Option<&str>) -> reqwest::Response {
    let path = route.path.replace(['{', '}'], "");
    let method: Method = route.method.parse().unwrap();
    let mut request = site.http.request(method, format!("{}{path}", site.url));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    request.body("{}").send().await.unwrap()
}

#[tokio::test]
async fn every_route_but_the_named_ones_needs_a_login() {
    let site = Site::start().await;
    let routes = route_list();
    assert!(routes.len() > 55, "{}", routes.len());
    let mut open = Vec::new();
    for route in &routes {
        let name = format!("{} {}", route.method, route.path);
        if route.access == Access::Open {
            open.push((route.method, route.path));
            continue;
        }
        for key in [None, Some("brk_wrong"), Some("")] {
            let answer = ask(&site, route, key).await;
            let status = answer.status().as_u16();
            if let Access::Api(_) = route.access {
                assert_eq!(status, 401, "{name}");
                continue;
            }
            assert_eq!(status, 303, "{name}");
            let to = answer.headers()["location"].to_str().unwrap();
            assert!(to.starts_with("/login"), "{name}: {to}");
        }
    }
    open.sort_unstable();
    let mut want = OPEN.to_vec();
    want.sort_unstable();
    assert_eq!(open, want);
}

#[tokio::test]
async fn every_role_reaches_what_it_may_and_nothing_else() {
    let site = Site::start().await;
    for (role, permissions) in ROLES {
        let made = json!({ "name": role, "role": role });
        let made = site.post("/api/v1/api-keys", made).await;
        let key = made["key"].as_str().unwrap();
        for route in route_list() {
            let (Access::Api(asks) | Access::Page(asks)) = route.access else {
                continue;
            };
            let may = matches!(asks, Enter | Renew | Secure | Own) || permissions.contains(&asks);
            let answer = ask(&site, &route, Some(key)).await;
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            let name = format!("{role}: {} {}: {status} {body}", route.method, route.path);
            assert_eq!(!body.contains("\"forbidden\""), may, "{name}");
            assert!(status != 401 && status != 500, "{name}");
        }
    }
}

#[tokio::test]
async fn roles_are_held_to_what_they_are_for() {
    let allowed = |method: &str, path: &str| {
        let routes = route_list();
        let found = routes
            .into_iter()
            .find(|r| (r.method, r.path) == (method, path));
        match found.unwrap().access {
            Access::Open => panic!("{path} is open"),
            Access::Api(asks) | Access::Page(asks) => asks,
        }
    };
    for (method, path, want) in [
        ("GET", "/hosts", See),
        ("GET", "/api/v1/hosts", See),
        ("POST", "/api/v1/tokens", Operate),
        ("POST", "/hosts/{uid}/{action}", Operate),
        ("POST", "/api/v1/hosts/{host}/{action}", Operate),
        ("POST", "/api/v1/registries", Administer),
        ("GET", "/api/v1/audit", Administer),
        ("POST", "/people", Administer),
        ("POST", "/api/v1/people/{name}/{change}", Administer),
        ("POST", "/password", Renew),
        ("GET", "/R/{link}", Claim),
        ("POST", "/c/{key}", Claim),
        ("POST", "/announce", Operate),
        ("GET", "/metrics", See),
        ("GET", "/api/v1/projects", See),
        ("POST", "/api/v1/projects", Administer),
        ("GET", "/projects", Administer),
        ("POST", "/projects/remove", Administer),
        ("DELETE", "/api/v1/projects/{project}", Administer),
        (
            "PUT",
            "/api/v1/people/{name}/projects/{project}",
            Administer,
        ),
        ("POST", "/account/code/off", Own),
        ("POST", "/account/recovery", Own),
        ("POST", "/account/code/on", Secure),
    ] {
        assert_eq!(allowed(method, path), want, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_a_route_is_not_there() {
    let site = Site::start().await;
    for path in [
        "/api/v1/nothing",
        "/h/2/hello",
        "/api",
        "/../hub.db",
        "/admin.json",
    ] {
        let answer = site
            .http
            .get(format!("{}{path}", site.url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
}

#[tokio::test]
async fn wrong_passwords_are_counted_by_address() {
    let site = Site::start().await;
    for (number, want) in [401, 401, 401, 401, 401, 429].into_iter().enumerate() {
        // Of other names each: only the address is the same.
        let body = json!({ "name": format!("name{number}"), "password": "wrong" });
        let (status, problem) = site.ask(Method::POST, "/api/v1/login", Some(body)).await;
        assert_eq!(status, want, "{number}: {problem}");
    }
}

#[tokio::test]
async fn a_login_form_of_another_site_is_refused() {
    let site = Site::start().await;
    let answer = site
        .http
        .post(format!("{}/login", site.url))
        .header("sec-fetch-site", "cross-site")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=admin&password=x")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 403);
}

#[tokio::test]
async fn a_revoked_api_key_opens_nothing() {
    let site = Site::start().await;
    let made = site.post("/api/v1/api-keys", json!({ "name": "ci" })).await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let status = async || {
        let request = site
            .http
            .get(format!("{}/api/v1/hosts", site.url))
            .bearer_auth(key);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 200);
    let path = format!("/api/v1/api-keys/{id}");
    assert_eq!(site.ask(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn the_audit_log_tells_one_key_from_every_other() {
    let site = Site::start().await;
    let make = async |name: &str| {
        let asked = json!({ "name": name, "role": "operator" });
        site.ask(Method::POST, "/api/v1/api-keys", Some(asked))
            .await
    };
    for name in ["admin.json", " Admin.JSON "] {
        let (status, refused) = make(name).await;
        assert_eq!(status, 409, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("own key"));
    }
    let (status, made) = make("ci (0)").await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let (status, refused) = make("ci (0)").await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains(&id));

    let key = made["key"].as_str().unwrap();
    let (path, body) = ("/api/v1/tokens", json!({}));
    let done = site.ask_as(key, Method::POST, path, Some(body)).await;
    assert_eq!(done.0, 201, "{}", done.1);
    let log = site.get("/api/v1/audit").await;
    let lines = |action: &str| -> Vec<(String, String)> {
        let lines = log["items"].as_array().unwrap().iter();
        let lines = lines.filter(|line| line["action"] == action);
        let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap().to_owned();
        lines
            .map(|line| (text(line, "actor"), text(line, "object")))
            .collect()
    };
    let keys = lines("api-key.create");
    assert_eq!(keys.len(), 2, "{keys:?}");
    let (own, role) = keys[0].1.split_once(' ').unwrap();
    assert_eq!((keys[0].0.as_str(), role), ("serve", "admin admin.json"));
    let want = (
        format!("key admin.json ({own})"),
        format!("{id} operator ci (0)"),
    );
    assert_eq!(keys[1], want);
    assert_eq!(lines("token.create")[0].0, format!("key ci (0) ({id})"));

    // A name is free again once its key is over.
    let path = format!("/api/v1/api-keys/{id}");
    assert_eq!(site.ask(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(make("ci (0)").await.0, 201);
}

#[tokio::test]
async fn bad_bodies_are_problems_with_a_sentence() {
    let site = Site::start().await;
    for (path, body) in [
        ("/api/v1/tokens", json!({ "uses": 0 })),
        ("/api/v1/tokens", json!({ "lifetime": 0 })),
        ("/api/v1/tokens", json!({ "networks": ["192.0.2.1/24"] })),
        ("/api/v1/tokens", json!({ "usess": 1 })),
        ("/api/v1/tokens", json!({ "profile": "nowhere" })),
        ("/api/v1/registries", json!({ "host": "a/b" })),
        (
            "/api/v1/registries",
            json!({ "host": "a", "endpoint": "ftp://x" }),
        ),
        (
            "/api/v1/registries",
            json!({ "host": "a", "token_realm": "http://x" }),
        ),
        (
            "/api/v1/registries",
            json!({ "host": "a", "ca": ["nonsense"] }),
        ),
        ("/api/v1/profiles", json!({ "document": "layers: [" })),
    ] {
        let (status, problem) = site.ask(Method::POST, path, Some(body.clone())).await;
        assert_eq!(status, 422, "{path} {body}");
        assert_eq!(problem["type"], "bad_input", "{problem}");
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{problem}");
    }
}
