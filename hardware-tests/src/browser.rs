//! The browser of a person, for stories that are told without `async`.

use std::path::Path;

use anyhow::{Context, Result};
use burin_browser::{Driver, Options, Screen};
use tokio::runtime::{self, Runtime};

use crate::hub::GUEST_SEES;

/// One browser with one window. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    runtime: Runtime,
}

impl Browser {
    /// Starts it. Pictures go to the folder `pictures`; the address by which machines reach this one
    /// leads here, so that a link off a machine's screen is opened as it stands.
    ///
    /// # Errors
    /// When chromium or chromedriver is not installed, or does not come up.
    pub fn start(screen: Screen, pictures: &Path) -> Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("starting a runtime for the browser")?;
        let options = Options {
            screen,
            pictures: pictures.to_owned(),
            loopback: Some(GUEST_SEES.to_owned()),
        };
        let driver = runtime.block_on(Driver::start(&options))?;
        Ok(Self { driver, runtime })
    }

    /// See [`Driver::go`].
    ///
    /// # Errors
    /// As that.
    pub fn go(&self, url: &str) -> Result<()> {
        self.runtime.block_on(self.driver.go(url))
    }

    /// See [`Driver::click`].
    ///
    /// # Errors
    /// As that.
    pub fn click(&self, css: &str) -> Result<()> {
        self.runtime.block_on(self.driver.click(css))
    }

    /// See [`Driver::fill`].
    ///
    /// # Errors
    /// As that.
    pub fn fill(&self, css: &str, text: &str) -> Result<()> {
        self.runtime.block_on(self.driver.fill(css, text))
    }

    /// See [`Driver::choose`].
    ///
    /// # Errors
    /// As that.
    pub fn choose(&self, css: &str, text: &str) -> Result<()> {
        self.runtime.block_on(self.driver.choose(css, text))
    }

    /// See [`Driver::text`].
    ///
    /// # Errors
    /// As that.
    pub fn text(&self, css: &str) -> Result<String> {
        self.runtime.block_on(self.driver.text(css))
    }

    /// See [`Driver::sees`].
    ///
    /// # Errors
    /// As that.
    pub fn sees(&self, text: &str) -> Result<()> {
        self.runtime.block_on(self.driver.sees(text))
    }

    /// See [`Driver::keep`].
    ///
    /// # Errors
    /// As that.
    pub fn keep(&self, name: &str) -> Result<()> {
        self.runtime.block_on(self.driver.keep(name))
    }

    /// See [`Driver::cookies`].
    ///
    /// # Errors
    /// As that.
    pub fn cookies(&self) -> Result<Vec<String>> {
        self.runtime.block_on(self.driver.cookies())
    }

    /// See [`Driver::quit`].
    ///
    /// # Errors
    /// As that.
    pub fn quit(self) -> Result<()> {
        self.runtime.block_on(self.driver.quit())
    }
}
