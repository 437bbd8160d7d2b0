//! The management service of burin and its command line. `main` is thin, so that tests can start a
//! hub in their own process.

mod admin;
mod certificate;
pub mod cli;
mod client;
mod clock;
pub mod codes;
pub mod db;
mod files;
mod heartbeats;
mod host_api;
mod isos;
mod keys;
mod kubeconfig;
mod limit;
pub mod listen;
mod metrics;
mod network;
mod nonce;
pub mod people;
mod projects;
mod public_url;
mod publish;
mod refusals;
mod registration;
mod registries;
mod release;
mod roots;
pub mod routes;
pub mod secret;
pub mod serve;
mod silence;
mod state;
mod transfer;
mod vault;
mod web;
mod webhook;
