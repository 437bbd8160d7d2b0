//! The first words of every attempt: where the hub answers, who speaks for it, what time it is.

use burin_api::event::EventKind;
use burin_api::root::{Anchor, MOST_ADDRESSES, RootError};
use burin_core::clock;
use burin_core::view::Fact;

use super::client::{Client, Here};
use super::link::{Link, Memory};
use super::problem::Problem;
use super::tls::Dates;
use super::verify::Greeting;

/// What a hello did to the list of the hub's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    Same,
    /// The hub's root names others: the next attempt begins with those.
    Changed,
}

impl Link {
    /// Where the hub may be, the best first: what its root signed, and user-data's address last.
    fn addresses(&self) -> Vec<String> {
        let root = self.identity.registration().root;
        let mut all = root.map(|root| root.addresses).unwrap_or_default();
        all.truncate(MOST_ADDRESSES);
        if !all.contains(&self.settings.url) {
            all.push(self.settings.url.clone());
        }
        all
    }

    /// Says hello at one address after the other, until the hub answers.
    ///
    /// # Errors
    /// What was wrong at the first address, when it answers at none.
    pub(super) async fn greet(&self, memory: &mut Memory) -> Result<(Client, Greeting), Problem> {
        let mut missed = None;
        for address in self.addresses() {
            match self.greet_at(&address).await {
                Ok(found) => {
                    self.tell_address(memory, address, missed.as_ref());
                    return Ok(found);
                }
                Err(problem) if missed.is_none() => missed = Some(problem),
                Err(_) => {}
            }
        }
        Err(missed.unwrap_or_else(|| Problem::Unreachable("it has no address".to_owned())))
    }

    /// Says where the hub is, when that is not where it was, and why the host looked elsewhere.
    fn tell_address(&self, memory: &mut Memory, address: String, missed: Option<&Problem>) {
        let found = (address.clone(), missed.is_some());
        if memory.found.as_ref() == Some(&found) {
            return;
        }
        if let Some(problem) = missed {
            self.events.note(format!(
                "at the first of the hub's addresses: {problem}; it answers at {address}"
            ));
        } else if memory.found.is_some() || address != self.settings.url {
            self.events
                .note(format!("the hub is at {address}, as its root says"));
        }
        self.events.tell(&Fact::Hub(address));
        memory.found = Some(found);
    }

    async fn greet_at(&self, address: &str) -> Result<(Client, Greeting), Problem> {
        let client = self.client(address, Dates::Checked)?;
        let greeting = match self.hello(&client).await {
            Err(Problem::Dates) => {
                self.ask_the_time(address).await?;
                self.hello(&client).await?
            }
            other => other?,
        };
        Ok((client, greeting))
    }

    fn client(&self, address: &str, dates: Dates) -> Result<Client, Problem> {
        let here = Here {
            settings: &self.settings,
            root: &self.paths.root,
            clock: &self.clock,
            floor: self.identity.registration().confirmed_time,
        };
        Client::new(&here, address, dates)
    }

    async fn hello(&self, client: &Client) -> Result<Greeting, Problem> {
        let held = self.identity.registration().root;
        let anchor = match (&held, &self.settings.root) {
            (Some(document), _) => Anchor::Held(document),
            (None, Some(pin)) => Anchor::Pinned(pin),
            (None, None) => Anchor::FirstContact,
        };
        let greeting = client.hello(anchor).await?;
        let (least, found) = (self.settings.root_version, greeting.root.version);
        if found < least {
            return Err(Problem::Root(RootError::Old { least, found }));
        }
        Ok(greeting)
    }

    /// One hello without dates, to learn the time: only for a host that knows the hub's root, whose
    /// signature over our nonce nobody else can make.
    async fn ask_the_time(&self, address: &str) -> Result<(), Problem> {
        let known = self.identity.registration().root.is_some() || self.settings.root.is_some();
        if !known {
            return Err(Problem::Dates);
        }
        let client = self.client(address, Dates::Waived)?;
        let greeting = self.hello(&client).await?;
        match self.correct_clock(greeting.answer.time) {
            true => Ok(()),
            false => Err(Problem::Dates),
        }
    }

    /// Returns whether the clock was set.
    fn correct_clock(&self, hub: u64) -> bool {
        let now = self.clock.now();
        let floor = self.identity.registration().confirmed_time.max(self.built);
        let Some(time) = clock::correction(now, hub, floor) else {
            return false;
        };
        match self.clock.set(time) {
            Ok(()) => {
                let seconds = i128::from(time) / 1000 - i128::from(now) / 1000;
                self.events.note(format!(
                    "the clock was set by {seconds} s to the hub's time"
                ));
                true
            }
            Err(err) => {
                let err = err.context("setting the clock to the hub's time");
                self.events.report(EventKind::Note, "", &err);
                false
            }
        }
    }

    /// Keeps what a hello brought.
    pub(super) fn heard(&self, greeting: &Greeting) -> Addresses {
        let before = self.addresses();
        self.correct_clock(greeting.answer.time);
        self.keep(|registration| {
            registration.root = Some(greeting.root.clone());
            registration.confirmed_time = registration.confirmed_time.max(greeting.answer.time);
        });
        if self.addresses() == before {
            Addresses::Same
        } else {
            Addresses::Changed
        }
    }
}
