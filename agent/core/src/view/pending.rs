//! The screen of a host that nobody took in yet: the QR code, and beside it what a person compares
//! with the hub's page or types into it.

use burin_api::message::Phase;

use super::screen::{Row, compared, trouble};
use super::text::{paragraph, row, unknown, wrap};
use super::{View, phase_word, qr};

/// Columns that the text beside the code needs: a name and a host ID of 19 characters.
const BESIDE: usize = 33;
/// Rows above the code.
const TITLE: usize = 1;

/// Whether the screen belongs to a person who is to take the host in. A host that is blocked needs
/// its room to say why.
pub(super) fn applies(view: &View) -> bool {
    let idle = !matches!(
        view.phase,
        Phase::Blocked | Phase::Installing | Phase::Configuring | Phase::Running
    );
    idle && !view.leaving && !view.accepted && !view.link.is_empty()
}

/// At most `height` rows of at most `width` characters.
pub(super) fn rows(view: &View, version: &str, width: usize, height: usize) -> Vec<Row> {
    let room = width.saturating_sub(BESIDE + 1);
    let code = qr::blocks(&view.link, room, height.saturating_sub(TITLE)).unwrap_or_default();
    let side = code.first().map_or(0, |row| row.chars().count() + 1);
    let title = match code.is_empty() {
        true => format!("burin {version}: this host waits to be taken in"),
        false => format!("burin {version}: scan this with a phone to take the host in"),
    };
    let text = beside(view, width - side, height.saturating_sub(TITLE));
    let mut rows = vec![Row::text(title)];
    for at in 0..code.len().max(text.len()) {
        let text = text.get(at).map_or("", String::as_str);
        rows.push(match code.get(at) {
            Some(code) => Row {
                code: code.clone(),
                text: format!(" {text}"),
            },
            None => Row::text(format!("{:side$}{text}", "")),
        });
    }
    rows
}

/// What stands beside the code. What is compared or typed comes first; the reason of a refusal is
/// longer and ends where the screen does.
fn beside(view: &View, width: usize, height: usize) -> Vec<String> {
    let mut rows = vec![
        row("State", phase_word(view.phase)),
        row("Host ID", unknown(&view.host_id)),
    ];
    if !view.name.is_empty() {
        rows.extend(wrap("Name", &view.name, width));
    }
    rows.extend(compared(view, width));
    rows.extend(wrap("Address", unknown(&view.address), width));
    rows.extend(wrap("Hub", unknown(&view.hub), width));
    if !view.hub_state.is_empty() {
        rows.push(String::new());
        rows.extend(paragraph(&view.hub_state, width));
    }
    rows.extend(trouble(view, width));
    if let Some(hint) = hint(view) {
        let hint = paragraph(&hint, width);
        if rows.len() + 1 + hint.len() <= height {
            rows.push(String::new());
            rows.extend(hint);
        }
    }
    rows
}

/// What to do without a phone.
fn hint(view: &View) -> Option<String> {
    let pending = view.pending.as_ref()?;
    let typed = !pending.code.is_empty() && !view.hub.is_empty();
    typed.then(|| format!("Or type the code at {}/c", view.hub))
}

#[cfg(test)]
mod tests;
