//! Logging in over an identity provider: a real one, and one that lies.

use std::net::Ipv4Addr;

use burin_hub::cli::{OidcOptions, PeopleOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::glewlwyd::{self, Glewlwyd};
use crate::support::provider::{self, Lie, Person, Provider};

async fn site(issuer: &str, secret: &str, change: impl FnOnce(&mut PeopleOptions)) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.secret");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    Site::at(folder, |args| {
        args.people.oidc = OidcOptions {
            oidc_issuer: Some(issuer.to_owned()),
            oidc_client_id: Some("hub".to_owned()),
            oidc_client_secret_file: Some(file),
            oidc_role_claim: "groups".to_owned(),
            oidc_role: vec![
                "viewer=staff".parse().unwrap(),
                "operator=ops".parse().unwrap(),
            ],
            oidc_scope: vec!["profile".to_owned()],
            ..OidcOptions::default()
        };
        change(&mut args.people);
    })
    .await
}

/// A hub of this provider.
pub(crate) async fn with(provider: &Provider) -> Site {
    site(&provider.issuer, provider::SECRET, |_| {}).await
}

fn person(subject: &str, name: &str, groups: &[&str]) -> Person {
    Person {
        subject: subject.to_owned(),
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

/// What an address says behind `?`.
fn parameter(url: &str, name: &str) -> String {
    let url = reqwest::Url::parse(url).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == name);
    found
        .unwrap_or_else(|| panic!("{url} has no {name}"))
        .1
        .into_owned()
}

/// One browser on its way.
struct Way {
    http: reqwest::Client,
    cookie: String,
    /// The provider's page that the hub led to.
    page: String,
}

impl Way {
    /// `number`: another address each, as logins of one are limited.
    async fn begin(site: &Site, number: u8) -> Self {
        let http = site.client_from(Ipv4Addr::new(127, 0, 1, number));
        let url = format!("{}/login/oidc?next=/tokens", site.url);
        let answer = http.get(url).send().await.unwrap();
        let text = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let cookie = text("set-cookie");
        for part in ["HttpOnly", "Secure", "SameSite=Lax", "__Host-"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let (cookie, page) = (
            cookie.split(';').next().unwrap().to_owned(),
            text("location"),
        );
        Self { http, cookie, page }
    }

    fn code(&self, provider: &Provider, person: &Person) -> String {
        let nonce = parameter(&self.page, "nonce");
        assert_eq!(parameter(&self.page, "code_challenge_method"), "S256");
        provider.code(&nonce, &parameter(&self.page, "code_challenge"), person)
    }

    /// Back from the provider: status, session cookie if any, page.
    async fn back(&self, site: &Site, query: &str) -> (u16, Option<String>, String) {
        let url = format!("{}/login/oidc/done?{query}", site.url);
        let request = self.http.get(url).header("cookie", &self.cookie);
        let answer = request.header("accept", "text/html").send().await.unwrap();
        let cookies = answer.headers().get_all("set-cookie").into_iter();
        let session = cookies
            .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap())
            .find(|cookie| cookie.starts_with("__Host-burin="))
            .map(str::to_owned);
        let status = answer.status().as_u16();
        (status, session, answer.text().await.unwrap())
    }

    async fn finish(&self, site: &Site, code: &str) -> (u16, Option<String>, String) {
        let state = parameter(&self.page, "state");
        self.back(site, &format!("state={state}&code={code}")).await
    }
}

/// Logs somebody in: the browser of the person.
async fn enter<'a>(
    site: &'a Site,
    provider: &Provider,
    number: u8,
    person: &Person,
) -> Browser<'a> {
    let way = Way::begin(site, number).await;
    let code = way.code(provider, person);
    let (status, session, page) = way.finish(site, &code).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("content=\"0;url=/tokens\""), "{page}");
    let mut browser = Browser::new(site);
    browser.cookie = session.unwrap();
    browser
}

async fn people(site: &Site) -> Vec<Value> {
    let people = site.get("/api/v1/people").await;
    people.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_real_provider_lets_people_in_with_their_role() {
    let mut provider = Glewlwyd::start().await;
    let site = site(&provider.issuer, glewlwyd::SECRET, |_| {}).await;
    provider
        .add_hub(&format!("{}/login/oidc/done", site.url))
        .await;
    provider
        .add_person("anna", "annas-password", &["ops", "staff"])
        .await;
    provider
        .add_person("bert", "berts-password", &["visitors"])
        .await;

    let way = Way::begin(&site, 1).await;
    let mut anna = provider.visitor("anna", "annas-password").await;
    let back = anna.goes_on(&way.page).await;
    assert!(
        back.starts_with(&format!("{}/login/oidc/done?", site.url)),
        "{back}"
    );
    let (_, query) = back.split_once('?').unwrap();
    let (status, session, page) = way.back(&site, query).await;
    assert_eq!(status, 200, "{page}");
    let mut browser = Browser::new(&site);
    browser.cookie = session.unwrap();
    assert_eq!(browser.get("/tokens").await.status, 200);
    let account = browser.get("/account").await.text;
    assert!(account.contains("<b>operator</b>"), "{account}");
    assert!(account.contains("anna@127.0.0.1"), "{account}");
    assert!(account.contains(&provider.issuer), "{account}");
    let (status, session, _) = way.back(&site, query).await;
    assert_eq!((status, session), (409, None), "once only");

    let way = Way::begin(&site, 2).await;
    let mut bert = provider.visitor("bert", "berts-password").await;
    let back = bert.goes_on(&way.page).await;
    let (status, session, page) = way.back(&site, back.split_once('?').unwrap().1).await;
    assert_eq!((status, session), (401, None));
    assert!(page.contains("gives you a role"), "{page}");
    assert_eq!(people(&site).await.len(), 2, "admin and anna");
}

#[tokio::test]
async fn what_is_not_the_word_of_the_provider_is_refused() {
    let provider = Provider::start().await;
    let site = with(&provider).await;
    let anna = person("s-1", "anna", &["ops"]);
    let lies = [
        Lie::Issuer,
        Lie::Audience,
        Lie::TwoAudiences,
        Lie::Nonce,
        Lie::NoNonce,
        Lie::Expired,
        Lie::AlgorithmNone,
        Lie::SignatureCut,
        Lie::ClientSecretSigns,
        Lie::OtherKey,
        Lie::OtherPayload,
        Lie::NoIdToken,
        Lie::NoGroups,
        Lie::NotAToken,
        Lie::Endless,
    ];
    for (number, lie) in (1..).zip(lies) {
        provider.lie(lie);
        let way = Way::begin(&site, number).await;
        let code = way.code(&provider, &anna);
        let (status, session, page) = way.finish(&site, &code).await;
        assert_eq!((status, session), (401, None), "{lie:?}: {page}");
        assert!(page.contains("role=\"alert\""), "{lie:?}: {page}");
        assert!(!page.contains(provider::SECRET));
    }
    assert_eq!(people(&site).await.len(), 1, "nobody but the admin");
    let log = site.get("/api/v1/audit").await;
    let refused = |line: &&Value| line["action"] == "login.refused";
    let lines = log["items"].as_array().unwrap();
    assert_eq!(lines.iter().filter(refused).count(), lies.len());
    // The same way with the truth: the lies alone were the reason.
    provider.lie(Lie::None);
    enter(&site, &provider, 100, &anna).await;
}

#[tokio::test]
async fn a_return_is_good_once_and_in_the_browser_that_began() {
    let provider = Provider::start().await;
    let site = with(&provider).await;
    let anna = person("s-1", "anna", &["ops"]);
    let way = Way::begin(&site, 1).await;
    let mut stranger = Way::begin(&site, 2).await;
    let code = way.code(&provider, &anna);
    let state = parameter(&way.page, "state");
    let other = parameter(&stranger.page, "state");
    let (issuer, url) = ("http%3A%2F%2F127.0.0.1%3A1", site.url.clone());
    for query in [
        String::new(),
        format!("code={code}"),
        format!("state=&code={code}"),
        format!("state={other}&code={code}"),
        format!("state={state}&code={code}&iss={issuer}"),
    ] {
        let (status, session, page) = way.back(&site, &query).await;
        assert_eq!((status, session), (401, None), "{query}: {page}");
    }
    // What anna's browser was sent back with, in another one or in one that began nothing.
    let (status, session, _) = stranger
        .back(&site, &format!("state={state}&code={code}"))
        .await;
    assert_eq!((status, session), (401, None));
    stranger.cookie = String::new();
    let (status, session, _) = stranger
        .back(&site, &format!("state={state}&code={code}"))
        .await;
    assert_eq!((status, session), (401, None));

    // None of that used anything up.
    let (status, session, _) = way.finish(&site, &code).await;
    assert_eq!((status, session.is_some()), (200, true), "{url}");
    let (status, session, page) = way.finish(&site, &code).await;
    assert_eq!((status, session), (409, None), "{page}");
    // A code that was used, or is of another login, in a login that was begun well.
    let fresh = Way::begin(&site, 3).await;
    let (status, session, _) = fresh.finish(&site, &code).await;
    assert_eq!((status, session), (401, None));
    let (victim, thief) = (Way::begin(&site, 4).await, Way::begin(&site, 5).await);
    let stolen = victim.code(&provider, &anna);
    let (status, session, page) = thief.finish(&site, &stolen).await;
    assert_eq!((status, session), (401, None), "{page}");
    let denied = Way::begin(&site, 6).await;
    let state = parameter(&denied.page, "state");
    let query = format!("state={state}&error=access_denied%3Cscript%3E");
    let (status, _, page) = denied.back(&site, &query).await;
    assert!(page.contains("access_deniedscript"), "{page}");
    assert_eq!(status, 401);
}

#[tokio::test]
async fn the_provider_says_the_role_at_each_login() {
    let provider = Provider::start().await;
    let site = with(&provider).await;
    let mut anna = person("s-1", "Anna", &["ops"]);
    let mut browser = enter(&site, &provider, 1, &anna).await;
    assert_eq!(browser.get("/people").await.status, 403);
    let announced = browser.post("/announce", &[("value", "junk")]).await;
    assert_eq!(announced.status, 200, "an operator may announce");
    anna.groups = vec!["staff".to_owned(), "unknown".to_owned()];
    let mut now = enter(&site, &provider, 2, &anna).await;
    let announced = now.post("/announce", &[("value", "junk")]).await;
    assert_eq!(announced.status, 403, "a viewer may not");
    assert_eq!(
        browser.get("/hosts").await.status,
        303,
        "the login of before ended"
    );

    // Another person of the same name, also one with a name as of a local admin.
    enter(&site, &provider, 3, &person("s-2", "anna", &["ops"])).await;
    enter(&site, &provider, 4, &person("s-3", "admin", &["ops"])).await;
    let names: Vec<(String, bool)> = people(&site)
        .await
        .iter()
        .map(|person| {
            let name = person["name"].as_str().unwrap().to_owned();
            (name, person["provider"].is_string())
        })
        .collect();
    let want = |name: &str, external| (name.to_owned(), external);
    assert_eq!(
        names,
        [
            want("2.anna@127.0.0.1", true),
            want("admin", false),
            want("admin@127.0.0.1", true),
            want("anna@127.0.0.1", true),
        ]
    );
}

#[tokio::test]
async fn an_account_of_the_provider_has_no_password_here() {
    let provider = Provider::start().await;
    let site = with(&provider).await;
    let anna = person("s-1", "anna", &["ops"]);
    let mut browser = enter(&site, &provider, 1, &anna).await;
    let fields = [
        ("old", ""),
        ("new", "a fine new secret"),
        ("again", "a fine new secret"),
    ];
    assert_eq!(browser.post("/password", &fields).await.status, 409);
    for (change, want) in [
        ("reset", 409),
        ("admin", 409),
        ("forget-code", 409),
        ("unlock", 200),
        ("close", 200),
    ] {
        let path = format!("/api/v1/people/anna@127.0.0.1/{change}");
        let (status, problem) = site.ask(Method::POST, &path, Some(json!({}))).await;
        assert_eq!(status, want, "{change}: {problem}");
    }
    assert_eq!(browser.get("/hosts").await.status, 303, "closed");
    let way = Way::begin(&site, 2).await;
    let code = way.code(&provider, &anna);
    let (status, session, page) = way.finish(&site, &code).await;
    assert_eq!((status, session), (409, None), "{page}");
    for password in ["", "a fine new secret"] {
        let answer = browser.try_password("anna@127.0.0.1", password).await;
        assert_eq!(answer.status, 401, "{password}");
    }
    // Only a local admin counts as one that stays.
    let boss = json!({ "name": "boss", "role": "admin" });
    site.post("/api/v1/people", boss).await;
    site.post("/api/v1/people/boss/close", json!({})).await;
    let last = site
        .ask(Method::POST, "/api/v1/people/admin/close", None)
        .await;
    assert_eq!(last.0, 409);
}

#[tokio::test]
async fn the_emergency_account_works_when_nothing_else_does() {
    let provider = Provider::start().await;
    let issuer = provider.issuer.clone();
    let site = site(&issuer, provider::SECRET, |people| {
        people.oidc.no_local_accounts = true
    })
    .await;
    drop(provider);
    let made = json!({ "name": "olga", "role": "operator" });
    let made = site.post("/api/v1/people", made).await;
    let mut browser = Browser::new(&site);
    let login = browser.get("/login").await.text;
    assert!(login.contains("href=\"/login/oidc?next=\""), "{login}");
    let first = made["password"].as_str().unwrap();
    assert_eq!(browser.try_password("olga", first).await.status, 409);
    assert_eq!(browser.try_password("nobody", first).await.status, 409);
    let away = browser.get("/login/oidc").await;
    assert_eq!(away.status, 502, "{}", away.text);
    assert!(away.text.contains("role=\"alert\""), "{}", away.text);
    browser.enter("admin", &site.first_password()).await;
    assert_eq!(browser.get("/people").await.status, 200);
}

#[tokio::test]
async fn a_hub_without_a_provider_has_no_such_login() {
    let site = Site::start().await;
    let mut browser = Browser::new(&site);
    assert!(!browser.get("/login").await.text.contains("/login/oidc"));
    assert_eq!(browser.get("/login/oidc").await.status, 404);
    assert_eq!(
        browser.get("/login/oidc/done?state=a&code=b").await.status,
        401
    );
}
