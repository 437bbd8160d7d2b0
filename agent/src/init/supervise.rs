//! The children of PID 1: the driver loader and the agent. Reaps everybody, restarts who crashed.

use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::os::fd::AsFd;

use super::drivers::SETTLED;
use super::{LOGS, PROGRAM, say};
use crate::machine::power::Leave;
use crate::machine::uevent::timeout;

/// Exit code of the agent that asks for a reboot.
pub const REBOOT: i32 = 10;
/// Exit code of the agent that asks for power-off.
pub const POWER_OFF: i32 = 11;

/// The agent starts when the drivers of the first look are loaded, or after this time: a driver that
/// hangs while it probes must not keep the machine from showing its screen.
const DRIVERS_LIMIT: Duration = Duration::from_secs(30);
/// A child that lived this long has not crashed at its start: the back-off begins anew.
const HEALTHY: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Lines of a crashed program's log that are shown.
const LAST_WORDS: usize = 8;
/// Big buffers go back to the kernel when they are freed, and threads share their small ones. Left to
/// itself glibc keeps boot files' worth of memory in an arena for each thread: an installation held
/// 176 MiB instead of 68.
const ALLOCATOR: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_threshold=131072:glibc.malloc.arena_max=2",
);

/// What follows the end of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It has finished and nothing is left to do.
    Stay,
    Leave(Leave),
    StartAgain(Duration),
}

/// Decides what follows: 0 stays, 10 reboots, 11 powers off, all else is a crash. `crashes` counts
/// those before this one.
fn after(code: Option<i32>, crashes: u32) -> Next {
    match code {
        Some(0) => Next::Stay,
        Some(REBOOT) => Next::Leave(Leave::Reboot),
        Some(POWER_OFF) => Next::Leave(Leave::PowerOff),
        _ => {
            let pause = Duration::from_secs(1u64 << crashes.min(6));
            Next::StartAgain(pause.min(LONGEST_PAUSE))
        }
    }
}

/// One program that PID 1 keeps running.
#[derive(Debug)]
struct Child {
    name: &'static str,
    pid: Option<Pid>,
    started: Instant,
    crashes: u32,
    /// When it is to be started (again).
    due: Option<Instant>,
}

impl Child {
    fn new(name: &'static str, due: Instant) -> Self {
        Self {
            name,
            pid: None,
            started: due,
            crashes: 0,
            due: Some(due),
        }
    }

    fn log(&self) -> String {
        format!("{LOGS}/{}.log", self.name)
    }

    fn start(&mut self) -> Result<()> {
        let doing = || format!("starting {PROGRAM} {}", self.name);
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.log())
            .with_context(doing)?;
        let child = Command::new(PROGRAM)
            .arg(self.name)
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .stdin(Stdio::null())
            .stdout(log.try_clone().with_context(doing)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(doing)?;
        // The handle is dropped: PID 1 reaps by number, whoever it is.
        self.pid = Some(Pid::from_raw(
            i32::try_from(child.id()).with_context(doing)?,
        ));
        self.started = Instant::now();
        self.due = None;
        Ok(())
    }

    fn start_if_due(&mut self) {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return;
        }
        if let Err(err) = self.start() {
            say::everywhere(&format!("burin: {err:#}"));
            self.due = Some(Instant::now() + LONGEST_PAUSE);
        }
    }

    /// Takes note of its end; says what follows.
    fn ended(&mut self, status: ExitStatus) -> Next {
        // Programs that it started go with it: a second mke2fs beside an orphaned one would write
        // the same disk. Each child leads a process group; an empty group is no error.
        if let Some(group) = self.pid.take()
            && let Err(err) = killpg(group, Signal::SIGKILL)
            && err != Errno::ESRCH
        {
            say::quietly(&format!("burin: ending what {} started: {err}", self.name));
        }
        if self.started.elapsed() >= HEALTHY {
            self.crashes = 0;
        }
        let next = after(status.code(), self.crashes);
        if let Next::StartAgain(pause) = next {
            self.crashes += 1;
            self.due = Some(Instant::now() + pause);
            say::everywhere(&format!(
                "burin: {} ended unexpectedly ({status}); it starts again in {} s. Its last lines:",
                self.name,
                pause.as_secs()
            ));
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            for line in last_lines(&log) {
                say::everywhere(line);
            }
        }
        next
    }
}

fn last_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().rev().take(LAST_WORDS).collect();
    lines.reverse();
    lines
}

/// Runs the children until the agent asks to leave the machine.
pub(super) fn supervise() -> Result<Leave> {
    let signals = signals();
    signals.thread_block().context("blocking signals")?;
    let incoming = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("making the signal descriptor")?;
    let now = Instant::now();
    let mut drivers = Child::new("drivers", now);
    let mut agent = Child::new("agent", now + DRIVERS_LIMIT);
    say::everywhere("burin: loading drivers");
    loop {
        drivers.start_if_due();
        if agent.crashes == 0 && Path::new(SETTLED).exists() {
            agent.due = agent.due.map(|due| due.min(Instant::now()));
        }
        agent.start_if_due();
        wait(&incoming, next_wake(&[&drivers, &agent]))?;
        for signal in pending(&incoming)? {
            // The driver loader has settled: the loop looks for its sign by itself.
            if !matches!(signal, Signal::SIGCHLD | Signal::SIGUSR2)
                && let Some(leave) = forward(signal, &agent)
            {
                return Ok(leave);
            }
        }
        for (pid, status) in reap() {
            if Some(pid) == drivers.pid {
                drivers.ended(status);
            } else if Some(pid) == agent.pid
                && let Next::Leave(leave) = agent.ended(status)
            {
                return Ok(leave);
            }
        }
    }
}

/// `SIGINT` is Ctrl-Alt-Del (see reboot(2)); the others come from a person or a hypervisor's agent.
fn signals() -> SigSet {
    [
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ]
    .into_iter()
    .collect()
}

/// Ctrl-Alt-Del and a termination signal ask the agent to end, which it answers with its exit code;
/// without an agent the machine reboots at once.
fn forward(signal: Signal, agent: &Child) -> Option<Leave> {
    let ends = matches!(signal, Signal::SIGINT | Signal::SIGTERM);
    let Some(pid) = agent.pid else {
        return ends.then_some(Leave::Reboot);
    };
    let sent = if ends { Signal::SIGTERM } else { signal };
    if let Err(err) = kill(pid, sent) {
        say::quietly(&format!("burin: passing {sent} to the agent: {err}"));
    }
    if ends {
        say::everywhere("burin: asked to restart; the agent ends first");
        wait_for(pid, Instant::now() + Duration::from_secs(10));
        return Some(Leave::Reboot);
    }
    None
}

fn next_wake(children: &[&Child]) -> Duration {
    let now = Instant::now();
    let due = children.iter().filter_map(|child| child.due).min();
    match due {
        Some(due) => due.saturating_duration_since(now),
        None => Duration::from_secs(3600),
    }
}

fn wait(incoming: &SignalFd, longest: Duration) -> Result<()> {
    let mut wanted = [PollFd::new(incoming.as_fd(), PollFlags::POLLIN)];
    match poll(&mut wanted, timeout(longest)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(err) => Err(err).context("waiting for signals"),
    }
}

fn pending(incoming: &SignalFd) -> Result<Vec<Signal>> {
    let mut all = Vec::new();
    while let Some(info) = incoming.read_signal().context("reading signals")? {
        let number = i32::try_from(info.ssi_signo).context("reading signals")?;
        all.push(Signal::try_from(number).context("reading signals")?);
    }
    Ok(all)
}

/// Takes all children that have ended, also those that others left behind.
fn reap() -> Vec<(Pid, ExitStatus)> {
    let mut ended = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => {
                ended.push((pid, ExitStatus::from_raw((code & 0xff) << 8)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                ended.push((pid, ExitStatus::from_raw(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return ended,
            Ok(_) => {}
        }
    }
}

fn wait_for(pid: Pid, deadline: Instant) {
    let gone = || matches!(waitpid(pid, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive);
    while Instant::now() < deadline && !gone() {
        pause_for_child(deadline);
    }
}

/// Waits until PID 1 has no children; false when some are left at the deadline.
pub(super) fn wait_for_all(deadline: Instant) -> bool {
    loop {
        reap();
        let any = waitid(
            Id::All,
            WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT,
        );
        if any == Err(Errno::ECHILD) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        pause_for_child(deadline);
    }
}

/// Waits for the next `SIGCHLD`, which is blocked and so stays pending until it is fetched here.
fn pause_for_child(deadline: Instant) {
    let mut only = SigSet::empty();
    only.add(Signal::SIGCHLD);
    let fetched = SignalFd::with_flags(&only, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("waiting for children")
        .and_then(|incoming| {
            wait(
                &incoming,
                deadline.saturating_duration_since(Instant::now()),
            )?;
            pending(&incoming)
        });
    if let Err(err) = fetched {
        say::quietly(&format!("burin: {err:#}"));
    }
}

/// Waits for any signal and reaps: all that a parked PID 1 still does.
pub(super) fn reap_until_signal() {
    pause_for_child(Instant::now() + LONGEST_PAUSE);
    reap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_of_the_agent_say_what_follows() {
        for (code, crashes, want) in [
            (Some(0), 0, Next::Stay),
            (Some(10), 0, Next::Leave(Leave::Reboot)),
            (Some(11), 3, Next::Leave(Leave::PowerOff)),
            (Some(1), 0, Next::StartAgain(Duration::from_secs(1))),
            (Some(101), 3, Next::StartAgain(Duration::from_secs(8))),
            (None, 40, Next::StartAgain(LONGEST_PAUSE)),
        ] {
            assert_eq!(after(code, crashes), want, "{code:?} after {crashes}");
        }
    }

    #[test]
    fn what_a_child_started_ends_with_it() {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "sleep 600 >/dev/null 2>&1 & echo $!; exit 7"]);
        let leader = shell
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let group = Pid::from_raw(i32::try_from(leader.id()).expect("a number"));
        let out = leader.wait_with_output().expect("its end");
        let orphan: i32 = String::from_utf8_lossy(&out.stdout)
            .trim()
            .parse()
            .expect("the number of the orphan");
        let alive = || {
            // A zombie is dead, whoever forgets to reap it.
            std::fs::read_to_string(format!("/proc/{orphan}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        assert!(alive(), "it outlives its parent by itself");
        let mut child = Child::new("agent", Instant::now());
        child.pid = Some(group);
        child.ended(out.status);
        let deadline = Instant::now() + Duration::from_secs(30);
        while alive() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(!alive(), "it still runs");
    }

    #[test]
    fn a_child_that_crashed_is_due_again_and_counted() {
        let mut child = Child::new("agent", Instant::now());
        child.due = None;
        let next = child.ended(ExitStatus::from_raw(6));
        assert_eq!(next, Next::StartAgain(Duration::from_secs(1)));
        assert!(child.due.is_some() && child.pid.is_none() && child.crashes == 1);
        assert_eq!(
            child.ended(ExitStatus::from_raw(10 << 8)),
            Next::Leave(Leave::Reboot)
        );
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        let text: String = (0..20).map(|n| format!("line {n}\n")).collect();
        assert_eq!(last_lines(&text).first(), Some(&"line 12"));
        assert_eq!(last_lines(&text).len(), LAST_WORDS);
    }
}
