//! A real browser, driven by the W3C WebDriver protocol: Debian's chromium without a screen.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a page may take to show what it should.
const PATIENCE: Duration = Duration::from_secs(60);
/// Name of an element's reference in answers (WebDriver, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The width of a screen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desktop,
    Phone,
}

/// One browser with one window.
pub(crate) struct Driver {
    http: reqwest::Client,
    session: String,
    shots: PathBuf,
    screen: Screen,
    _profile: tempfile::TempDir,
    process: Child,
}

impl Drop for Driver {
    /// Ends the browser with its driver, also after a failed test.
    fn drop(&mut self) {
        if let Some(group) = self.process.id() {
            let group = format!("-{group}");
            let killed = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .status();
            if let Err(err) = killed {
                eprintln!("ending the browser: {err}");
            }
        }
    }
}

impl Driver {
    /// Starts chromedriver and a browser that trusts any certificate.
    pub(crate) async fn start(screen: Screen) -> Self {
        let (process, port) = chromedriver().await;
        let profile = tempfile::tempdir().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut driver = Self {
            session: format!("http://127.0.0.1:{port}/session"),
            http,
            shots: Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
            screen,
            _profile: profile,
            process,
        };
        std::fs::create_dir_all(&driver.shots).unwrap();
        let wanted = capabilities(screen, driver._profile.path());
        let session = driver.ask(reqwest::Method::POST, "", wanted).await;
        let id = session["sessionId"].as_str().unwrap();
        driver.session = format!("{}/{id}", driver.session);
        driver
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        match self.try_ask(method, path, body).await {
            Ok(value) => value,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    async fn try_ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Value,
    ) -> Result<Value, Value> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.session));
        if method == reqwest::Method::POST {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let good = answer.status().is_success();
        let value = answer.json::<Value>().await.unwrap()["value"].clone();
        if good { Ok(value) } else { Err(value) }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(reqwest::Method::POST, path, body).await
    }

    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub(crate) async fn url(&self) -> String {
        let url = self.ask(reqwest::Method::GET, "/url", Value::Null).await;
        url.as_str().unwrap().to_owned()
    }

    /// The element that a style selector means; waits until there is one.
    async fn find(&self, css: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = json!({ "using": "css selector", "value": css });
            match self.try_ask(reqwest::Method::POST, "/element", body).await {
                Ok(found) => return found[ELEMENT].as_str().unwrap().to_owned(),
                Err(_) if Instant::now() < deadline => self.pause().await,
                Err(error) => panic!("{css} is not on {}: {error}", self.url().await),
            }
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// Asks something of an element.
    async fn of(&self, method: reqwest::Method, css: &str, what: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(css).await;
            let path = format!("/element/{element}/{what}");
            match self.try_ask(method.clone(), &path, json!({})).await {
                Ok(value) => return value,
                // A live part was swapped after it was found.
                Err(error)
                    if error["error"] == "stale element reference" && Instant::now() < deadline => {
                }
                Err(error) => panic!("{what} of {css}: {error}"),
            }
        }
    }

    pub(crate) async fn click(&self, css: &str) {
        self.of(reqwest::Method::POST, css, "click").await;
    }

    /// Replaces what stands in a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.post(&format!("/element/{element}/clear"), json!({}))
            .await;
        self.post(
            &format!("/element/{element}/value"),
            json!({ "text": text }),
        )
        .await;
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        let text = self.of(reqwest::Method::GET, css, "text").await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until the page shows a text.
    pub(crate) async fn sees(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = self
                .script("return document.body ? document.body.innerText : ''")
                .await;
            let body = body.as_str().unwrap().to_owned();
            if body.contains(text) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} does not show `{text}`: {body}",
                self.url().await
            );
            self.pause().await;
        }
    }

    pub(crate) async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
            .await
    }

    /// Keeps a picture of the whole page, light and dark, and checks what every page must hold.
    pub(crate) async fn keep(&self, name: &str) {
        let width = match self.screen {
            Screen::Desktop => "desktop",
            Screen::Phone => "phone",
        };
        for theme in ["light", "dark"] {
            let feature = json!([{ "name": "prefers-color-scheme", "value": theme }]);
            self.devtools("Emulation.setEmulatedMedia", json!({ "features": feature }))
                .await;
            let whole = json!({ "captureBeyondViewport": true, "format": "png" });
            let shot = self.devtools("Page.captureScreenshot", whole).await;
            let data = shot["data"].as_str().unwrap();
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(data)
                .unwrap();
            let file = self.shots.join(format!("{name}-{width}-{theme}.png"));
            std::fs::write(file, bytes).unwrap();
        }
        self.check(name).await;
    }

    /// What every page must be: no wider than the screen, every field with a name, one heading.
    async fn check(&self, name: &str) {
        let faults = self.script(CHECK).await;
        assert_eq!(faults, json!([]), "{name}");
    }

    /// What the browser complained of since it was asked last, but answers with an error status.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap().iter();
        entries
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .filter(|message| !message.contains("Failed to load resource"))
            .collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", body).await
    }

    /// Ends the browser.
    pub(crate) async fn quit(self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
        self.ask(reqwest::Method::DELETE, "", Value::Null).await;
    }
}

const CHECK: &str = r#"
const faults = [];
const wide = document.documentElement.scrollWidth - window.innerWidth;
if (wide > 0) { faults.push(`the page is ${wide} px wider than the screen`); }
for (const field of document.querySelectorAll("input:not([type=hidden], [hidden]), select, textarea")) {
  if (!field.labels.length && !field.getAttribute("aria-label")) { faults.push(`no label: ${field.outerHTML}`); }
}
for (const button of document.querySelectorAll("button, a[href]")) {
  if (!button.textContent.trim()) { faults.push(`no name: ${button.outerHTML}`); }
}
if (document.querySelectorAll("h1").length !== 1) { faults.push("not one h1"); }
if (document.querySelectorAll("main").length !== 1) { faults.push("not one main"); }
const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
for (const id of ids) { if (ids.indexOf(id) !== ids.lastIndexOf(id)) { faults.push(`two of #${id}`); } }
return faults;
"#;

fn capabilities(screen: Screen, profile: &Path) -> Value {
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,900",
        "--no-proxy-server",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let mut options = json!({ "args": arguments, "binary": "/usr/bin/chromium" });
    if screen == Screen::Phone {
        let metrics = json!({ "width": 390, "height": 844, "pixelRatio": 2.0, "touch": true });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "WARNING" },
    } } })
}

/// Starts it on a free port.
async fn chromedriver() -> (Child, u16) {
    let mut process = Command::new("chromedriver")
        .args(["--port=0", "--allowed-ips=127.0.0.1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .expect("chromedriver does not start; install the packages chromium and chromium-driver");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let Some((_, port)) = line.split_once("started successfully on port ") else {
            continue;
        };
        let port = port.trim().trim_end_matches('.').parse().unwrap();
        // It writes on; a closed pipe would end it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        return (process, port);
    }
    panic!("chromedriver ended without a port");
}
