//! One-time codes and what takes their place: at a login, forced for admins, recovery.

use burin_hub::cli::AdminCodes;
use reqwest::Method;
use serde_json::json;

use crate::support::Site;
use crate::support::browser::{Browser, Page};

/// An authenticator.
pub(crate) struct Codes(totp_rs::Totp);

impl Codes {
    /// Reads the seed of a page that shows one.
    pub(crate) fn read(page: &str) -> (String, Self) {
        let sealed = between(page, "name=\"sealed\" value=\"", "\"");
        let seed = between(page, "<code class=\"key\">", "<").replace(' ', "");
        (sealed, Self::of(&seed))
    }

    /// An authenticator with a seed that was typed.
    pub(crate) fn of(seed: &str) -> Self {
        let secret = totp_rs::Secret::try_from_base32(seed).unwrap();
        Self(totp_rs::Builder::new().with_secret(secret).build().unwrap())
    }

    /// The code of so many steps from now.
    pub(crate) fn at(&self, steps: i64) -> String {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seconds = i64::try_from(since.unwrap().as_secs()).unwrap() + steps * 30;
        self.0.generate(u64::try_from(seconds).unwrap()).to_string()
    }
}

pub(crate) fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split(before).nth(1).unwrap();
    rest.split(after).next().unwrap().to_owned()
}

/// The recovery codes that a page shows.
pub(crate) fn recovery(page: &Page) -> Vec<String> {
    assert_eq!(page.status, 200, "{}", page.text);
    let shown = between(&page.text, "<pre id=\"secret\" class=\"secret\">", "</pre>");
    let codes: Vec<String> = shown.lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{shown}");
    codes
}

/// Sets up codes for the admin; the authenticator, the code that was used, the recovery codes.
pub(crate) async fn set_up(browser: &mut Browser<'_>) -> (Codes, String, Vec<String>) {
    let page = browser.get("/account").await.text;
    let (sealed, codes) = Codes::read(&page);
    let used = codes.at(-1);
    let fields = [("sealed", sealed.as_str()), ("code", used.as_str())];
    let shown = recovery(&browser.post("/account/code/on", &fields).await);
    (codes, used, shown)
}

#[tokio::test]
async fn one_time_codes_guard_a_login_and_are_good_once() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    let page = browser.get("/account").await.text;
    let (sealed, _) = Codes::read(&page);
    let fields = [("sealed", sealed.as_str()), ("code", "000000")];
    assert_eq!(browser.post("/account/code/on", &fields).await.status, 422);
    let (codes, used, _) = set_up(&mut browser).await;

    let mut again = Browser::new(&site);
    let next = again.log_in("admin", Browser::PASSWORD).await;
    assert_eq!(next, "/login/code?next=");
    assert_eq!(again.get("/hosts").await.location, "/login/code");
    assert_eq!(again.get("/password").await.location, "/login/code");
    for wrong in ["000000", used.as_str(), "nonsense"] {
        let answer = again.post("/login/code", &[("code", wrong)]).await;
        assert_eq!(answer.status, 401, "{wrong}");
    }
    let half = again.cookie.clone();
    let code = codes.at(0);
    let done = again.post("/login/code", &[("code", &code)]).await;
    assert_eq!(done.location, "/hosts");
    assert_ne!(again.cookie, half);
    assert_eq!(again.get("/hosts").await.status, 200);
    let replayed = again.post("/account/code/off", &[("code", &code)]).await;
    assert_eq!(replayed.status, 422);
}

#[tokio::test]
async fn an_admin_gets_nowhere_but_to_the_setup_of_codes_where_they_are_required() {
    let site = Site::with(|args| args.people.admin_codes = Some(AdminCodes::Required)).await;
    let mut browser = Browser::admin(&site).await;
    for path in ["/", "/hosts", "/people", "/password", "/account", "/c"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.location, "/account/codes", "{path}");
    }
    let made = [("name", "eve"), ("role", "admin")];
    let refused = browser.post("/people", &made).await;
    assert_eq!(refused.location, "/account/codes");
    let people = site.get("/api/v1/people").await;
    assert_eq!(people.as_array().unwrap().len(), 1, "{people}");
    let login = json!({ "name": "admin", "password": Browser::PASSWORD });
    let login = site.post("/api/v1/login", login).await;
    let bearer = login["bearer"].as_str().unwrap();
    let (status, problem) = site
        .ask_as(bearer, Method::GET, "/api/v1/hosts", None)
        .await;
    assert_eq!((status, &problem["type"]), (403, &json!("codes_required")));

    let page = browser.get("/account/codes").await;
    assert!(page.text.contains("Set up one-time codes"), "{}", page.text);
    assert!(!page.text.contains("href=\"/hosts\""), "{}", page.text);
    let (sealed, codes) = Codes::read(&page.text);
    let fields = |code| {
        [
            ("sealed", sealed.as_str()),
            ("code", code),
            ("next", "/people"),
        ]
    };
    let wrong = browser.post("/account/code/on", &fields("000000")).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(
        Codes::read(&wrong.text).0,
        sealed,
        "the seed stays the same"
    );
    let done = browser
        .post("/account/code/on", &fields(&codes.at(0)))
        .await;
    recovery(&done);
    assert!(done.text.contains("href=\"/people\""), "{}", done.text);
    assert_eq!(browser.get("/people").await.status, 200);
    assert_eq!(browser.get("/account/codes").await.location, "/account");

    // They stay on, and who loses them is led there again.
    let off = [("code", codes.at(1))];
    let off = browser
        .post("/account/code/off", &[("code", &off[0].1)])
        .await;
    assert_eq!(off.status, 409, "{}", off.text);
    site.post("/api/v1/people/admin/forget-code", json!({}))
        .await;
    let mut again = Browser::new(&site);
    let next = again.log_in("admin", Browser::PASSWORD).await;
    assert_eq!(next, "/account/codes?next=");
}

#[tokio::test]
async fn only_admins_are_asked_for_codes() {
    let site = Site::with(|args| args.people.admin_codes = Some(AdminCodes::Required)).await;
    let made = json!({ "name": "olga", "role": "operator" });
    let made = site.post("/api/v1/people", made).await;
    let mut olga = Browser::new(&site);
    olga.enter("olga", made["password"].as_str().unwrap()).await;
    assert_eq!(olga.get("/hosts").await.status, 200);
    // A key has no authenticator.
    assert_eq!(site.ask(Method::GET, "/api/v1/people", None).await.0, 200);
}

#[tokio::test]
async fn a_recovery_code_logs_in_once() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    let (_, _, shown) = set_up(&mut browser).await;
    let account = browser.get("/account").await.text;
    assert!(account.contains("10 recovery codes left"), "{account}");
    assert!(!account.contains(&shown[0]));

    let typed = shown[0].to_lowercase().replace('-', " ");
    for (code, want) in [(&typed, 303), (&shown[0], 401), (&shown[1], 303)] {
        let mut other = Browser::new(&site);
        other.log_in("admin", Browser::PASSWORD).await;
        let answer = other.post("/login/code", &[("code", code)]).await;
        assert_eq!(answer.status, want, "{code}");
    }
    let account = browser.get("/account").await.text;
    assert!(account.contains("8 recovery codes left"), "{account}");
    let log = site.get("/api/v1/audit").await;
    let spent = |line: &&serde_json::Value| line["action"] == "login.recovery-code";
    assert_eq!(
        log["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(spent)
            .count(),
        2
    );
}

#[tokio::test]
async fn new_recovery_codes_end_the_old_ones_and_are_of_one_person() {
    let site = Site::start().await;
    let mut browser = Browser::admin(&site).await;
    let (codes, _, shown) = set_up(&mut browser).await;
    let wrong = [("code", shown[2].as_str())];
    let wrong = browser.post("/account/recovery", &wrong).await;
    assert_eq!(wrong.status, 422);
    let code = codes.at(0);
    let fresh = recovery(&browser.post("/account/recovery", &[("code", &code)]).await);
    let login = |code: &str| json!({ "password": Browser::PASSWORD, "code": code });
    for (code, want) in [(&shown[2], 401), (&fresh[0], 200)] {
        let (status, _) = site
            .ask(Method::POST, "/api/v1/login", Some(login(code)))
            .await;
        assert_eq!(status, want, "{code}");
    }
    let made = json!({ "name": "olga", "role": "operator" });
    let made = site.post("/api/v1/people", made).await;
    let mut olga = Browser::new(&site);
    olga.enter("olga", made["password"].as_str().unwrap()).await;
    set_up(&mut olga).await;
    let foreign = json!({ "name": "olga", "password": Browser::PASSWORD, "code": fresh[1] });
    let (status, _) = site.ask(Method::POST, "/api/v1/login", Some(foreign)).await;
    assert_eq!(status, 401);
}
