//! Announcing a host before it calls, or naming one that waits: by host ID, UUID, serial or key.

use std::collections::BTreeMap;

use burin_api::claim::KeyLabel;
use burin_core::identity::{HostId, serial_junk, uuid_junk};

use super::refused::audited;
use crate::admin::problem::Problem;
use crate::clock;
use crate::db::preauths::{self, PreauthRow};
use crate::db::{audit, to_json};
use crate::people::Actor;
use crate::projects;
use crate::secret::random;
use crate::state::Hub;

/// Seconds.
const USUAL_LIFETIME: u64 = 7 * 24 * 3600;
const LONGEST_LIFETIME: u64 = 366 * 24 * 3600;
/// Longest serial, bytes.
const SERIAL: usize = 128;

/// What an operator says of a host to come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announced {
    /// Host ID, UUID, serial or key, as pasted.
    pub(crate) value: String,
    /// `host_id`, `uuid`, `serial` or `key`; told by the value when absent.
    pub(crate) kind: Option<String>,
    /// What the operator read of the KEY on the host's screen.
    pub(crate) key: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Seconds.
    pub(crate) lifetime: Option<u64>,
    /// Where the host lands.
    pub(crate) project: Option<String>,
}

/// Announces a host.
///
/// # Errors
/// 422 for a value that cannot name one machine, 409 for one that was announced before.
pub(crate) async fn create(
    hub: &Hub,
    actor: &Actor,
    asked: Announced,
) -> Result<PreauthRow, Problem> {
    let done = announce(hub, actor, asked).await;
    audited(hub, &actor.name, "preauth.refused", "", done).await
}

async fn announce(hub: &Hub, actor: &Actor, asked: Announced) -> Result<PreauthRow, Problem> {
    let (kind, value) = matcher(&asked.value, asked.kind.as_deref()).map_err(Problem::bad_input)?;
    let confirmed_key = match asked.key.as_deref().map(str::trim) {
        None | Some("") => String::new(),
        Some(key) => read_key(key).ok_or_else(|| Problem::bad_input(KEY_FORM))?,
    };
    let lifetime = asked.lifetime.unwrap_or(USUAL_LIFETIME);
    if !(1..=LONGEST_LIFETIME).contains(&lifetime) {
        return Err(Problem::bad_input(
            "the lifetime (`--expires`, `lifetime`) must be 1 second to 366 days",
        ));
    }
    let project = actor.scope.place(asked.project.as_deref())?;
    let now = clock::now_ms();
    let row = PreauthRow {
        project,
        id: hex::encode(random::<6>()?),
        kind: kind.to_owned(),
        value,
        confirmed_key,
        profile: asked.profile,
        labels: to_json(&asked.labels)?,
        created_by: actor.name.clone(),
        created_at: now,
        expires_at: now + i64::try_from(lifetime).unwrap_or(0) * 1000,
        host_uid: None,
    };
    let mut tx = hub.db.begin().await?;
    projects::hold(&mut tx, &row.project, row.profile.as_deref()).await?;
    if let Some(before) = preauths::in_force(&mut tx, kind, &row.value, now).await? {
        return Err(announced_before(actor, &before));
    }
    preauths::insert(&mut tx, &row).await?;
    let object = format!("{} {} {}", row.id, row.kind, row.value);
    audit::record(&mut tx, &actor.name, "preauth.create", &object, now).await?;
    tx.commit().await?;
    hub.matchers_changed();
    Ok(row)
}

fn announced_before(actor: &Actor, before: &PreauthRow) -> Problem {
    let detail = match actor.scope.sees.has(&before.project) {
        true => format!(
            "{} {} was announced by {} already; withdraw that first: `burin-hub host withdraw {}`, or on the \
             page Claim",
            before.kind, before.value, before.created_by, before.id
        ),
        false => format!(
            "{} {} was announced in another project already; ask an admin of the hub",
            before.kind, before.value
        ),
    };
    Problem::refused(detail)
}

/// Withdraws an announcement. A host that it let in stays.
///
/// # Errors
/// 404 when there is none.
pub(crate) async fn remove(hub: &Hub, actor: &Actor, id: &str) -> Result<(), Problem> {
    let missing = || Problem::not_found(format!("no preauth has the id `{id}`"));
    let mut tx = hub.db.begin().await?;
    let row = preauths::get(&mut tx, id).await?.ok_or_else(missing)?;
    actor.scope.admit(&row.project, missing)?;
    preauths::remove(&mut tx, id).await?;
    audit::record(&mut tx, &actor.name, "preauth.remove", id, clock::now_ms()).await?;
    tx.commit().await?;
    Ok(())
}

/// What to say to a key that cannot be read.
pub(crate) const KEY_FORM: &str =
    "the key is at least the first 8 of the 26 letters and digits that the host's screen shows";

/// What an operator typed of a key, in the spelling of the table.
pub(crate) fn read_key(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let value = burin_api::base32::decode(&bare)?;
    (8..=26)
        .contains(&bare.len())
        .then(|| burin_api::base32::encode(value, bare.len()))
}

/// Kind and normal spelling of what names a host.
fn matcher(text: &str, kind: Option<&str>) -> Result<(&'static str, String), String> {
    let text = text.trim();
    match kind {
        None => guess(text),
        Some("host_id") => match text.parse::<HostId>() {
            Ok(id) => Ok(("host_id", id.to_string())),
            Err(err) => Err(err.to_string()),
        },
        Some("uuid") => match uuid(text) {
            Some(uuid) => fine_uuid(uuid),
            None => Err(format!("`{text}` is not a UUID: 32 hex digits")),
        },
        Some("key") => match text.parse::<KeyLabel>() {
            Ok(key) => Ok(("key", key.compact())),
            Err(err) => Err(err.to_string()),
        },
        Some("serial") => fine_serial(text),
        Some(other) => Err(format!(
            "`{other}` is not a kind: host_id, uuid, serial or key"
        )),
    }
}

/// The kinds differ in length, so that what people paste tells itself; a serial is the rest.
fn guess(text: &str) -> Result<(&'static str, String), String> {
    let groups = text.split('-').map(str::len);
    match text.parse::<HostId>() {
        Ok(id) => return Ok(("host_id", id.to_string())),
        // It looks like one: a typing mistake must not become a serial that no host has.
        Err(err) if groups.eq([4, 4, 4, 4]) => return Err(err.to_string()),
        Err(_) => {}
    }
    if let Some(uuid) = uuid(text) {
        return fine_uuid(uuid);
    }
    if like_uuid(text) {
        return Err(format!(
            "`{text}` looks like a UUID, which has 32 hex digits in groups of 8, 4, 4, 4 and 12, \
             and is none; read it again, or say that it is a serial: kind `serial` (`--kind serial`)"
        ));
    }
    if let Ok(key) = text.parse::<KeyLabel>() {
        return Ok(("key", key.compact()));
    }
    fine_serial(text)
}

/// Whether somebody meant a UUID and left digits out, typed too many or a wrong one: taken for a
/// serial it would wait for a host that never comes.
fn like_uuid(text: &str) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let bare = bare_uuid(text);
    if bare.len() != text.len() {
        return true;
    }
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if lengths == GROUPS {
        return true;
    }
    if !groups.iter().all(|group| is_hex(group)) {
        return false;
    }
    let fitting = |pairs: &mut dyn Iterator<Item = (&usize, &usize)>| {
        pairs.filter(|(found, want)| found == want).count()
    };
    let ahead = fitting(&mut lengths.iter().zip(&GROUPS));
    let behind = fitting(&mut lengths.iter().rev().zip(GROUPS.iter().rev()));
    let (first, last) = (lengths.first(), lengths.last());
    match groups.len() {
        // A number of so many digits may well be a serial.
        1 => (28..=36).contains(&text.len()) && !text.bytes().all(|byte| byte.is_ascii_digit()),
        2..=5 => (ahead >= 3 && first == Some(&8)) || (behind >= 3 && last == Some(&12)),
        _ => false,
    }
}

fn fine_uuid(uuid: String) -> Result<(&'static str, String), String> {
    match uuid_junk(&uuid) {
        Some(why) => Err(format!(
            "the UUID {uuid} names no machine: {why}; use the host ID or the serial"
        )),
        None => Ok(("uuid", uuid)),
    }
}

fn fine_serial(text: &str) -> Result<(&'static str, String), String> {
    if text.len() > SERIAL || text.chars().any(char::is_control) {
        return Err(format!(
            "a serial has at most {SERIAL} printable characters"
        ));
    }
    match serial_junk(text) {
        Some(why) => Err(format!(
            "the serial `{text}` names no machine: {why}; use the host ID"
        )),
        None => Ok(("serial", text.to_ascii_uppercase())),
    }
}

/// A UUID in any spelling (case, hyphens, braces, `urn:uuid:`) as the kernel prints it.
pub(crate) fn uuid(text: &str) -> Option<String> {
    let bare: String = bare_uuid(text.trim())
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .collect();
    let bytes: [u8; 16] = hex::decode(bare).ok()?.try_into().ok()?;
    Some(uuid::Uuid::from_bytes(bytes).to_string())
}

/// Without what tells that it is a UUID.
fn bare_uuid(text: &str) -> &str {
    let text = match text.get(..9) {
        Some(head) if head.eq_ignore_ascii_case("urn:uuid:") => &text[9..],
        _ => text,
    };
    text.trim_start_matches('{').trim_end_matches('}')
}

/// The UUID with its first three fields in the other byte order: firmware before SMBIOS 2.6 and
/// some tools print it so.
pub(crate) fn swapped(uuid: &str) -> Option<String> {
    let uuid: uuid::Uuid = uuid.parse().ok()?;
    Some(uuid::Uuid::from_bytes(uuid.to_bytes_le()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_core::identity::Source;

    const UUID: &str = "6a8d0f6c-9d9c-4c0b-8f2e-0d4c6e1b7a55";

    #[test]
    fn what_people_paste_tells_itself() {
        let label = "3BGT S77Z SMZK GSTT W09V ZNMF TQ";
        let id = HostId::derive(Source::Override, "a").to_string();
        for (text, kind, want) in [
            (id.as_str(), "host_id", id.as_str()),
            (&id.to_lowercase(), "host_id", &id),
            (&id.replace('-', ""), "host_id", &id),
            (UUID, "uuid", UUID),
            (" {6A8D0F6C-9D9C-4C0B-8F2E-0D4C6E1B7A55} ", "uuid", UUID),
            ("6A8D0F6C9D9C4C0B8F2E0D4C6E1B7A55", "uuid", UUID),
            (
                "urn:uuid:6a8d0f6c-9d9c-4c0b-8f2e-0d4c6e1b7a55",
                "uuid",
                UUID,
            ),
            (label, "key", "3BGTS77ZSMZKGSTTW09VZNMFTQ"),
            ("s4evnx0r", "serial", "S4EVNX0R"),
        ] {
            assert_eq!(matcher(text, None), Ok((kind, want.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_uuid_with_a_slip_is_no_serial_unless_somebody_says_so() {
        for text in [
            "6A8D0F6C-9D9C-4C0B-8F2E",
            "6A8D0F6C-9D9C-4C0B-8F2E-0D4C6E",
            "9D9C-4C0B-8F2E-0D4C6E1B7A55",
            "6a8d0f6c-9d9c-4c0b-8f2e-0d4c6e1b7a5",
            "6a8d0f6c-9d9c-4c0b-8f2e-0d4c6e1b7a555",
            "6a8d0f6-9d9c-4c0b-8f2e-0d4c6e1b7a55",
            "6a8d0f6c-9d9c-4cOb-8f2e-0d4c6e1b7a55",
            "6a8d0f6c9d9c4c0b8f2e0d4c6e1b7a5",
            "{6a8d0f6c}",
            "urn:uuid:6a8d",
        ] {
            let told = matcher(text, None).unwrap_err();
            assert!(told.contains("--kind serial"), "{told}");
            let want = ("serial", text.to_ascii_uppercase());
            assert_eq!(matcher(text, Some("serial")), Ok(want));
        }
        // Serials of virtual machines, of boards with a hardware address for one, of numbers.
        for text in [
            "0014-5456-9120-9145-8342",
            "00-11-22-33-44-55",
            "6A8D0F6C-9D9C",
            "123456789012345678901234567890",
            "ABCDEF12",
        ] {
            assert_eq!(matcher(text, None), Ok(("serial", text.to_owned())));
        }
    }

    #[test]
    fn what_names_no_machine_is_refused() {
        for (text, kind) in [
            ("03000200-0400-0500-0006-000700080009", None),
            ("00000000000000000000000000000000", None),
            ("To Be Filled By O.E.M.", None),
            ("", None),
            ("K7QF-2M9X-0TRD-8HW0", None),
            ("S\u{7}1234", None),
            ("S4EVNX0R", Some("uuid")),
            ("K7QF-2M9X", Some("host_id")),
            (UUID, Some("key")),
            (UUID, Some("mac")),
        ] {
            assert!(matcher(text, kind).is_err(), "{text} {kind:?}");
        }
    }

    #[test]
    fn the_other_byte_order_is_known() {
        assert_eq!(
            swapped(UUID).as_deref(),
            Some("6c0f8d6a-9c9d-0b4c-8f2e-0d4c6e1b7a55")
        );
        assert_eq!(swapped(&swapped(UUID).unwrap()).as_deref(), Some(UUID));
        assert_eq!(swapped("x"), None);
    }
}
