//! The hub from outside: over TLS, with a host and an admin of the tests' own.
//! `tests/hub_postgres` is a link to this folder: the suite runs once on each database.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests end at the first surprise, as the tests do"
)]

mod abuse;
mod admission;
mod canaries;
mod claims;
mod codes;
mod commands;
mod doors;
mod endless;
mod entering;
mod flood;
mod guesses;
mod heartbeat;
mod isos;
mod killed;
mod landing;
mod manual;
mod moving;
mod oidc;
mod outage;
mod people;
mod progress;
mod projects;
mod publishing;
mod races;
mod refused_hosts;
mod refused_people;
mod releases;
mod screens;
mod screens_host;
mod screens_more;
mod sealed;
mod servers;
mod sessions;
mod signed_images;
mod skew;
mod slow;
mod starting;
mod strangers;
mod support;
mod usability;
mod webhook;
