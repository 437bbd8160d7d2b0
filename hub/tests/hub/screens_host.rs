//! A host's page in a real browser: what somebody does there for one host, and the list without a mouse.

use burin_api::message::Phase;
use serde_json::json;

use crate::publishing::{GOOD, os};
use crate::screens::{choose_password, log_in, machine};
use crate::sealed::with_kubeconfig;
use crate::support::Site;
use crate::support::host::Host;
use crate::support::registry::Registry;
use crate::support::webdriver::{Driver, Screen};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Logged in as admin, at the list of hosts.
async fn enter(site: &Site, screen: Screen) -> Driver {
    let driver = Driver::start(screen).await;
    let first = site.first_password();
    log_in(&driver, site, "admin", &first).await;
    choose_password(&driver, &first).await;
    driver.sees("Add hosts").await;
    driver
}

/// A registry with an OS image, and two versions of a profile of it.
async fn published(site: &Site) -> Registry {
    let registry = Registry::start().await;
    let entry = json!({ "host": registry.host, "plain_http": true });
    site.post("/api/v1/registries", entry).await;
    registry.push("os/debian", "13", &[os(GOOD)]);
    for version in ["1.0.0", "1.1.0"] {
        let document = format!(
            "apiVersion: burin/v1\nkind: Profile\nmetadata: {{ name: edge, version: {version} }}\n\
             layers:\n  - os: {{ image: {}/os/debian:13 }}\n",
            registry.host
        );
        site.post("/api/v1/profiles", json!({ "document": document }))
            .await;
    }
    registry
}

/// A host of a profile that stopped because two disks fit.
async fn undecided(site: &Site) -> (Host, String) {
    let token = site
        .token(json!({ "profile": "edge", "labels": { "site": "oslo" } }))
        .await;
    let mut host = machine(site, "E300-0001").await;
    host.evidence.macs.push("00:00:00:00:00:00".to_owned());
    let uid = host.join(site, &token).await;
    host.open(site, &uid).await.unwrap();
    let mut sync = host.sync_body(Phase::Degraded);
    sync.findings.clone_from(&host.findings);
    let why = "2 disks could be installed on and burin does not guess";
    sync.observed.last_error = Some(why.to_owned());
    host.sync(site, &sync).await.unwrap();
    (host, uid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_names_the_disk_of_a_host_that_does_not_guess() {
    let site = Site::with(|args| args.interval = Some(1)).await;
    let _registry = published(&site).await;
    let (mut host, uid) = undecided(&site).await;
    let driver = enter(&site, Screen::Phone).await;
    driver.go(&format!("{}/hosts/{uid}", site.url)).await;
    driver.sees("burin does not guess").await;
    driver.sees("Name the disk below").await;

    driver.sees("52:54:00:12:34:56").await;
    let facts = driver.text("#fact-list").await;
    assert!(facts.contains("Let in by\ntoken "), "{facts}");
    assert!(!facts.contains("00:00:00:00:00:00"), "{facts}");
    // What it is to be stays chosen: naming a disk must not move the host to another version.
    let release = "return document.querySelector('select[name=profile]').value";
    assert_eq!(driver.script(release).await, "edge@1.1.0");
    driver.click("option[value=S4EVNX0R100002]").await;
    driver.click("input[name=wipe]").await;
    driver.click("form[action$=\"/assignment\"] button").await;
    driver.sees("The profile was assigned").await;
    driver
        .sees("assignment 2, on the disk S4EVNX0R100002")
        .await;
    driver.sees("foreign: ext4 chosen").await;
    driver.keep("host-disk").await;
    let waits = host.sync_body(Phase::Waiting);
    let answer = host.sync(&site, &waits).await;
    let disk = answer.unwrap().desired.unwrap().disk.unwrap();
    assert_eq!((disk.serial.as_str(), disk.wipe), ("S4EVNX0R100002", true));
    assert!(!disk.reinstall);

    driver.click("a[href=\"/profiles/edge/1.1.0\"]").await;
    driver.sees("Layers, the lowest first").await;
    driver.keep("profile").await;
    driver.go(&format!("{}/hosts/{uid}", site.url)).await;
    driver
        .click("section[aria-labelledby=labels] a[href*=oslo]")
        .await;
    driver.sees("Show all").await;
    driver.sees("ID-E300-0001").await;
    let label = "return document.querySelector('[name=label]').value";
    assert_eq!(driver.script(label).await, "site=oslo");
    driver.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_with_a_cluster_and_a_key_to_change_is_shown_whole() {
    let site = Site::with(|args| args.interval = Some(30)).await;
    let (_, uid) = with_kubeconfig(&site).await;
    let driver = enter(&site, Screen::Desktop).await;
    driver.go(&format!("{}/hosts/{uid}", site.url)).await;
    driver.sees("Download the kubeconfig").await;
    driver.click("details.confirm:first-of-type summary").await;
    driver.click("form[action$=\"/rekey\"] button").await;
    driver.sees("because an operator asked for it").await;
    driver.keep("host-cluster").await;
    driver.quit().await;
}

/// What has the focus, after so many presses of Tab, and whether one sees it.
async fn tabbed(driver: &Driver) -> (String, bool) {
    driver.press(TAB).await;
    let script = "const it = document.activeElement; const style = getComputedStyle(it); \
        return [it.innerText || it.name || it.tagName, \
                style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2]";
    let said = driver.script(script).await;
    let name = said[0].as_str().unwrap().trim().to_owned();
    (name, said[1].as_bool().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_let_in_without_a_mouse() {
    let site = Site::with(|args| args.interval = Some(30)).await;
    let host = machine(&site, "E300-0001").await;
    host.enroll(&site, None).await.unwrap();
    let driver = enter(&site, Screen::Desktop).await;
    driver.go(&format!("{}/hosts", site.url)).await;
    // The first stop leads past the navigation, to the content.
    assert_eq!(tabbed(&driver).await, ("Skip to content".to_owned(), true));
    driver.press(ENTER).await;
    let at = "return document.activeElement.id";
    assert_eq!(driver.script(at).await, "main");
    let reached = reach(&driver, "ID-E300-0001").await;
    assert!(reached.contains(&"q".to_owned()), "{reached:?}");
    driver.press(ENTER).await;
    driver.sees("This host asks to be let in").await;
    reach(&driver, "Approve").await;
    driver.press(ENTER).await;
    driver.sees("The host was let in").await;
    // What cannot be undone opens first, and closes again.
    reach(&driver, "Revoke…").await;
    driver.press(ENTER).await;
    driver.sees("Its key is never accepted again").await;
    let open = "return document.querySelectorAll('details[open]').length";
    assert_eq!(driver.script(open).await, 1);
    driver.press(ENTER).await;
    assert_eq!(driver.script(open).await, 0);
    driver.quit().await;
}

/// Presses Tab until this has the focus; what had it on the way. Every stop is seen.
async fn reach(driver: &Driver, wanted: &str) -> Vec<String> {
    let mut passed = Vec::new();
    while passed.len() < 60 {
        let (name, seen) = tabbed(driver).await;
        assert!(seen, "nobody sees that `{name}` has the focus");
        if name == wanted {
            return passed;
        }
        passed.push(name);
    }
    panic!("Tab does not lead to {wanted}: {passed:?}");
}
