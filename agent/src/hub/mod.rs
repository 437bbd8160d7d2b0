//! The host's side of the host API: identity, registration, session, sync.

mod client;
mod greet;
pub mod identity;
mod key;
mod link;
mod messages;
mod pauses;
mod problem;
mod rekey;
mod session;
mod settings;
mod tls;

pub use identity::Identity;
pub use link::{Link, Report, Word};
pub use problem::Problem;
pub use settings::{HubSettings, Introduction};
