//! A real browser whose faults are the test's.

use std::path::Path;

pub(crate) use burin_browser::Screen;
use burin_browser::{Driver as Inner, Options};
use serde_json::Value;

/// One browser with one window.
pub(crate) struct Driver(Inner);

impl Driver {
    pub(crate) async fn start(screen: Screen) -> Self {
        let options = Options {
            screen,
            pictures: Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots"),
            loopback: None,
        };
        Self(Inner::start(&options).await.unwrap())
    }

    pub(crate) async fn go(&self, url: &str) {
        self.0.go(url).await.unwrap();
    }

    pub(crate) async fn click(&self, css: &str) {
        self.0.click(css).await.unwrap();
    }

    /// Replaces what stands in a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        self.0.fill(css, text).await.unwrap();
    }

    /// Presses a key: a character, or one of WebDriver's code points of keys.
    pub(crate) async fn press(&self, key: &str) {
        self.0.press(key).await.unwrap();
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        self.0.text(css).await.unwrap()
    }

    /// Waits until the page shows a text.
    pub(crate) async fn sees(&self, text: &str) {
        self.0.sees(text).await.unwrap();
    }

    pub(crate) async fn script(&self, script: &str) -> Value {
        self.0.script(script).await.unwrap()
    }

    /// Keeps a picture of the whole page, light and dark, and checks what every page must be.
    pub(crate) async fn keep(&self, name: &str) {
        self.0.keep(name).await.unwrap();
    }

    /// Ends the browser; it must have had nothing to complain of.
    pub(crate) async fn quit(self) {
        self.0.quit().await.unwrap();
    }
}
