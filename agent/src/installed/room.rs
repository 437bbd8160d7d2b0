//! How full the writable partitions are: told before workloads feel it, and again when it is over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sysinfo::{DiskRefreshKind, Disks};

use crate::context::Paths;
use crate::events::Events;

/// From here on it is told, percent.
const FULL: u64 = 90;
/// Told as over below this, percent: a partition at the edge shall not tell both in turn.
const ROOMY: u64 = 85;

/// Remembers what was told of each partition.
#[derive(Debug, Default)]
pub struct Room {
    told: BTreeMap<PathBuf, bool>,
}

impl Room {
    /// Looks at the partitions and tells what changed.
    pub fn look(&mut self, paths: &Paths, events: &Events) {
        let space = DiskRefreshKind::nothing().with_storage();
        let disks = match Disks::new_with_refreshed_list_specifics(space) {
            Ok(disks) => disks,
            Err(err) => {
                tracing::warn!(%err, "the room on the disks is not known");
                return;
            }
        };
        let places = [
            ("burin-data", &paths.data, "workloads stop when it is full"),
            (
                "burin-system",
                &paths.system,
                "upgrades are refused when it is full",
            ),
            (
                "burin-esp",
                &paths.esp,
                "upgrades are refused when it is full",
            ),
        ];
        for (name, at, follows) in places {
            let Some(disk) = disks.iter().find(|disk| disk.mount_point() == at) else {
                continue;
            };
            let used = percent(disk.total_space(), disk.available_space());
            if let Some(full) = self.change(at, used) {
                events.note(if full {
                    format!("{name} is {used} % full; {follows}")
                } else {
                    format!("{name} has room again, {used} % full")
                });
            }
        }
    }

    /// Whether it is to be told now, and what: `true` for full.
    fn change(&mut self, at: &Path, used: u64) -> Option<bool> {
        let told = self.told.entry(at.to_owned()).or_default();
        let now = if *told { used >= ROOMY } else { used >= FULL };
        let changed = now != *told;
        *told = now;
        changed.then_some(now)
    }
}

/// Used part of a file system, percent, rounded down.
fn percent(total: u64, available: u64) -> u64 {
    let used = u128::from(total.saturating_sub(available));
    u64::try_from(used * 100 / u128::from(total.max(1))).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_is_told_once_and_once_when_it_is_over() {
        let mut room = Room::default();
        let at = Path::new("/run/burin/data");
        let told: Vec<_> = [10, 89, 90, 95, 86, 84, 89, 91]
            .into_iter()
            .map(|used| room.change(at, used))
            .collect();
        let (full, over) = (Some(true), Some(false));
        assert_eq!(told, [None, None, full, None, None, over, None, full]);
    }

    #[test]
    fn sizes_without_sense_do_not_break_it() {
        for (total, available, want) in [(0, 0, 0), (100, 200, 0), (100, 5, 95), (u64::MAX, 0, 100)]
        {
            assert_eq!(percent(total, available), want);
        }
    }
}
