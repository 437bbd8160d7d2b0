//! The steps: each joins a decision of core to doors of the machine. No retry loops, no printing.
//!
//! Each file has `perform`, which may block on disks (it runs on a thread of its own) and may be
//! repeated, and where it helps `look`, which sees whether the step is done.

use std::fmt;
use std::time::Duration;

use burin_core::backoff::Class;

pub mod entry;
pub mod filesystems;
pub mod generation;
pub mod good;
pub mod health;
pub mod identity;
pub mod kernel;
pub mod kubernetes;
pub mod partition;
pub mod pull;
pub mod recovery;
pub mod seal;
pub mod sealed;

/// What follows from a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The next step can start.
    Done,
    /// The machine is to restart now.
    Reboot,
    /// The machine is to be switched off now.
    PowerOff,
}

/// Why a step failed, and what trying it again can bring. Any other error counts as
/// [`Class::Again`].
#[derive(Debug)]
pub struct Failure {
    class: Class,
    message: String,
    advice: String,
    source: Option<anyhow::Error>,
}

impl Failure {
    /// It may work at any moment.
    pub fn again(message: impl Into<String>) -> Self {
        Self::new(Class::Again, message)
    }

    /// It works not before `pause` has passed.
    pub fn after(pause: Duration, message: impl Into<String>) -> Self {
        Self::new(Class::After(pause), message)
    }

    /// It works only when something else changes first; `advice` says what.
    pub fn never(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            advice: advice.into(),
            ..Self::new(Class::Never, message)
        }
    }

    fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            advice: String::new(),
            source: None,
        }
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// The class of any error: that of the outermost failure in its chain.
    #[must_use]
    pub fn class_of(error: &anyhow::Error) -> Class {
        find(error).map_or(Class::Again, |failure| failure.class)
    }

    /// What a person can do about an error; empty when nothing is known.
    #[must_use]
    pub fn advice_of(error: &anyhow::Error) -> &str {
        find(error).map_or("", |failure| &failure.advice)
    }
}

fn find(error: &anyhow::Error) -> Option<&Failure> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(source.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_class_is_found_under_any_number_of_contexts() {
        let failure = Failure::never("the disk is too small", "Use a larger disk.");
        let error = anyhow::Error::new(failure)
            .context("doing a")
            .context("doing b");
        assert_eq!(Failure::class_of(&error), Class::Never);
        assert_eq!(Failure::advice_of(&error), "Use a larger disk.");
    }

    #[test]
    fn an_error_without_a_class_is_tried_again() {
        let error = Err::<(), _>(std::io::Error::other("cut"))
            .context("reading")
            .unwrap_err();
        assert_eq!(Failure::class_of(&error), Class::Again);
    }

    #[test]
    fn the_chain_of_causes_goes_through_a_failure() {
        let error = anyhow::Error::new(
            Failure::again("reading the blob").because(std::io::Error::other("connection reset")),
        );
        assert_eq!(format!("{error:#}"), "reading the blob: connection reset");
    }
}
