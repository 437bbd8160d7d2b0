//! A panic of PID 1 must not become a silent panic of the kernel: it is said, then PID 1 starts anew.

use std::ffi::CString;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PROGRAM, park, say};

/// Counts how often PID 1 has started anew in this boot.
const AGAIN: &str = "BURIN_INIT_AGAIN";
/// A fault that comes back every time is for a person to see.
const MOST: u32 = 3;

/// Replaces the panic hook. It never returns, so neither unwinding nor abort takes PID 1 away.
pub(crate) fn catch() {
    std::panic::set_hook(Box::new(|info| {
        say::everywhere(&format!("burin: PID 1 has a fault: {info}"));
        let times = std::env::var(AGAIN)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0u32);
        if times >= MOST {
            park("burin: PID 1 failed again and again; please report the line above");
        }
        let err = start_anew(times + 1);
        park(&format!("burin: PID 1 cannot start anew: {err}"));
    }));
}

/// The children of the old run are strangers to the new one: they end first.
fn start_anew(times: u32) -> nix::Error {
    match kill(Pid::from_raw(-1), Signal::SIGKILL) {
        Ok(()) | Err(nix::Error::ESRCH) => {}
        Err(err) => say::everywhere(&format!("burin: stopping programs: {err}")),
    }
    let (Ok(program), Ok(again)) = (
        CString::new(PROGRAM),
        CString::new(format!("{AGAIN}={times}")),
    ) else {
        return nix::Error::EINVAL;
    };
    match nix::unistd::execve(&program, &[program.as_c_str()], &[again.as_c_str()]) {
        Ok(never) => match never {},
        Err(err) => err,
    }
}
