//! Programs: by absolute name, with their standard error kept and a deadline.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::uevent::timeout;

/// Bytes of a program's output that are kept.
const KEPT: u64 = 64 * 1024;

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

/// Runs a program and waits for its success.
///
/// # Errors
/// When the name is not absolute, it cannot be started, it does not end before `limit` (it is
/// killed then), or its exit code is not 0: the error holds what it wrote to standard error.
pub fn run(program: &Path, arguments: &[&str], limit: Duration) -> Result<Ran> {
    let ran = run_any(program, arguments, limit)?;
    if ran.code != Some(0) {
        let code = ran
            .code
            .map_or("a signal".to_owned(), |code| format!("code {code}"));
        bail!(
            "{} ended with {code}: {}",
            program.display(),
            ran.errors.trim()
        );
    }
    Ok(ran)
}

/// As [`run`], whatever the exit code is: `e2fsck` tells with 1 that it repaired.
///
/// # Errors
/// As [`run`], save for the exit code.
pub fn run_any(program: &Path, arguments: &[&str], limit: Duration) -> Result<Ran> {
    let doing = || format!("running {}", program.display());
    ensure!(
        program.is_absolute(),
        "{}: programs are run by their absolute name",
        program.display()
    );
    let (output, errors) = (scratch()?, scratch()?);
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(output.try_clone().with_context(doing)?)
        .stderr(errors.try_clone().with_context(doing)?)
        .spawn()
        .with_context(doing)?;
    if !ends_within(&child, limit)? {
        child.kill().with_context(doing)?;
        child.wait().with_context(doing)?;
        bail!("{}: not done after {} s, killed", doing(), limit.as_secs());
    }
    let status: ExitStatus = child.wait().with_context(doing)?;
    Ok(Ran {
        code: status.code(),
        output: text(output)?,
        errors: text(errors)?,
    })
}

/// Waits for the end of a process by its descriptor, without taking its status.
fn ends_within(child: &Child, limit: Duration) -> Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .context("watching a program that was started")?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut wanted = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, timeout(left)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(err) => return Err(err).context("waiting for a program"),
        }
    }
}

/// A file without a name: a pipe would block a program that writes more than it holds.
fn scratch() -> Result<File> {
    let file = memfd_create("output", MemfdFlags::CLOEXEC).context("making room for output")?;
    Ok(File::from(file))
}

fn text(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(KEPT).read_to_end(&mut bytes))
        .context("reading the output of a program")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = "/bin/sh";
    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str, limit: Duration) -> Result<Ran> {
        run(Path::new(SHELL), &["-c", script], limit)
    }

    #[test]
    fn what_a_program_says_is_kept() {
        let ran = shell("echo yes; echo no >&2", LONG).unwrap();
        assert_eq!(
            (ran.output.as_str(), ran.errors.as_str()),
            ("yes\n", "no\n")
        );
    }

    #[test]
    fn a_failure_carries_code_and_standard_error() {
        let err = format!(
            "{:#}",
            shell("echo device is busy >&2; exit 7", LONG).unwrap_err()
        );
        assert!(err.contains("code 7: device is busy"), "{err}");
    }

    #[test]
    fn a_program_that_hangs_is_killed_at_its_deadline() {
        let started = Instant::now();
        let err = shell("exec sleep 60", Duration::from_millis(100)).unwrap_err();
        assert!(format!("{err:#}").contains("killed"), "{err:#}");
        assert!(started.elapsed() < LONG);
    }

    #[test]
    fn a_relative_name_is_refused() {
        assert!(run(Path::new("sh"), &[], LONG).is_err());
    }

    #[test]
    fn more_output_than_a_pipe_holds_does_not_block() {
        let ran = shell("head -c 300000 /dev/zero | tr '\\0' x", LONG).unwrap();
        assert_eq!(ran.output.len() as u64, KEPT);
    }
}
