//! A real browser, driven by the W3C WebDriver protocol: Debian's chromium without a screen.

mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::process::Process;

/// How long a page may take to show what it should.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a page, which tells nobody that it changed.
const PAUSE: Duration = Duration::from_millis(50);
/// How long chromedriver may take for one answer; a page loads within seconds.
const ANSWER: Duration = Duration::from_secs(90);
/// How often a browser is started that does not come up.
const STARTS: u32 = 3;
/// Name of an element's reference in answers (WebDriver, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Answers the faults of a page as a list of texts.
const CHECK: &str = include_str!("check.js");

/// The width of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// 1280 by 900.
    Desktop,
    /// 390 by 844, touched.
    Phone,
}

impl Screen {
    /// As it stands in names of pictures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Phone => "phone",
        }
    }
}

/// What kind of browser.
#[derive(Debug, Clone)]
pub struct Options {
    pub screen: Screen,
    /// Folder of the pictures; made when it is missing.
    pub pictures: PathBuf,
    /// A name or address that this machine itself answers for, as virtual machines have one for it.
    pub loopback: Option<String>,
}

/// One browser with one window. Dropping it ends it.
#[derive(Debug)]
pub struct Driver {
    http: reqwest::Client,
    session: String,
    pictures: PathBuf,
    screen: Screen,
    /// Ends before its profile is removed: fields are dropped in their order.
    _process: Process,
    _profile: tempfile::TempDir,
}

impl Driver {
    /// Starts chromedriver and a browser that trusts any certificate. Needs a Tokio runtime for its
    /// whole life.
    ///
    /// # Errors
    /// When one of them is not installed or does not come up.
    pub async fn start(options: &Options) -> Result<Self> {
        std::fs::create_dir_all(&options.pictures)
            .with_context(|| format!("making {}", options.pictures.display()))?;
        // An error says that this process has a provider of TLS already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut left = STARTS;
        loop {
            left -= 1;
            match Self::begin(options).await {
                Ok(driver) => return Ok(driver),
                Err(error) if left == 0 => return Err(error),
                // Seen on busy machines: both processes wait for each other and never go on.
                Err(error) => tracing::warn!("starting the browser again: {error:#}"),
            }
        }
    }

    async fn begin(options: &Options) -> Result<Self> {
        let process = Process::start().await?;
        let profile = tempfile::tempdir().context("making a profile for the browser")?;
        let wanted = process::capabilities(options, profile.path());
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER);
        let mut driver = Self {
            session: format!("http://127.0.0.1:{}/session", process.port),
            http: http.build().context("making a client for chromedriver")?,
            pictures: options.pictures.clone(),
            screen: options.screen,
            _process: process,
            _profile: profile,
        };
        let session = driver.post("", wanted).await.context("starting chromium")?;
        let id = session["sessionId"].as_str().context("no session")?;
        driver.session = format!("{}/{id}", driver.session);
        Ok(driver)
    }

    /// What WebDriver answers, and whether it is an error.
    async fn try_ask(&self, method: Method, path: &str, body: Value) -> Result<(bool, Value)> {
        let url = format!("{}{path}", self.session);
        let mut request = self.http.request(method.clone(), url);
        if method == Method::POST {
            request = request.json(&body);
        }
        let answer = request.send().await.context("asking chromedriver")?;
        let good = answer.status().is_success();
        let mut value: Value = answer.json().await.context("reading chromedriver")?;
        Ok((good, value["value"].take()))
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let (good, value) = self.try_ask(method, path, body).await?;
        ensure!(good, "{path}: {value}");
        Ok(value)
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.ask(Method::POST, path, body).await
    }

    /// Opens a page.
    ///
    /// # Errors
    /// When it does not load.
    pub async fn go(&self, url: &str) -> Result<()> {
        self.post("/url", json!({ "url": url })).await?;
        Ok(())
    }

    /// Where the browser is.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn url(&self) -> Result<String> {
        let url = self.ask(Method::GET, "/url", Value::Null).await?;
        Ok(url.as_str().unwrap_or_default().to_owned())
    }

    /// The element that a style selector means; waits until there is one.
    async fn find(&self, css: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = json!({ "using": "css selector", "value": css });
            let (good, found) = self.try_ask(Method::POST, "/element", body).await?;
            if good {
                let element = found[ELEMENT].as_str().context("an element without name")?;
                return Ok(element.to_owned());
            }
            if Instant::now() > deadline {
                bail!("{css} is not on {}: {found}", self.url().await?);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks something of an element.
    async fn of(&self, method: Method, css: &str, what: &str, body: Value) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(css).await?;
            let path = format!("/element/{element}/{what}");
            let (good, value) = self.try_ask(method.clone(), &path, body.clone()).await?;
            if good {
                return Ok(value);
            }
            // A live part was swapped after it was found.
            if value["error"] != "stale element reference" || Instant::now() > deadline {
                bail!("{what} of {css}: {value}");
            }
        }
    }

    /// Clicks on the element of a style selector.
    ///
    /// # Errors
    /// When there is none within a minute, or it cannot be clicked.
    pub async fn click(&self, css: &str) -> Result<()> {
        self.of(Method::POST, css, "click", json!({})).await?;
        Ok(())
    }

    /// Replaces what stands in a field.
    ///
    /// # Errors
    /// As [`Self::click`].
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        self.of(Method::POST, css, "clear", json!({})).await?;
        let body = json!({ "text": text });
        self.of(Method::POST, css, "value", body).await?;
        Ok(())
    }

    /// Chooses from a list what begins with `text`, as a keyboard does.
    ///
    /// # Errors
    /// When the list has nothing like it, or as [`Self::click`].
    pub async fn choose(&self, css: &str, text: &str) -> Result<()> {
        let body = json!({ "text": text });
        self.of(Method::POST, css, "value", body).await?;
        let chosen = self.of(Method::GET, css, "property/value", Value::Null);
        let chosen = chosen.await?;
        let fits = chosen.as_str().is_some_and(|it| it.starts_with(text));
        ensure!(fits, "{css} has no `{text}`: {chosen} was chosen");
        Ok(())
    }

    /// Presses a key and lets it go, as somebody without a mouse does: a character, or one of the
    /// code points that WebDriver gives to keys (17.4.2), as `"\u{e004}"` for Tab.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn press(&self, key: &str) -> Result<()> {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": keys });
        self.post("/actions", json!({ "actions": [keyboard] }))
            .await?;
        Ok(())
    }

    /// What an element shows.
    ///
    /// # Errors
    /// As [`Self::click`].
    pub async fn text(&self, css: &str) -> Result<String> {
        let text = self.of(Method::GET, css, "text", Value::Null).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page shows a text.
    ///
    /// # Errors
    /// When it does not within a minute; the error carries what it shows.
    pub async fn sees(&self, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = "return document.body ? document.body.innerText : ''";
            let body = self.script(body).await?;
            let body = body.as_str().unwrap_or_default();
            if body.contains(text) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} does not show `{text}`: {body}", self.url().await?);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What a script of the page's own world returns.
    ///
    /// # Errors
    /// When it throws.
    pub async fn script(&self, script: &str) -> Result<Value> {
        let body = json!({ "script": script, "args": [] });
        self.post("/execute/sync", body).await
    }

    /// Values of the cookies that the browser would send to this page, those hidden from scripts too.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn cookies(&self) -> Result<Vec<String>> {
        let all = self.ask(Method::GET, "/cookie", Value::Null).await?;
        let all = all.as_array().context("no list of cookies")?.iter();
        let values = all.filter_map(|cookie| cookie["value"].as_str());
        Ok(values.map(str::to_owned).collect())
    }

    /// Keeps a picture of the whole page, light and dark, as `<name>-<screen>-<theme>.png`, and checks
    /// what every page must be.
    ///
    /// # Errors
    /// When a picture cannot be kept, or the page is too wide, or has a field without name.
    pub async fn keep(&self, name: &str) -> Result<()> {
        for theme in ["light", "dark"] {
            let feature = json!([{ "name": "prefers-color-scheme", "value": theme }]);
            self.devtools("Emulation.setEmulatedMedia", json!({ "features": feature }))
                .await?;
            let file = format!("{name}-{}-{theme}.png", self.screen.name());
            self.picture(&self.pictures.join(file)).await?;
        }
        let faults = self.script(CHECK).await?;
        ensure!(faults == json!([]), "faults of the page {name}: {faults}");
        Ok(())
    }

    async fn picture(&self, file: &Path) -> Result<()> {
        let whole = json!({ "captureBeyondViewport": true, "format": "png" });
        let shot = self.devtools("Page.captureScreenshot", whole).await?;
        let data = shot["data"].as_str().context("a picture without data")?;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .map_err(|error| anyhow!("decoding a picture: {error}"))?;
        std::fs::write(file, bytes).with_context(|| format!("writing {}", file.display()))
    }

    /// What the browser complained of since it was asked last, but answers with an error status.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", json!({ "type": "browser" })).await?;
        let entries = log.as_array().context("no list of complaints")?.iter();
        Ok(entries
            .filter_map(|entry| entry["message"].as_str())
            .filter(|message| !message.contains("Failed to load resource"))
            .map(str::to_owned)
            .collect())
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", body).await
    }

    /// Ends the browser.
    ///
    /// # Errors
    /// When it had something to complain of.
    pub async fn quit(self) -> Result<()> {
        let complaints = self.complaints().await?;
        ensure!(complaints.is_empty(), "complaints: {complaints:?}");
        self.ask(Method::DELETE, "", Value::Null).await?;
        Ok(())
    }
}
