//! What a person before the machine sees: its console's lines, and the QR code on its screen.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{board::Board, qemu::Qemu};

/// From power-on to the code: 40 s on an idle machine.
const SHOWN: Duration = Duration::from_secs(600);
/// From the line on the wire until the screen is drawn.
const DRAWN: Duration = Duration::from_secs(120);
/// Exit code of zbarimg that found nothing.
const NO_CODE: i32 = 4;

/// Waits for the console's line that begins with `name`, and returns the rest of it.
///
/// # Errors
/// When it does not come within ten minutes.
pub fn said(machine: &mut Qemu, name: &str) -> Result<String> {
    let begin = format!("burin: {name} ");
    let line = machine.wait_for(&begin, SHOWN)?;
    let (_, rest) = line.split_once(&begin).context("the line is cut")?;
    Ok(rest.trim().to_owned())
}

/// What `zbarimg` reads off the screen now, which is kept as `picture`; none when it finds no code.
///
/// # Errors
/// When the screen or the decoder cannot be had.
pub fn scan(machine: &mut Qemu, picture: &Path) -> Result<Option<String>> {
    machine.screenshot(picture)?;
    let mut zbarimg = Command::new("zbarimg");
    zbarimg.args(["-q", "--raw", "-Sdisable", "-Sqrcode.enable"]);
    let ran = zbarimg.arg(picture).output();
    let ran = ran.context("running zbarimg (Debian package zbar-tools)")?;
    match ran.status.code() {
        Some(0) => {
            let text = String::from_utf8(ran.stdout).context("the code holds no text")?;
            Ok(Some(text.trim().to_owned()))
        }
        Some(NO_CODE) => Ok(None),
        other => bail!("zbarimg ended with {other:?}"),
    }
}

/// Looks at the screen every second until it shows `wanted`; none for no code. The last look is kept
/// in the machine's folder as `name`.
///
/// # Errors
/// When it shows something else for two minutes, or the machine ends.
pub fn wait_for_code(machine: &mut Qemu, name: &str, wanted: Option<&str>) -> Result<()> {
    look_until(machine, name, |seen| seen == wanted).map(drop)
}

/// Looks at the screen every second until there is a code on it, and returns what it says.
///
/// # Errors
/// When there is none for two minutes, or the machine ends.
pub fn read_code(machine: &mut Qemu, name: &str) -> Result<String> {
    look_until(machine, name, |seen| seen.is_some())?.context("there is no code")
}

fn look_until(
    machine: &mut Qemu,
    name: &str,
    enough: impl Fn(Option<&str>) -> bool,
) -> Result<Option<String>> {
    let picture = machine.folder().join(name);
    let deadline = Instant::now() + DRAWN;
    loop {
        let seen = scan(machine, &picture)?;
        if enough(seen.as_deref()) {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            bail!(
                "{} shows {seen:?}, which was not expected",
                picture.display()
            );
        }
        // A screen tells nobody that it changed; the machine's end would be the end of the wait.
        let ended = machine.console()?.wait_for_end(Duration::from_secs(1));
        if ended.is_ok() {
            bail!("the machine ended");
        }
    }
}
