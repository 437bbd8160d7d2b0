//! A key that was seen in two machines: which of them is the host.

use crate::admin::problem::Problem;
use crate::db::machines::{self, MachineRow};
use crate::db::{Connection, sessions};

/// Digits of a hardware digest that name a machine at least.
const DIGITS: usize = 8;

/// Makes the one machine that `typed` names the host; all others with its key are strangers then.
///
/// # Errors
/// 422 when it names none or several, with those that there are.
pub(super) async fn choose(
    conn: &mut Connection,
    uid: &str,
    typed: &str,
) -> Result<MachineRow, Problem> {
    let mut all = machines::of(conn, uid).await?;
    let named = |machine: &MachineRow| {
        typed.len() >= DIGITS && machine.hardware.starts_with(&typed.to_lowercase())
    };
    match all.iter().filter(|machine| named(machine)).count() {
        1 => all.retain(named),
        _ => return Err(say_which(&all)),
    }
    let machine = all.pop().ok_or_else(|| say_which(&[]))?;
    machines::choose(conn, uid, &machine.hardware).await?;
    // Its history of taking turns is over.
    sessions::forget(conn, uid).await?;
    Ok(machine)
}

fn say_which(all: &[MachineRow]) -> Problem {
    let detail = format!(
        "say which machine is the host, by the first {DIGITS} digits of its hardware or more; the \
         others keep no right to its key"
    );
    let line = |machine: &MachineRow| {
        let hardware: String = machine.hardware.chars().take(12).collect();
        format!("{hardware}: {}, from {}", machine.name, machine.address)
    };
    Problem::bad_input(detail).with_errors(all.iter().map(line).collect())
}
