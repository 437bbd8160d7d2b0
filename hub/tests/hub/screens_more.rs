//! The pages of registries and of ISOs in a real browser.

use serde_json::json;

use crate::screens::{choose_password, log_in};
use crate::support::webdriver::{Driver, Screen};
use crate::support::{Site, iso};

async fn enter(site: &Site, screen: Screen) -> Driver {
    let driver = Driver::start(screen).await;
    let first = site.first_password();
    log_in(&driver, site, "admin", &first).await;
    choose_password(&driver, &first).await;
    driver.sees("No host has called yet").await;
    driver
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_lists_a_registry_and_takes_it_off() {
    let site = Site::start().await;
    let driver = enter(&site, Screen::Phone).await;
    driver.go(&format!("{}/registries", site.url)).await;
    driver.sees("No registry yet").await;
    driver
        .fill("input[name=host]", "registry.example/images")
        .await;
    driver.click("form[action=\"/registries\"] button").await;
    driver.sees("is not HOST or HOST:PORT").await;
    driver.keep("registries-refused").await;
    driver
        .fill("input[name=host]", "registry.example:5000")
        .await;
    driver
        .fill("input[name=endpoint]", "http://127.0.0.1:5000")
        .await;
    driver.click("input[name=plain]").await;
    driver.click("form[action=\"/registries\"] button").await;
    driver.sees("The registry is listed").await;
    driver.keep("registries-one").await;
    let entries = site.get("/api/v1/registries").await;
    assert_eq!(entries[0]["host"], "registry.example:5000");
    assert_eq!(entries[0]["endpoint"], "http://127.0.0.1:5000");
    assert_eq!(entries[0]["plain_http"], true);
    driver.click("details.confirm:last-of-type summary").await;
    driver
        .click("form[action=\"/registries/remove\"] button")
        .await;
    driver.sees("no longer listed").await;
    assert_eq!(site.get("/api/v1/registries").await, json!([]));
    driver.fill("input[name=host]", "registry.example").await;
    driver.click("form[action=\"/registries\"] button").await;
    driver.sees("The registry is listed").await;
    driver.click("details.confirm:first-of-type summary").await;
    driver.fill("input[name=username]", "puller").await;
    driver
        .fill("input[name=password]", "canary-of-a-password")
        .await;
    driver
        .click("form[action=\"/registries/login\"] button")
        .await;
    driver.sees("The credentials are kept").await;
    driver.keep("registries-login").await;
    let page = driver
        .script("return document.documentElement.outerHTML")
        .await;
    assert!(!page.as_str().unwrap().contains("canary-of-a-password"));
    let entries = site.get("/api/v1/registries").await;
    assert_eq!(entries[0]["username"], "puller");
    driver
        .click("form[action=\"/registries/forget\"] button")
        .await;
    driver.sees("The credentials are forgotten").await;
    let log = site.get("/api/v1/audit").await.to_string();
    for action in ["registry.put", "registry.remove"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    driver.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_makes_an_iso_with_a_token_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base.iso");
    iso::write(&base, "EFI/BOOT/BOOTX64.EFI");
    let site = Site::with(|args| args.iso = vec![base]).await;
    for screen in [Screen::Phone, Screen::Desktop] {
        let driver = match screen {
            Screen::Phone => enter(&site, screen).await,
            Screen::Desktop => {
                let driver = Driver::start(screen).await;
                let password = crate::support::browser::Browser::PASSWORD;
                log_in(&driver, &site, "admin", password).await;
                driver.sees("No host has called yet").await;
                driver
            }
        };
        make(&driver, &site).await;
        driver.quit().await;
    }
}

async fn make(driver: &Driver, site: &Site) {
    driver.go(&format!("{}/install", site.url)).await;
    driver.sees("How its hosts get in").await;
    let hidden = "return getComputedStyle(document.querySelector('.only-new')).display";
    assert_eq!(driver.script(hidden).await, "none");
    driver.keep("install").await;
    driver.click("input[value=new]").await;
    assert_eq!(driver.script(hidden).await, "grid");
    driver.fill("input[name=uses]", "7").await;
    driver
        .fill("textarea[name=more]", "#cloud-config\nbruin: {}")
        .await;
    driver.click("main button.primary").await;
    driver.sees("The further user-data has mistakes").await;
    driver.sees("2:1: error: unknown key `bruin`").await;
    driver.keep("install-refused").await;
    // What was typed is still there.
    let typed = "return document.querySelector('[name=uses]').value";
    assert_eq!(driver.script(typed).await, "7");
    driver
        .fill("textarea[name=more]", "#cloud-config\nhostname: box")
        .await;
    driver.click("main button.primary").await;
    driver.sees("Your ISO is ready").await;
    driver.keep("install-ready").await;
    let page = driver
        .script("return document.documentElement.outerHTML")
        .await;
    assert!(
        !page.as_str().unwrap().contains("BRN1-"),
        "the token is in the ISO alone"
    );
    let sum = driver.text("dl.facts code").await;
    let href = driver
        .script("return document.querySelector('[download]').href")
        .await;
    // As the browser does it: with its login, and with nothing else.
    let script = format!(
        "const request = new XMLHttpRequest(); request.open('GET', {href}, false); \
         request.overrideMimeType('text/plain; charset=x-user-defined'); request.send(); \
         return [request.status, request.responseText.length]"
    );
    let bytes = site.get("/api/v1/isos").await[0]["bytes"].clone();
    assert_eq!(driver.script(&script).await, json!([200, bytes]));
    assert_eq!(sum.len(), 64);
}
