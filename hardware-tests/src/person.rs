//! A person at the hub's pages, in a real browser: logs in, reads, types, clicks.

use std::path::Path;

use anyhow::{Context, Result};
use burin_browser::Screen;

use crate::{
    browser::Browser,
    canary::{Kind, note, random},
    hub::Hub,
};

/// A person with an account and a browser.
#[derive(Debug)]
pub struct Person {
    pub browser: Browser,
    hub: String,
    name: &'static str,
    first: String,
    password: String,
}

impl Person {
    /// An operator at a desk, logged in. Pictures and the passwords' list of canaries go below `folder`.
    ///
    /// # Errors
    /// When the account cannot be made, or the pages do not let it in.
    pub fn operator(hub: &Hub, folder: &Path) -> Result<Self> {
        let person = Self::with_account(hub, folder, "olga", "operator", Screen::Desktop)?;
        person.open("/login")?;
        person.log_in(folder, "Hosts")?;
        Ok(person)
    }

    /// A technician with a telephone who was given an account and never logged in.
    ///
    /// # Errors
    /// When the account cannot be made or there is no browser.
    pub fn technician(hub: &Hub, folder: &Path) -> Result<Self> {
        Self::with_account(hub, folder, "tim", "technician", Screen::Phone)
    }

    fn with_account(
        hub: &Hub,
        folder: &Path,
        name: &'static str,
        role: &str,
        screen: Screen,
    ) -> Result<Self> {
        let made = hub.ask(&["person", "add", name, "--role", role])?;
        let first = made["password"].as_str().context("no first password")?;
        let password = random("password")?;
        note(folder, Kind::FirstPassword, first)?;
        note(folder, Kind::Password, &password)?;
        Ok(Self {
            browser: Browser::start(screen, &folder.join("pictures"))?,
            hub: hub.greeting.url.clone(),
            name,
            first: first.to_owned(),
            password,
        })
    }

    /// Opens a page of the hub.
    ///
    /// # Errors
    /// When it does not load.
    pub fn open(&self, path: &str) -> Result<()> {
        self.browser.go(&format!("{}{path}", self.hub))
    }

    /// Logs in for the first time, on the login page that is open, and chooses a password. The browser is
    /// led to where it wanted to go: a page that shows `next`.
    ///
    /// # Errors
    /// When the pages do not let the person in.
    pub fn log_in(&self, folder: &Path, next: &str) -> Result<()> {
        let browser = &self.browser;
        browser.fill("input[name=name]", self.name)?;
        browser.fill("input[name=password]", &self.first)?;
        browser.click("button.primary")?;
        browser.sees("Choose your own password")?;
        browser.fill("input[name=old]", &self.first)?;
        browser.fill("input[name=new]", &self.password)?;
        browser.fill("input[name=again]", &self.password)?;
        browser.click("main button.primary")?;
        browser.sees(next)?;
        for cookie in browser.cookies()? {
            note(folder, Kind::Session, &cookie)?;
        }
        Ok(())
    }
}
