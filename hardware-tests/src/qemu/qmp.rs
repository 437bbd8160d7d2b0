//! QEMU's machine protocol: one JSON value per line over a unix socket.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Longer than any command takes, a screenshot on a busy machine included.
const ANSWER: Duration = Duration::from_secs(60);

/// A session with a running QEMU.
#[derive(Debug)]
pub(super) struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Waits for QEMU to connect to `listener` and opens the session.
    ///
    /// # Errors
    /// When it does not greet as QEMU does.
    pub(super) fn accept(listener: &UnixListener) -> Result<Self> {
        let (stream, _) = listener.accept().context("waiting for QEMU")?;
        stream
            .set_read_timeout(Some(ANSWER))
            .context("limiting the wait for QEMU")?;
        let mut session = Self {
            reader: BufReader::new(stream),
        };
        let greeting = session.next()?;
        if greeting.get("QMP").is_none() {
            bail!("QEMU greeted with {greeting}");
        }
        session.execute("qmp_capabilities", &json!({}))?;
        Ok(session)
    }

    /// Executes `command` and returns its answer.
    ///
    /// # Errors
    /// When QEMU refuses it or is gone.
    pub(super) fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.reader
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .with_context(|| format!("sending {command} to QEMU"))?;
        loop {
            let answer = self
                .next()
                .with_context(|| format!("executing {command}"))?;
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {command}: {error}");
            }
            // Everything else is an event, which nobody waits for here.
        }
    }

    fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        let got = self.reader.read_line(&mut line).context("reading QEMU")?;
        if got == 0 {
            bail!("QEMU ended");
        }
        serde_json::from_str(&line).with_context(|| format!("understanding QEMU's {line:?}"))
    }
}
