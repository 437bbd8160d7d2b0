//! What a process costs, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The unit of times in /proc/PID/stat: Linux shows a hundred a second, whatever it counts with.
const TICK: Duration = Duration::from_millis(10);

/// Of one process, since it began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    /// In user and kernel mode.
    pub(super) cpu: Duration,
    /// The most memory that it ever held.
    pub(super) peak_mib: f64,
}

impl Cost {
    /// # Errors
    /// When there is no such process.
    pub(super) fn of(process: u32) -> Result<Self> {
        let read = |name: &str| {
            let path = format!("/proc/{process}/{name}");
            fs::read_to_string(&path).with_context(|| format!("reading {path}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        Ok(Self {
            cpu: cpu(&stat).context("no times in /proc/PID/stat")?,
            peak_mib: peak(&status).context("no VmHWM in /proc/PID/status")?,
        })
    }
}

fn cpu(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

fn peak(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Lets this process and what it starts hold `files` open, and more where the machine allows it.
///
/// # Errors
/// When the hard limit is lower.
pub(super) fn allow_files(files: u64) -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of files")?;
    ensure!(
        files <= hard,
        "{files} open files are needed and {hard} are allowed; raise it with `ulimit -Hn`"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_blanks() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 5 0 100 1 2";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu("7 (a"), None);
    }

    #[test]
    fn the_own_process_has_memory() {
        let own = Cost::of(std::process::id()).unwrap();
        assert!(own.peak_mib > 0.5, "{own:?}");
    }
}
