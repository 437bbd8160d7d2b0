//! Programs that end when their value is dropped, and programs that are run to their end.

use std::{
    ffi::OsStr,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::transcript::Transcript;

/// A program in a process group of its own. Dropping it ends the whole group.
///
/// It also ends when the thread that started it ends, so that a killed test leaves nothing behind.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    what: String,
    /// What it prints, standard output and errors together.
    pub says: Transcript,
}

impl Guard {
    /// Starts `command`; its output goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &Command, log: &Path) -> Result<Self> {
        let what = command.get_program().to_string_lossy().into_owned();
        let (output, errors) = std::io::pipe().context("making a pipe")?;
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(errors.try_clone().context("copying a pipe")?)
            .stderr(errors)
            .process_group(0);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => tied.env(name, value),
                None => tied.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            tied.current_dir(folder);
        }
        let child = tied.spawn().with_context(|| format!("starting {what}"))?;
        // `tied` holds our ends of the pipe; while they are open the transcript never ends.
        drop(tied);
        let says = Transcript::follow(output, log)?;
        Ok(Self { child, what, says })
    }

    /// Number of its process, which is that of its group, too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the kernel cannot say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self
            .child
            .try_wait()
            .with_context(|| format!("asking for {}", self.what))?
            .is_none())
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Result<()> {
        self.says.wait_for_end(within)?;
        self.child
            .wait()
            .with_context(|| format!("waiting for {}", self.what))?;
        Ok(())
    }

    /// Ends it at once, as a power cut does.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        if self.is_running()? {
            let group = Pid::from_raw(self.child.id().cast_signed());
            killpg(group, Signal::SIGKILL)
                .with_context(|| format!("ending the process group of {}", self.what))?;
            self.child
                .wait()
                .with_context(|| format!("waiting for {}", self.what))?;
        }
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!("{error:#}");
        }
    }
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started or fails; the error carries what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let what = describe(command);
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {what}"))?;
    if !done.status.success() {
        bail!(
            "{what} failed ({})\n{}{}",
            done.status,
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    }
    String::from_utf8(done.stdout).with_context(|| format!("reading the output of {what}"))
}

/// Runs a program with its output left visible.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let what = describe(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting {what}"))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program()];
    words.extend(command.get_args());
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_the_guard_ends_the_program_and_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo child $!; wait"]);
        let guard = Guard::start(&command, &folder.path().join("log")).unwrap();
        let line = guard
            .says
            .wait_for("child", Duration::from_secs(20))
            .unwrap();
        let says = guard.says.clone();
        drop(guard);
        // The pipe closes only when every process that holds it is gone.
        says.wait_for_end(Duration::from_secs(20)).unwrap();
        assert!(line.starts_with("child "));
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let error = output(Command::new("sh").args(["-c", "echo because >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("because") && error.contains("exit status: 3"),
            "{error}"
        );
    }
}
