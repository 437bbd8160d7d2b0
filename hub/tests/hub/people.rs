//! Accounts: first password, lock-out, one-time codes, cookies and forms, the audit log.

use crate::support::Site;
use crate::support::browser::Browser;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn the_first_password_opens_nothing_but_its_change() {
    let site = Site::start().await;
    let first = site.first_password();
    let mut browser = Browser::new(&site);
    assert_eq!(browser.log_in("admin", &first).await, "/password?next=");
    for (path, want) in [
        ("/", "/password"),
        ("/hosts", "/password"),
        ("/people", "/password"),
    ] {
        assert_eq!(browser.get(path).await.location, want, "{path}");
    }
    let page = browser.get("/password").await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("Choose your own password"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("href=\"/hosts\""), "{}", page.text);
    for (old, new, again, want) in [
        ("wrong", "a fine new secret", "a fine new secret", 401),
        (first.as_str(), "short", "short", 422),
        (first.as_str(), "a fine new secret", "a fine new secre", 422),
        (first.as_str(), first.as_str(), first.as_str(), 422),
        (
            first.as_str(),
            "I am the admin here",
            "I am the admin here",
            422,
        ),
    ] {
        let fields = [("old", old), ("new", new), ("again", again)];
        let answer = browser.post("/password", &fields).await;
        assert_eq!(answer.status, want, "{new}");
        assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
    }
    let fields = [
        ("old", first.as_str()),
        ("new", "a fine new secret"),
        ("again", "a fine new secret"),
    ];
    let before = browser.cookie.clone();
    assert_eq!(browser.post("/password", &fields).await.location, "/hosts");
    assert_ne!(browser.cookie, before, "the login is renewed");
    assert_eq!(browser.get("/hosts").await.status, 200);
    assert_eq!(
        browser.get_with("/hosts", &before).await.location,
        "/login?next=%2Fhosts"
    );
}

#[tokio::test]
async fn by_the_api_a_first_password_opens_nothing_but_its_change() {
    let site = Site::start().await;
    let made = json!({ "name": "anna", "role": "viewer" });
    let made = site.post("/api/v1/people", made).await;
    let first = made["password"].as_str().unwrap();
    let login = json!({ "name": "anna", "password": first });
    let login = site.post("/api/v1/login", login).await;
    assert_eq!(login["password_change"], true);
    let bearer = login["bearer"].as_str().unwrap();
    let ask = async |method, path: &str, body| site.ask_as(bearer, method, path, body).await;
    let (status, problem) = ask(Method::GET, "/api/v1/hosts", None).await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (403, Some("password_change"))
    );
    let change = json!({ "old": first, "new": "another fine one" });
    let (status, renewed) = ask(Method::POST, "/api/v1/password", Some(change)).await;
    assert_eq!(status, 200, "{renewed}");
    assert_eq!(ask(Method::GET, "/api/v1/hosts", None).await.0, 401);
    let bearer = renewed["bearer"].as_str().unwrap();
    let (status, _) = site
        .ask_as(bearer, Method::GET, "/api/v1/hosts", None)
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_name_is_locked_after_five_wrong_passwords_and_an_admin_unlocks_it() {
    let site = Site::start().await;
    // From many addresses: the limit of one shall not answer first.
    for name in ["admin", "nobody"] {
        for number in 1..=5 {
            let mut browser = Browser::new(&site);
            let answer = browser.try_password(name, "wrong").await;
            let want = if number == 5 { 423 } else { 401 };
            if answer.status == 429 {
                // Names that nobody has lock as others do; the address had enough by now.
                assert_eq!(name, "nobody");
                break;
            }
            assert_eq!(answer.status, want, "{name} {number}");
            assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
        }
    }
    let log = site.get("/api/v1/audit").await;
    let seen = |who: &str, what: &str| {
        let lines = log["items"].as_array().unwrap();
        lines
            .iter()
            .filter(|line| line["actor"] == who && line["action"] == what)
            .count()
    };
    assert_eq!(seen("admin", "login.wrong"), 5);
    assert_eq!(seen("admin", "login.locked"), 1);
    site.post("/api/v1/people/admin/unlock", json!({})).await;
    let verdict = site.get("/api/v1/audit/verdict").await;
    assert_eq!(verdict["whole"], true, "{verdict}");
    assert!(verdict["lines"].as_i64().unwrap() >= 7);
}

#[tokio::test]
async fn the_cookie_is_hard_and_ends_with_the_login() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    for part in [
        "__Host-burin=",
        "HttpOnly",
        "Secure",
        "SameSite=Strict",
        "Path=/",
    ] {
        assert!(browser.set_cookie.contains(part), "{}", browser.set_cookie);
    }
    let page = browser.get("/hosts").await;
    for (name, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert!(
            page.headers[name].to_str().unwrap().contains(part),
            "{name}"
        );
    }
    assert!(!page.text.contains("style=\"") && !page.text.contains("onclick"));
    let cookie = browser.cookie.clone();
    assert_eq!(browser.post("/logout", &[]).await.location, "/login");
    assert_eq!(browser.get_with("/hosts", &cookie).await.status, 303);
}

#[tokio::test]
async fn a_write_by_cookie_needs_the_token_of_its_login() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    let right = browser.csrf().await;
    let routes = burin_hub::serve::route_list();
    let writes = routes.iter().filter(|route| route.method != "GET");
    for route in writes.filter(|route| route.access != burin_hub::routes::Access::Open) {
        let path = route.path.replace(['{', '}'], "");
        for csrf in ["", "csrf=wrong", "csrf=&x=1"] {
            let answer = browser.raw(route.method, &path, csrf, &[]).await;
            assert_eq!(answer.status, 403, "{} {path} {csrf}", route.method);
        }
    }
    // The right one, from another site: a browser says so.
    let form = format!("csrf={right}");
    let foreign = [("sec-fetch-site", "cross-site")];
    assert_eq!(
        browser.raw("POST", "/logout", &form, &foreign).await.status,
        403
    );
    let header = [("x-csrf-token", right.as_str())];
    assert_eq!(
        browser
            .raw("POST", "/audit/verify", "", &header)
            .await
            .status,
        200
    );
    assert_eq!(
        browser
            .raw("POST", "/audit/verify", &form, &[])
            .await
            .status,
        200
    );
    let huge = format!("csrf={right}&x={}", "y".repeat(1 << 20));
    assert_eq!(
        browser
            .raw("POST", "/audit/verify", &huge, &[])
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn an_account_that_changes_loses_its_logins_and_the_last_admin_stays() {
    let site = Site::start().await;
    let made = json!({ "name": "tech", "role": "technician" });
    let made = site.post("/api/v1/people", made).await;
    let mut tech = Browser::new(&site);
    tech.enter("tech", made["password"].as_str().unwrap()).await;
    assert_eq!(tech.get("/").await.location, "/c");
    let refused = tech.get("/hosts").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("Not allowed"), "{}", refused.text);
    site.post("/api/v1/people/tech/viewer", json!({})).await;
    assert_eq!(
        tech.get("/hosts").await.status,
        303,
        "the login ended with the role"
    );
    for (path, body, want) in [
        ("/api/v1/people/admin/close", json!({}), 409),
        ("/api/v1/people/admin/viewer", json!({}), 409),
        ("/api/v1/people/nobody/close", json!({}), 404),
        ("/api/v1/people/tech/nonsense", json!({}), 404),
        (
            "/api/v1/people",
            json!({ "name": "tech", "role": "viewer" }),
            409,
        ),
        (
            "/api/v1/people",
            json!({ "name": "Te ch", "role": "viewer" }),
            422,
        ),
        (
            "/api/v1/people",
            json!({ "name": "x", "role": "king" }),
            422,
        ),
        ("/api/v1/people/tech/close", json!({}), 200),
    ] {
        let (status, problem) = site.ask(Method::POST, path, Some(body)).await;
        assert_eq!(status, want, "{path}: {problem}");
    }
    let mut tech = Browser::new(&site);
    let closed = tech.try_password("tech", Browser::PASSWORD).await;
    assert_eq!(closed.status, 401);
}

#[tokio::test]
async fn errors_are_pages_for_people_and_problems_for_programs() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    for (path, status, said) in [
        ("/nothing", 404, "there is nothing at /nothing"),
        ("/hosts/nobody", 404, "nobody"),
        ("/audit?before=x", 422, "before"),
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(
            page.text.to_lowercase().contains(said),
            "{path}: {}",
            page.text
        );
        assert!(page.text.contains("<main"), "{path}");
    }
    let (status, problem) = site.ask(Method::GET, "/nothing", None).await;
    assert_eq!((status, problem["type"].as_str()), (404, Some("not_found")));
    let (status, _) = site.ask(Method::PATCH, "/api/v1/hosts", None).await;
    assert_eq!(status, 405);
}
