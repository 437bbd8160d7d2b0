//! Wire types between a burin host and its hub: `POST https://HUB/h/1/{hello,enroll,session,sync}`.
//!
//! Only values and byte formats live here. Messages from machines are read leniently: an unknown
//! field is ignored and an unknown variant becomes `Unknown`, so that old and new versions talk.

pub mod answer;
pub mod base32;
pub mod claim;
pub mod code;
pub mod desired;
pub mod dsse;
pub mod event;
pub mod host;
pub mod message;
pub mod release;
pub mod root;
pub mod sealed;
pub mod token;
