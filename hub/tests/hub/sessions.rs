//! What a foreign page, a planted cookie and a lying proxy can do to a person's login: nothing.

use std::io::{Read as _, Write as _};

use burin_hub::routes::Access;
use burin_hub::serve::route_list;

use crate::slow::{impatient, secure};
use crate::support::Site;
use crate::support::browser::Browser;

/// A cookie that somebody else chose.
const PLANTED: &str = "__Host-burin=planted-by-somebody-else-0123456789";

#[tokio::test]
async fn a_cookie_that_was_planted_before_the_login_is_never_the_login() {
    let site = Site::start().await;
    let mut browser = Browser::new(&site);
    browser.cookie = PLANTED.to_owned();
    let page = browser.get("/login").await;
    assert_eq!(page.status, 200);
    assert!(page.headers.get("set-cookie").is_none());
    // Each step of the login gives another cookie, and ends the one before.
    let first = site.first_password();
    let next = browser.log_in("admin", &first).await;
    assert!(next.starts_with("/password"), "{next}");
    let half = browser.cookie.clone();
    assert_ne!(half, PLANTED);
    let fields = [
        ("old", first.as_str()),
        ("new", Browser::PASSWORD),
        ("again", Browser::PASSWORD),
    ];
    assert_eq!(browser.post("/password", &fields).await.status, 303);
    let whole = browser.cookie.clone();
    assert_ne!(whole, half);
    assert_eq!(browser.get_with("/hosts", &whole).await.status, 200);
    for old in [PLANTED, &half, "__Host-burin=", "__Host-burin=admin"] {
        let page = browser.get_with("/hosts", old).await;
        assert_eq!(
            (page.status, page.location.starts_with("/login")),
            (303, true),
            "{old}"
        );
    }
    // A name without the prefix can be set for a whole domain: it is not looked at.
    let value = whole.split_once('=').unwrap().1;
    for name in ["burin", "__Secure-burin", "__host-burin", "x__Host-burin"] {
        let page = browser.get_with("/hosts", &format!("{name}={value}")).await;
        assert_eq!(page.status, 303, "{name}");
    }
    // Logging in again makes another login; the old one is another one still, and ends by itself.
    let mut again = Browser::new(&site);
    again.cookie.clone_from(&whole);
    again.log_in("admin", Browser::PASSWORD).await;
    assert_ne!(again.cookie, whole);
}

#[tokio::test]
async fn a_changed_password_ends_the_logins_of_before() {
    let site = Site::start().await;
    let mut thief = Browser::admin(&site).await;
    let mut owner = Browser::new(&site);
    owner.log_in("admin", Browser::PASSWORD).await;
    assert_eq!(thief.get("/hosts").await.status, 200);
    let fields = [
        ("old", Browser::PASSWORD),
        ("new", "another correct horse"),
        ("again", "another correct horse"),
    ];
    assert_eq!(owner.post("/password", &fields).await.status, 303);
    assert_eq!(owner.get("/hosts").await.status, 200);
    assert_eq!(thief.get("/hosts").await.status, 303);
}

/// Sends a whole request as it is; the whole answer.
async fn raw(site: &Site, head: String) -> String {
    let mut stream = secure(site);
    let said = tokio::task::spawn_blocking(move || {
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = Vec::new();
        // Without a farewell of TLS the answer is whole as well.
        drop(stream.read_to_end(&mut said));
        String::from_utf8_lossy(&said).into_owned()
    });
    said.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_that_a_request_calls_the_hub_by_goes_nowhere() {
    let site = impatient().await;
    let browser = Browser::admin(&site).await;
    let mut pages = 0;
    for route in route_list() {
        if route.method != "GET" || matches!(route.access, Access::Api(_)) {
            continue;
        }
        let path = route.path.replace(['{', '}'], "");
        for cookie in ["", browser.cookie.as_str()] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-host: evil.example\r\n\
                 x-forwarded-proto: http\r\nforwarded: host=evil.example;proto=http\r\n\
                 x-original-url: //evil.example\r\nx-rewrite-url: //evil.example\r\n\
                 accept: text/html\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n"
            );
            let said = raw(&site, head).await;
            assert!(said.starts_with("HTTP/1.1 "), "{path}: {said}");
            assert!(!said.contains("evil.example"), "{path}: {said}");
            pages += 1;
        }
    }
    assert!(pages > 40, "{pages}");
    // The path may name a place, too.
    let absolute = "GET https://evil.example/hosts HTTP/1.1\r\nhost: evil.example\r\n\
                    accept: text/html\r\nconnection: close\r\n\r\n";
    let said = raw(&site, absolute.to_owned()).await;
    assert!(!said.contains("//evil.example"), "{said}");
}

#[tokio::test]
async fn no_answer_can_be_framed_or_taken_for_a_script() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    let mut seen = 0;
    let routes = route_list();
    let paths = routes.iter().filter(|route| route.method == "GET");
    let paths = paths.map(|route| route.path.replace(['{', '}'], ""));
    for path in paths.chain(["/nothing-here".to_owned(), "/hosts/nobody".to_owned()]) {
        for cookie in [String::new(), browser.cookie.clone()] {
            let page = browser.get_with(&path, &cookie).await;
            for (name, part) in [
                ("content-security-policy", "frame-ancestors 'none'"),
                ("content-security-policy", "form-action 'self'"),
                ("content-security-policy", "base-uri 'none'"),
                ("x-frame-options", "DENY"),
                ("x-content-type-options", "nosniff"),
                ("cross-origin-opener-policy", "same-origin"),
                ("strict-transport-security", "max-age="),
                ("referrer-policy", "no-referrer"),
            ] {
                let value = page.headers.get(name).map(|it| it.to_str().unwrap());
                assert!(
                    value.is_some_and(|it| it.contains(part)),
                    "{path}: {name} {value:?}"
                );
            }
            let open = page.headers.get("access-control-allow-origin");
            assert_eq!(open, None, "{path}");
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
    assert_eq!(browser.get("/hosts").await.status, 200);
}

#[tokio::test]
async fn a_login_leads_to_no_other_site() {
    let site = Site::start().await;
    drop(Browser::admin(&site).await);
    for next in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "HTTPS:\\\\evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/\t/evil.example",
        "/\r\nlocation: https://evil.example",
        " //evil.example",
        "@evil.example",
        ".evil.example",
        "?next=//evil.example",
    ] {
        let mut browser = Browser::new(&site);
        let asked: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let form = format!(
            "name=admin&password={}&next={asked}",
            "correct+horse+battery"
        );
        let done = browser.raw("POST", "/login", &form, &[]).await;
        if done.status == 429 {
            // Every login of this address is counted, good ones, too.
            break;
        }
        assert_eq!(
            (done.status, done.location.as_str()),
            (303, "/hosts"),
            "{next:?}"
        );
        let base = reqwest::Url::parse(&site.url).unwrap();
        let to = base.join(&done.location).unwrap();
        assert_eq!(to.host_str(), base.host_str(), "{next:?}");
        // The same over the page: what it carries on is shown as text.
        let page = browser.get(&format!("/login?next={asked}")).await;
        assert!(!page.text.contains("href=\"//evil"), "{}", page.text);
    }
}
