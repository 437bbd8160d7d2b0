//! Rate limits: so many per time with a burst, counted for each caller apart (GCRA, the leaky
//! bucket that keeps one time stamp).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

/// Callers that one limit remembers; when full, those who have waited enough are forgotten.
const MEMORY: usize = 50_000;

/// One limit.
#[derive(Debug)]
pub(crate) struct Limit {
    /// Milliseconds that one call costs.
    cost: i64,
    /// Milliseconds of cost that may be outstanding.
    depth: i64,
    full_at: Mutex<HashMap<String, i64>>,
}

impl Limit {
    /// `burst` calls at once, then one every `cost` milliseconds.
    pub(crate) fn new(cost: i64, burst: i64) -> Self {
        Self {
            cost,
            depth: cost * burst,
            full_at: Mutex::default(),
        }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// Seconds until the caller may try again.
    pub(crate) fn take(&self, caller: &str, now: i64) -> Result<(), u32> {
        let mut all = self
            .full_at
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if all.len() >= MEMORY && !all.contains_key(caller) {
            all.retain(|_, at| *at > now);
            if all.len() >= MEMORY {
                return Err(60);
            }
        }
        let at = all.get(caller).copied().unwrap_or(now).max(now);
        let wait = at + self.cost - now - self.depth;
        if wait > 0 {
            return Err(u32::try_from((wait + 999) / 1000).unwrap_or(u32::MAX));
        }
        all.insert(caller.to_owned(), at + self.cost);
        Ok(())
    }
}

/// The limits of protocol.md.
#[derive(Debug)]
pub(crate) struct Limits {
    /// hello and enroll, by address.
    pub(crate) door: Limit,
    /// session, by host.
    pub(crate) session: Limit,
    /// sync, by host.
    pub(crate) sync: Limit,
    /// login of admins, by address.
    pub(crate) login: Limit,
}

impl Limits {
    /// `sync_every`: a polling interval that an operator set lower than 5 seconds, in seconds.
    pub(crate) fn new(sync_every: Option<u32>) -> Self {
        let sync = i64::from(sync_every.unwrap_or(5).clamp(1, 5)) * 1000;
        Self {
            door: Limit::new(1_000, 60),
            // A small burst: a host that lost an answer may ask again at once.
            session: Limit::new(10_000, 5),
            sync: Limit::new(sync, 5),
            login: Limit::new(12_000, 5),
        }
    }
}

/// Who calls: an IPv4 address, or the /64 of an IPv6 one (a host owns all of it).
pub(crate) fn caller(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_one_at_a_time() {
        let limit = Limit::new(1_000, 3);
        for _ in 0..3 {
            assert_eq!(limit.take("a", 0), Ok(()));
        }
        assert_eq!(limit.take("a", 0), Err(1));
        assert_eq!(limit.take("b", 0), Ok(()));
        assert_eq!(limit.take("a", 1_000), Ok(()));
        assert_eq!(limit.take("a", 1_500), Err(1));
    }

    #[test]
    fn addresses_of_one_network_share_a_limit() {
        let of = |text: &str| caller(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
