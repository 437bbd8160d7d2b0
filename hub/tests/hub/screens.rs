//! The pages in a real browser, at desktop and telephone width. Pictures of each are kept under
//! `target/tmp/screenshots`.

use burin_api::event::{Finding, Progress, Severity};
use burin_api::host::DiskEvidence;
use burin_api::message::Phase;
use burin_api::token::Token;
use burin_core::identity::{HostId, Source};
use serde_json::json;

use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::host::{Host, reason};
use crate::support::webdriver::{Driver, Screen};

pub(crate) async fn log_in(driver: &Driver, site: &Site, name: &str, password: &str) {
    driver.go(&format!("{}/login", site.url)).await;
    driver.fill("input[name=name]", name).await;
    driver.fill("input[name=password]", password).await;
    driver.click("button.primary").await;
}

pub(crate) async fn choose_password(driver: &Driver, first: &str) {
    driver.sees("Choose your own password").await;
    driver.fill("input[name=old]", first).await;
    driver.fill("input[name=new]", Browser::PASSWORD).await;
    driver.fill("input[name=again]", Browser::PASSWORD).await;
    driver.click("main button.primary").await;
}

/// A machine as real ones tell of themselves.
pub(crate) async fn machine(site: &Site, serial: &str) -> Host {
    let mut host = Host::boot(site, serial, &format!("boot-{serial}")).await;
    host.evidence.vendor = "Supermicro".to_owned();
    host.evidence.product = "SYS-E300-9D".to_owned();
    host.evidence.cpu = "Intel Xeon D-2123IT".to_owned();
    host.evidence.cores = 8;
    host.evidence.memory = 68_719_476_736;
    host.evidence.macs = vec!["52:54:00:12:34:56".to_owned()];
    let disk = |name: &str, serial: &str, content: &str| DiskEvidence {
        name: name.to_owned(),
        model: "Samsung SSD 980 PRO".to_owned(),
        serial: serial.to_owned(),
        size: 512_110_190_592,
        content: content.to_owned(),
        ..DiskEvidence::default()
    };
    host.evidence.disks = vec![
        disk("nvme0n1", "S4EVNX0R100001", "empty"),
        disk("nvme1n1", "S4EVNX0R100002", "foreign: ext4"),
    ];
    host.findings = vec![
        finding("memory.size", "64 GB", "8 GB", Severity::Ok, ""),
        finding(
            "disk.choice",
            "2 disks fit",
            "one disk",
            Severity::Warn,
            "name the disk by serial",
        ),
    ];
    host
}

pub(crate) fn finding(
    name: &str,
    measured: &str,
    required: &str,
    severity: Severity,
    advice: &str,
) -> Finding {
    Finding {
        name: name.to_owned(),
        measured: measured.to_owned(),
        required: required.to_owned(),
        severity,
        advice: advice.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_begins_makes_a_token_and_sees_a_host_arrive() {
    let site = Site::with(|args| args.interval = Some(30)).await;
    let driver = Driver::start(Screen::Desktop).await;
    log_in(&driver, &site, "admin", "wrong password").await;
    driver.sees("The name or the password is wrong").await;
    driver.keep("login-wrong").await;
    let first = site.first_password();
    log_in(&driver, &site, "admin", &first).await;
    driver.keep("first-password").await;
    choose_password(&driver, &first).await;
    driver.sees("No host has called yet").await;
    driver.keep("hosts-empty").await;

    driver.go(&format!("{}/tokens", site.url)).await;
    driver.sees("No token yet").await;
    driver.fill("input[name=uses]", "5").await;
    driver
        .fill("textarea[name=labels]", "site=oslo\nrack=7")
        .await;
    driver.click("form[action=\"/tokens\"] button").await;
    let text = driver.text("#secret").await;
    driver.keep("token-made").await;
    let token = Token::parse(&text).unwrap();
    driver.go(&format!("{}/tokens", site.url)).await;
    driver.sees("0 of 5").await;
    let page = driver
        .script("return document.documentElement.outerHTML")
        .await;
    assert!(
        !page.as_str().unwrap().contains(&text),
        "the token is shown once only"
    );

    a_host_arrives(&driver, &site, &token).await;
    driver.click("a[href=\"/tokens\"]").await;
    driver.sees("1 of 5").await;
    driver
        .click(&format!("a[href=\"/tokens/{}\"]", token.id()))
        .await;
    driver.sees("ID-E300-0001").await;
    driver.keep("token").await;
    driver.click("form[action$=\"/revoke\"] button").await;
    driver.sees("The token was revoked").await;
    driver.quit().await;
}

async fn a_host_arrives(driver: &Driver, site: &Site, token: &Token) {
    // The list shows the host by itself, without a click.
    driver.go(&format!("{}/hosts", site.url)).await;
    driver.sees("No host has called yet").await;
    let mut host = machine(site, "E300-0001").await;
    let uid = host.join(site, token).await;
    driver.sees("ID-E300-0001").await;
    host.open(site, &uid).await.unwrap();
    let mut sync = host.sync_body(Phase::Installing);
    sync.findings.clone_from(&host.findings);
    sync.progress = Some(Progress {
        step: "pull os".to_owned(),
        position: 4,
        steps: 12,
        done: 320,
        total: 1000,
        left: Some(40),
    });
    host.sync(site, &sync).await.unwrap();
    driver.sees("pull os (4 of 12)").await;
    driver.sees("32 %").await;
    let waiting = machine(site, "E300-0002").await;
    waiting.enroll(site, None).await.unwrap();
    driver.sees("ID-E300-0002").await;
    driver.keep("hosts").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_approves_denies_labels_and_revokes() {
    let site = Site::with(|args| args.interval = Some(30)).await;
    let made = json!({ "name": "olga", "role": "operator" });
    let made = site.post("/api/v1/people", made).await;
    let first = made["password"].as_str().unwrap();
    for serial in ["E300-0001", "E300-0002"] {
        let host = machine(&site, serial).await;
        host.enroll(&site, None).await.unwrap();
    }
    let driver = Driver::start(Screen::Desktop).await;
    log_in(&driver, &site, "olga", first).await;
    choose_password(&driver, first).await;
    driver.sees("ID-E300-0001").await;
    driver.fill("input[name=q]", "e300-0002").await;
    driver.click(".filters button").await;
    // Both hosts stand on the page before; this stands on the narrowed list alone.
    driver.sees("Show all").await;
    driver.sees("ID-E300-0002").await;
    let table = driver.text("#hosts").await;
    assert!(!table.contains("ID-E300-0001"), "{table}");
    driver
        .go(&format!("{}/hosts?state=pending", site.url))
        .await;
    driver.click("tbody tr:last-child a").await;
    driver.sees("This host asks to be let in").await;
    driver.keep("host-pending").await;
    driver.click("form[action$=\"/approve\"] button").await;
    driver.sees("The host was let in").await;
    driver
        .click("section[aria-labelledby=labels] summary")
        .await;
    driver.fill("textarea[name=labels]", "site=oslo").await;
    driver.click("section[aria-labelledby=labels] button").await;
    driver.sees("The labels were kept").await;
    driver.sees("site=oslo").await;
    driver.keep("host-accepted").await;
    driver.click("details.confirm:last-of-type summary").await;
    driver.click("form[action$=\"/revoke\"] button").await;
    driver.sees("its key is never accepted again").await;
    driver
        .go(&format!("{}/hosts?state=pending", site.url))
        .await;
    driver.click("tbody tr:last-child a").await;
    driver.click("form[action$=\"/deny\"] button").await;
    driver.sees("The host was denied").await;
    driver.go(&format!("{}/people", site.url)).await;
    driver.sees("Not allowed").await;
    driver.keep("error-403").await;
    driver.go(&format!("{}/nowhere", site.url)).await;
    driver.sees("Nothing here").await;
    driver.go(&format!("{}/profiles", site.url)).await;
    driver
        .fill(
            "textarea[name=document]",
            "apiVersion: burin/v1\nkind: Profil\n",
        )
        .await;
    driver.click("form[action=\"/profiles\"] button").await;
    driver.sees("2:7").await;
    driver.keep("profiles-refused").await;
    driver.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_fits_a_telephone() {
    let site = Site::with(|args| args.interval = Some(30)).await;
    let token = site
        .token(json!({ "uses": 3, "labels": { "site": "oslo" } }))
        .await;
    let mut host = machine(&site, "E300-0001").await;
    let uid = host.join(&site, &token).await;
    host.open(&site, &uid).await.unwrap();
    let mut sync = host.sync_body(Phase::Degraded);
    sync.findings.clone_from(&host.findings);
    sync.observed.generation = Some(1);
    sync.observed.root_digest = Some("ab".repeat(64));
    sync.observed.last_error = Some("Kubernetes: the node is NotReady: no network".to_owned());
    host.sync(&site, &sync).await.unwrap();
    let driver = Driver::start(Screen::Phone).await;
    driver.go(&site.url).await;
    driver.sees("Log in").await;
    driver.keep("login").await;
    let first = site.first_password();
    log_in(&driver, &site, "admin", &first).await;
    choose_password(&driver, &first).await;
    driver.sees("ID-E300-0001").await;
    for (path, shows, name) in [
        ("/hosts", "degraded", "hosts"),
        (&format!("/hosts/{uid}"), "Hardware check", "host"),
        ("/tokens", "Make a token", "tokens"),
        ("/profiles", "No profile yet", "profiles"),
        ("/registries", "No registry yet", "registries"),
        ("/install", "burin-iso build --agent", "install-none"),
        ("/people", "What the roles may do", "people"),
        ("/projects", "New project", "projects"),
        ("/audit", "Audit log", "audit"),
        ("/refused", "Nobody was turned away", "refused"),
        ("/account", "One-time codes", "account"),
        ("/nowhere", "Nothing here", "error-404"),
    ] {
        driver.go(&format!("{}{path}", site.url)).await;
        driver.sees(shows).await;
        driver.keep(name).await;
    }
    driver.go(&format!("{}/audit", site.url)).await;
    driver.click("form[action=\"/audit/verify\"] button").await;
    driver.sees("The chain is whole").await;
    driver.quit().await;
}

async fn technician(site: &Site) -> String {
    let made = json!({ "name": "tim", "role": "technician" });
    let made = site.post("/api/v1/people", made).await;
    made["password"].as_str().unwrap().to_owned()
}

/// A machine with an ID as machines make them: links carry no other.
async fn claimable(site: &Site, serial: &str) -> Host {
    let mut host = machine(site, serial).await;
    host.host_id = HostId::derive(Source::ProductSerial, serial).to_string();
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_technician_claims_a_host_by_its_qr_code_and_number() {
    let site = Site::with(|args| args.interval = Some(30)).await;
    let first = technician(&site).await;
    let host = claimable(&site, "E300-0001").await;
    let screen = host.shows(&site).await;
    let driver = Driver::start(Screen::Phone).await;
    // The scanned link leads over the login and the first password to the host.
    driver.go(&host.link(&site)).await;
    driver.sees("Log in").await;
    driver.fill("input[name=name]", "tim").await;
    driver.fill("input[name=password]", &first).await;
    driver.click("button.primary").await;
    choose_password(&driver, &first).await;
    driver.sees("Is this the host before you?").await;
    for shown in [
        "Supermicro SYS-E300-9D",
        "E300-0001",
        "127.0.0.1",
        &host.host_id,
    ] {
        driver.sees(shown).await;
    }
    driver.keep("claim-number").await;
    let nav = driver.text("nav").await;
    assert_eq!(nav.trim(), "Claim");
    let wrong = if screen.number == 99 {
        10
    } else {
        screen.number + 1
    };
    driver.fill("input[name=number]", &wrong.to_string()).await;
    driver.click("main button.primary").await;
    driver.sees("2 tries left").await;
    driver.keep("claim-wrong").await;
    driver
        .fill("input[name=number]", &screen.number.to_string())
        .await;
    driver.click("main button.primary").await;
    driver.sees("The host is in the fleet").await;
    driver.keep("claim-done").await;
    assert_eq!(reason(host.enroll(&site, None).await), "accepted");
    driver.go(&host.link(&site)).await;
    driver.sees("is in the fleet already").await;
    driver.go(&format!("{}/hosts", site.url)).await;
    driver.sees("Not allowed").await;
    driver.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_technician_types_a_code_or_is_there_before_the_host() {
    let site = Site::with(|args| args.interval = Some(30)).await;
    let first = technician(&site).await;
    let driver = Driver::start(Screen::Phone).await;
    log_in(&driver, &site, "tim", &first).await;
    choose_password(&driver, &first).await;
    driver.sees("Claim a host").await;
    driver.fill("input[name=code]", "QQQQQQQQ").await;
    driver.click("main button.primary").await;
    driver.sees("No host shows this code now").await;
    driver.keep("claim-unknown-code").await;
    let host = claimable(&site, "E300-0001").await;
    let screen = host.shows(&site).await;
    driver.fill("input[name=code]", &screen.code).await;
    driver.click("main button.primary").await;
    driver.sees("Is this the host before you?").await;

    let late = claimable(&site, "E300-0002").await;
    driver.go(&late.link(&site)).await;
    driver.sees("Waiting for the host").await;
    driver.keep("claim-waiting").await;
    // The page goes on by itself when the host calls.
    let screen = late.shows(&site).await;
    driver.sees("Is this the host before you?").await;
    driver
        .fill("input[name=number]", &screen.number.to_string())
        .await;
    driver.click("main button.primary").await;
    driver.sees("The host is in the fleet").await;
    driver.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_announces_a_host() {
    let site = Site::start().await;
    let driver = Driver::start(Screen::Desktop).await;
    let first = site.first_password();
    log_in(&driver, &site, "admin", &first).await;
    choose_password(&driver, &first).await;
    driver.sees("No host has called yet").await;
    driver.go(&format!("{}/c", site.url)).await;
    driver
        .fill("input[name=value]", "03000200-0400-0500-0006-000700080009")
        .await;
    driver.click("form[action=\"/announce\"] button").await;
    let said = driver.text("[role=alert]").await;
    assert!(said.contains("many machines"), "{said}");
    driver.keep("announce-junk").await;
    let host = claimable(&site, "E300-0001").await;
    driver.fill("input[name=value]", &host.host_id).await;
    driver.click("form[action=\"/announce\"] button").await;
    driver.sees("The host was announced").await;
    driver.sees("waiting").await;
    driver.keep("announced").await;
    driver.quit().await;
}
