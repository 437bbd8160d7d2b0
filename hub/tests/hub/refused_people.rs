//! Every refusal that a person can get: by the API its status, code and sentence, on the pages a
//! sentence that says what to do, and a line of the audit log where somebody tried something.

use std::net::Ipv4Addr;

use burin_hub::cli::AdminCodes;
use burin_hub::codes::ProblemCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::claims::{claim, machine, number, other_than};
use crate::codes::set_up;
use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::host::{Host, shown};
use crate::support::registry::Registry;

type Answer = (u16, Value);
type Fields = &'static [(&'static str, &'static str)];

async fn post(site: &Site, path: &str, body: Value) -> Answer {
    site.ask(Method::POST, path, Some(body)).await
}

async fn told(answer: reqwest::Response) -> Answer {
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

/// Brings the hub to say this; none for what another test has to break the hub for.
async fn provoke(site: &Site, code: ProblemCode) -> Option<Answer> {
    use ProblemCode as Code;
    Some(match code {
        Code::BadInput => post(site, "/api/v1/tokens", json!({ "uses": 0 })).await,
        Code::NotFound => site.ask(Method::GET, "/api/v1/hosts/nobody", None).await,
        Code::Method => site.ask(Method::DELETE, "/api/v1/hosts", None).await,
        Code::Unauthorized => {
            site.ask_as("brk_wrong", Method::GET, "/api/v1/hosts", None)
                .await
        }
        Code::Forbidden => {
            let made = json!({ "name": "ted", "role": "technician" });
            let made = site.post("/api/v1/api-keys", made).await;
            let key = made["key"].as_str().unwrap();
            site.ask_as(key, Method::GET, "/api/v1/hosts", None).await
        }
        Code::Csrf | Code::TooLarge => by_cookie(code).await,
        Code::CodeNeeded | Code::CodesRequired | Code::PasswordChange => unfinished(code).await,
        Code::Locked | Code::Limited => guessing(site, code).await,
        Code::Refused | Code::WrongKey | Code::IdConflict => deciding(site, code).await,
        Code::WrongHost
        | Code::WrongNumber
        | Code::UnknownCode
        | Code::NoContact
        | Code::Claimed
        | Code::Blocked => claiming(site, code).await,
        Code::Registry => {
            let registry = Registry::start().await;
            let entry = json!({ "host": registry.host, "plain_http": true });
            site.post("/api/v1/registries", entry).await;
            let document = format!(
                "apiVersion: burin/v1\nkind: Profile\nmetadata: {{ name: edge, version: 1.0.0 }}\n\
                 layers:\n  - os: {{ image: {}/os/absent:13 }}\n",
                registry.host
            );
            post(site, "/api/v1/profiles", json!({ "document": document })).await
        }
        // releases.rs lists a key first; oidc.rs has a provider; outage.rs takes the database away.
        Code::NotSigned | Code::Oidc | Code::Busy => return None,
        // No request brings it.
        Code::Internal => return None,
    })
}

/// Writes with a cookie, as a program that takes JSON; at a hub of its own, as logins are few.
async fn by_cookie(code: ProblemCode) -> Answer {
    let site = Site::start().await;
    let browser = Browser::admin(&site).await;
    let form = match code {
        ProblemCode::TooLarge => "x=".to_owned() + &"y".repeat(2 << 20),
        _ => "uses=1&days=7".to_owned(),
    };
    let request = site
        .http
        .post(format!("{}/tokens", site.url))
        .header("cookie", &browser.cookie)
        .header("content-type", "application/x-www-form-urlencoded");
    told(request.body(form).send().await.unwrap()).await
}

/// Logins that lack a step, each at a hub of its own.
async fn unfinished(code: ProblemCode) -> Answer {
    let required = (code == ProblemCode::CodesRequired).then_some(AdminCodes::Required);
    let site = Site::with(|args| {
        if required.is_some() {
            args.people.admin_codes = required;
        }
    })
    .await;
    let mut login = json!({ "name": "admin", "password": site.first_password() });
    if code != ProblemCode::PasswordChange {
        let mut browser = Browser::admin(&site).await;
        login["password"] = json!(Browser::PASSWORD);
        if code == ProblemCode::CodeNeeded {
            set_up(&mut browser).await;
            return post(&site, "/api/v1/login", login).await;
        }
    }
    let login = site.post("/api/v1/login", login).await;
    let bearer = login["bearer"].as_str().unwrap();
    site.ask_as(bearer, Method::GET, "/api/v1/hosts", None)
        .await
}

/// Wrong passwords from an address of its own: the fifth locks, and the sixth is too many.
async fn guessing(site: &Site, code: ProblemCode) -> Answer {
    let last = if code == ProblemCode::Limited { 6 } else { 5 };
    let http = site.client_from(Ipv4Addr::new(127, 0, 0, 10 + last));
    let mut answer = (0, Value::Null);
    for _ in 0..last {
        let login = json!({ "name": format!("name{last}"), "password": "wrong" });
        let request = http.post(format!("{}/api/v1/login", site.url));
        answer = told(request.json(&login).send().await.unwrap()).await;
    }
    answer
}

async fn deciding(site: &Site, code: ProblemCode) -> Answer {
    let serial = format!("D-{}", code.name());
    let host = Host::boot(site, &serial, "b").await;
    if code == ProblemCode::IdConflict {
        let token = site.token(json!({})).await;
        host.join(site, &token).await;
        let mut other = Host::boot(site, &serial, "b2").await;
        other.evidence.serial = "another".to_owned();
        other.enroll(site, None).await.unwrap();
        let all = site.get("/api/v1/hosts").await;
        let waits =
            |it: &&Value| it["host_id"] == other.host_id.as_str() && it["state"] == "pending";
        let uid = all["items"].as_array().unwrap().iter().find(waits).unwrap()["uid"].clone();
        let path = format!("/api/v1/hosts/{}/approve", uid.as_str().unwrap());
        return post(site, &path, json!({ "key": other.label() })).await;
    }
    host.enroll(site, None).await.unwrap();
    let (action, body) = match code {
        ProblemCode::WrongKey => ("approve", json!({ "key": "3BGTS77Z" })),
        _ => ("retire", json!({})),
    };
    post(
        site,
        &format!("/api/v1/hosts/{}/{action}", host.host_id),
        body,
    )
    .await
}

async fn claiming(site: &Site, code: ProblemCode) -> Answer {
    let mut host = machine(site, &format!("C-{}", code.name())).await;
    if code == ProblemCode::UnknownCode {
        return claim(site, json!({ "code": "QQQQQQQQ" })).await;
    }
    if code == ProblemCode::NoContact {
        claim(site, json!({ "link": host.link(site) })).await;
        return number(site, &host, 42).await;
    }
    if code == ProblemCode::Blocked {
        host.findings = vec![crate::screens::finding(
            "memory.size",
            "4 GB",
            "8 GB",
            burin_api::event::Severity::Block,
            "add memory",
        )];
    }
    let screen = shown(host.enroll(site, None).await.unwrap());
    if code == ProblemCode::WrongHost {
        let other = machine(site, "C-other").await;
        let bare = |host: &Host| host.host_id.replace('-', "");
        let link = host.link(site).replace(&bare(&host), &bare(&other));
        return claim(site, json!({ "link": link })).await;
    }
    claim(site, json!({ "link": host.link(site) })).await;
    match code {
        ProblemCode::WrongNumber => number(site, &host, other_than(screen.number)).await,
        ProblemCode::Claimed => {
            number(site, &host, screen.number).await;
            claim(site, json!({ "link": host.link(site) })).await
        }
        _ => number(site, &host, screen.number).await,
    }
}

fn status(code: ProblemCode) -> u16 {
    use ProblemCode as Code;
    match code {
        // A code that is asked for at the login itself is a login that failed.
        Code::Unauthorized | Code::CodeNeeded => 401,
        Code::Forbidden | Code::Csrf | Code::CodesRequired | Code::PasswordChange => 403,
        Code::NotFound | Code::UnknownCode => 404,
        Code::Method => 405,
        Code::TooLarge => 413,
        Code::BadInput => 422,
        Code::Locked => 423,
        Code::Limited => 429,
        Code::Registry => 502,
        _ => 409,
    }
}

#[tokio::test]
async fn every_refusal_by_the_api_has_a_code_and_says_what_to_do() {
    let site = Site::start().await;
    let mut provoked = 0;
    for code in ProblemCode::ALL {
        let Some((got, problem)) = provoke(&site, *code).await else {
            continue;
        };
        provoked += 1;
        assert_eq!(problem["type"], code.name(), "{problem}");
        assert_eq!(got, status(*code), "{problem}");
        assert_eq!(problem["status"], got, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.split_whitespace().count() >= 4, "{problem}");
    }
    assert_eq!(provoked, ProblemCode::ALL.len() - 4);
    let log = site.get("/api/v1/audit").await.to_string();
    for tried in [
        "login.wrong",
        "login.locked",
        "host.approve.wrong_key",
        "claim.wrong_code",
        "claim.wrong_number",
        "\"claimed\"",
        "no_contact ",
        "blocked ",
        "wrong_host",
    ] {
        assert!(log.contains(tried), "{tried}: {log}");
    }
}

/// What somebody does wrong with a browser: path, fields, status, what the page says, audit line.
const MISTAKES: [(&str, Fields, u16, &str, &str); 11] = [
    (
        "/c",
        &[("code", "QQQQQQQQ")],
        404,
        "No host shows this code now; read it again",
        "claim.wrong_code",
    ),
    (
        "/c",
        &[("code", "https://hub.example/R/nonsense")],
        422,
        "role=\"alert\"",
        "\"object\":\"bad_input\"",
    ),
    (
        "/announce",
        &[("value", "03000200-0400-0500-0006-000700080009")],
        422,
        "use the host ID or the serial",
        "preauth.refused",
    ),
    (
        "/announce",
        &[("value", "00000000-0000-0000-0000-000000000000")],
        422,
        "names no machine",
        "preauth.refused",
    ),
    (
        "/announce",
        &[("value", "S4EVNX0R"), ("key", "12")],
        422,
        "at least the first 8",
        "preauth.refused",
    ),
    ("/tokens", &[("uses", "0"), ("days", "7")], 422, "uses", ""),
    (
        "/registries",
        &[("host", "a/b")],
        422,
        "is not HOST or HOST:PORT",
        "",
    ),
    (
        "/profiles",
        &[("document", "layers: [")],
        422,
        "The profile has mistakes",
        "",
    ),
    ("/hosts/nobody/approve", &[], 404, "No host has the uid", ""),
    (
        "/projects",
        &[("name", "Oslo North")],
        422,
        "A project&#39;s name has",
        "",
    ),
    (
        "/people",
        &[("name", "x y"), ("role", "admin")],
        422,
        "name",
        "",
    ),
];

#[tokio::test]
async fn every_mistake_on_a_page_comes_back_with_a_sentence() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    for (path, fields, status, says, audited) in MISTAKES {
        let page = browser.post(path, fields).await;
        assert_eq!(page.status, status, "{path} {fields:?}: {}", page.text);
        assert!(page.text.contains(says), "{path} {fields:?}: {}", page.text);
        // Nobody is left at a page without a way on.
        assert!(page.text.contains("<h1>"), "{path}: {}", page.text);
        assert!(
            page.text.contains("href=\"/hosts\""),
            "{path}: {}",
            page.text
        );
        let log = site.get("/api/v1/audit").await.to_string();
        assert!(log.contains(audited), "{path} {fields:?}: {log}");
    }
}

#[tokio::test]
async fn a_claim_that_is_over_or_comes_second_says_so() {
    let site = Site::start().await;
    let host = machine(&site, "S4EVNX0R").await;
    let screen = host.shows(&site).await;
    let mut browser = Browser::admin(&site).await;
    let path = format!("/c/{}", host.label());
    // Never made, and over, are one to whoever asks: a claim is forgotten when its time is over.
    let number = screen.number.to_string();
    let over = browser.post(&path, &[("number", &number)]).await;
    assert_eq!(over.status, 404, "{}", over.text);
    assert!(over.text.contains("scan the host again"), "{}", over.text);
    let link = host.link(&site);
    let begun = browser.post("/c", &[("code", &link)]).await;
    assert_eq!(begun.location, path);
    let done = browser.post(&path, &[("number", &number)]).await;
    assert_eq!(done.location, path);
    let again = browser.post("/c", &[("code", &link)]).await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert!(
        again
            .text
            .contains("This host is in the fleet already, let in by admin"),
        "{}",
        again.text
    );
    let log = site.get("/api/v1/audit").await;
    let refused: Vec<&Value> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["action"] == "claim.refused")
        .map(|line| &line["object"])
        .collect();
    let over = json!(format!("not_found {}", host.label()));
    assert_eq!(refused, [&over, &json!("claimed")]);
}

#[tokio::test]
async fn a_locked_name_is_told_how_long_and_each_try_is_written_down() {
    let site = Site::start().await;
    // Tries of other addresses than this one, whose number is limited.
    let mut said = Vec::new();
    for from in [20, 21] {
        let http = site.client_from(Ipv4Addr::new(127, 0, 0, from));
        for _ in 0..3 {
            let request = http
                .post(format!("{}/login", site.url))
                .header("accept", "text/html")
                .header("content-type", "application/x-www-form-urlencoded");
            let answer = request.body("name=admin&password=wrong").send().await;
            let answer = answer.unwrap();
            said.push((answer.status().as_u16(), answer.text().await.unwrap()));
        }
    }
    let statuses: Vec<u16> = said.iter().map(|it| it.0).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 423, 423]);
    assert!(said[0].1.contains("The name or the password is wrong"));
    let locked = &said[5].1;
    assert!(locked.contains("it is locked for 1 more min"), "{locked}");
    let log = site.get("/api/v1/audit").await.to_string();
    for (action, times) in [
        ("login.wrong", 5),
        ("login.locked", 1),
        ("login.while-locked", 1),
    ] {
        let found = log.matches(&format!("\"{action}\"")).count();
        assert_eq!(found, times, "{action}: {log}");
    }
}
