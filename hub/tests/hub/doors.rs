//! Every route without a login, the login itself, forms.

use crate::support::Site;
use burin_hub::routes::Access;
use burin_hub::serve::route_list;
use reqwest::Method;
use serde_json::json;

/// Open to everybody, and why.
const OPEN: [(&str, &str); 10] = [
    ("GET", "/health"),
    ("POST", "/h/1/hello"),
    ("POST", "/h/1/enroll"),
    ("POST", "/h/1/session"),
    ("POST", "/h/1/sync"),
    // The login itself and what its page needs.
    ("POST", "/api/v1/login"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/style.css"),
    ("GET", "/live.js"),
];

#[tokio::test]
async fn every_route_but_the_named_ones_needs_a_login() {
    let site = Site::start().await;
    let routes = route_list();
    assert!(routes.len() > 25, "{}", routes.len());
    let mut open = Vec::new();
    for route in &routes {
        let path = route.path.replace(['{', '}'], "");
        let method: Method = route.method.parse().unwrap();
        let ask = |key: Option<&str>| {
            let mut request = site
                .http
                .request(method.clone(), format!("{}{path}", site.url));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            request.body("{}").send()
        };
        for key in [None, Some("brk_wrong"), Some("")] {
            let answer = ask(key).await.unwrap();
            let status = answer.status().as_u16();
            match route.access {
                Access::Admin => assert_eq!(status, 401, "{} {path}", route.method),
                Access::Page => {
                    assert_eq!(status, 303, "{} {path}", route.method);
                    assert_eq!(answer.headers()["location"], "/login", "{path}");
                }
                Access::Open => {}
            }
        }
        if route.access == Access::Open {
            open.push((route.method, route.path));
        } else {
            // And with the key the guard is passed: it is not simply closed.
            let status = ask(Some(&site.key)).await.unwrap().status().as_u16();
            assert_ne!(status, 401, "{} {path}", route.method);
        }
    }
    open.sort_unstable();
    let mut want = OPEN.to_vec();
    want.sort_unstable();
    assert_eq!(open, want);
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
async fn wrong_passwords_are_counted() {
    let site = Site::start().await;
    let login = |password: String| {
        let body = json!({ "password": password });
        site.ask(Method::POST, "/api/v1/login", Some(body))
    };
    for _ in 0..5 {
        assert_eq!(login("wrong".to_owned()).await.0, 401);
    }
    let password = site.running.ready.admin_password.clone().unwrap();
    assert_eq!(login(password.reveal().to_owned()).await.0, 429);
}

/// Logs in as a browser does: the cookie's attributes, the cookie, and the page's CSRF token.
async fn browser(site: &Site) -> (String, String, String) {
    let password = site.running.ready.admin_password.clone().unwrap();
    let answer = form(
        site,
        "/login",
        "",
        format!("password={}", password.reveal()),
    )
    .await;
    assert_eq!(answer.status().as_u16(), 303);
    let attributes = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let cookie = attributes.split(';').next().unwrap().to_owned();
    let page = page(site, &cookie).await.text().await.unwrap();
    let after = page.split("name=\"csrf\" value=\"").nth(1).unwrap();
    let csrf = after.split('"').next().unwrap().to_owned();
    (attributes, cookie, csrf)
}

async fn form(site: &Site, path: &str, cookie: &str, body: String) -> reqwest::Response {
    let request = site
        .http
        .post(format!("{}{path}", site.url))
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded");
    request.body(body).send().await.unwrap()
}

async fn page(site: &Site, cookie: &str) -> reqwest::Response {
    let request = site
        .http
        .get(format!("{}/", site.url))
        .header("cookie", cookie);
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_login_works_until_it_is_ended() {
    let site = Site::start().await;
    let (attributes, cookie, csrf) = browser(&site).await;
    for part in [
        "__Host-burin=",
        "HttpOnly",
        "Secure",
        "SameSite=Strict",
        "Path=/",
    ] {
        assert!(attributes.contains(part), "{attributes}");
    }
    let wrong = form(&site, "/logout", &cookie, "csrf=wrong".to_owned()).await;
    assert_eq!(wrong.status().as_u16(), 403);
    assert_eq!(page(&site, &cookie).await.status().as_u16(), 200);
    let right = form(&site, "/logout", &cookie, format!("csrf={csrf}")).await;
    assert_eq!(right.status().as_u16(), 303);
    assert_eq!(page(&site, &cookie).await.status().as_u16(), 303);
}

#[tokio::test]
async fn by_cookie_alone_nothing_is_written() {
    let site = Site::start().await;
    let (_, cookie, csrf) = browser(&site).await;
    for (sent, want) in [
        (None, 403),
        (Some("wrong"), 403),
        (Some(csrf.as_str()), 201),
    ] {
        let mut request = site
            .http
            .post(format!("{}/api/v1/tokens", site.url))
            .header("cookie", &cookie);
        if let Some(csrf) = sent {
            request = request.header("x-csrf-token", csrf);
        }
        let answer = request.json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), want, "{sent:?}");
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
        .body("password=x")
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
