//! Ways into the hub in a real browser: codes that are set up by their picture, and the way over an
//! identity provider, which is another site to the browser.

use std::path::Path;

use burin_hub::cli::AdminCodes;

use crate::codes::Codes;
use crate::oidc;
use crate::support::Site;
use crate::support::browser::Browser;
use crate::support::provider::{Person, Provider};
use crate::support::webdriver::{Driver, Screen};

/// What a program that is not ours reads in a picture.
fn decoded(picture: &Path) -> String {
    let program = std::process::Command::new("zbarimg")
        .args(["--quiet", "--raw"])
        .arg(picture)
        .output()
        .expect("the test needs the package `zbar-tools`");
    String::from_utf8(program.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_sets_up_codes_by_their_picture() {
    let site = Site::with(|args| args.people.admin_codes = Some(AdminCodes::Required)).await;
    let driver = Driver::start(Screen::Desktop).await;
    let first = site.first_password();
    driver.go(&format!("{}/people", site.url)).await;
    driver.fill("input[name=name]", "admin").await;
    driver.fill("input[name=password]", &first).await;
    driver.click("button.primary").await;
    driver.sees("Choose your own password").await;
    driver.fill("input[name=old]", &first).await;
    driver.fill("input[name=new]", Browser::PASSWORD).await;
    driver.fill("input[name=again]", Browser::PASSWORD).await;
    driver.click("main button.primary").await;
    driver.sees("Set up one-time codes").await;
    driver.keep("codes-setup").await;
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    let link = decoded(&pictures.join("codes-setup-desktop-light.png"));
    let seed = driver.text("code.key").await.replace(' ', "");
    let want = format!("otpauth://totp/burin:admin?secret={seed}&issuer=burin\n");
    assert_eq!(link, want);
    driver
        .fill("input[name=code]", &Codes::of(&seed).at(0))
        .await;
    driver.click("main button.primary").await;
    driver.sees("Recovery codes").await;
    driver.keep("codes-recovery").await;
    driver.click("a.primary").await;
    // Where the person wanted to go before all this.
    driver.sees("What the roles may do").await;
    driver.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_comes_in_over_the_provider() {
    let provider = Provider::start().await;
    let site = oidc::with(&provider).await;
    provider.visit(Person {
        subject: "s-1".to_owned(),
        name: "anna".to_owned(),
        groups: vec!["ops".to_owned()],
    });
    let driver = Driver::start(Screen::Phone).await;
    driver.go(&format!("{}/tokens", site.url)).await;
    driver.sees("Log in with 127.0.0.1").await;
    driver.keep("login-provider").await;
    driver.click("#provider").await;
    // Over the other site and back, without a click.
    driver.sees("Make a token").await;
    driver.go(&format!("{}/account", site.url)).await;
    driver.sees("You log in over").await;
    driver.keep("account-provider").await;
    driver.quit().await;
}
