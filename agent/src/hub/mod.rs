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
mod release;
mod session;
mod settings;
mod tls;
pub mod verify;
mod word;

pub use identity::Identity;
pub use link::Link;
pub use problem::Problem;
pub use settings::{HubSettings, Introduction};
pub use word::{Report, Word};
