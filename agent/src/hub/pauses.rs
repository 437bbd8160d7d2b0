//! What the task that talks to the hub waits for between two attempts.

use std::time::Duration;

use burin_core::backoff::Class;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::link::{Link, SOONEST};

/// How long the first contact waits for the network. After it the host tries as it is, so that
/// somebody sees what is wrong.
const NETWORK: Duration = Duration::from_secs(60);

impl Link {
    /// Waits for a route, for a while: a service starts before the network is up, and an attempt
    /// that fails costs its back-off.
    pub(super) async fn network(&mut self) {
        let route = self.ways.wait_for(|ways| !ways.is_empty());
        if timeout(NETWORK, route).await.is_err() {
            self.events.note("there is no network yet");
        }
    }

    /// Waits for the next attempt: as long as the back-off says, or until the host has something new
    /// to report or gets another route, unless the hub itself asked for the pause.
    pub(super) async fn wait(&mut self, pause: Duration, class: Class, failures: u32) {
        let began = Instant::now();
        // Routes come one by one: the first attempt may just have been too early.
        let soonest = match failures {
            1 => Duration::ZERO,
            _ => SOONEST.min(pause),
        };
        let way = async {
            if class != Class::Again || self.ways.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let news = async {
            if class != Class::Again || self.report.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = news => sleep_until(began + SOONEST.min(pause)).await,
            () = way => sleep_until(began + soonest).await,
        }
    }
}
