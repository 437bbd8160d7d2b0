//! What is known before anything is done: boot, build, user-data, hardware, identity.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use burin_api::claim::KeyLabel;
use burin_api::event::EventKind;
use burin_api::message::Mode;
use burin_api::token::Token;
use burin_core::host::HostFacts;
use burin_core::identity::{HostIdentity, Source, Wish, identify, scan_link};
use burin_core::userdata::{Secret, UserData};
use burin_core::view::Fact;
use burin_core::{clock, userdata};
use burin_registry::Proxy;
use serde::Deserialize;

use crate::context::{Hidden, Paths};
use crate::events::Events;
use crate::hub::identity::blank_token;
use crate::hub::{HubSettings, Identity, Introduction};
use crate::machine::clock::Clock;
use crate::machine::file;

/// 2026-01-01 in seconds since 1970: no burin was built before it.
const EARLIEST: u64 = 1_767_225_600;
/// Longest user-data, in bytes: the area that the ISO keeps for it.
const USER_DATA: usize = 1024 * 1024;
/// Longest file that may name a host, in bytes: a page of sysfs.
const NAME_FILE: usize = 4096;

/// `/etc/burin/build.json`.
#[derive(Debug, Deserialize)]
struct Build {
    /// Seconds since 1970.
    epoch: u64,
}

/// Milliseconds since 1970 at which this installer was built: no right clock shows less.
pub(super) fn built(paths: &Paths) -> u64 {
    let path = paths.root.join("etc/burin/build.json");
    let found = file::read_if_there(&path, 64 * 1024).ok().flatten();
    let build = found.and_then(|bytes| serde_json::from_slice::<Build>(&bytes).ok());
    build.map_or(EARLIEST, |build| build.epoch.max(EARLIEST)) * 1000
}

/// The kernel's random ID of this boot.
///
/// # Errors
/// When the kernel does not show it.
pub(super) fn boot_id(paths: &Paths) -> Result<String> {
    let path = paths.root.join("proc/sys/kernel/random/boot_id");
    Ok(file::read_text(&path, 64)?.trim().to_owned())
}

/// A clock that shows less than is known to have passed stands at that floor afterwards.
pub(super) fn raise_clock(events: &Events, door: &dyn Clock, floor: u64) {
    if clock::is_believable(door.now(), floor) {
        return;
    }
    match door.set(floor) {
        Ok(()) => events.note("the clock could not be right and was set to the last known time"),
        Err(err) => events.report(EventKind::Note, "", &err.context("raising the clock")),
    }
}

/// User-data and its text.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) text: Hidden<Arc<str>>,
    pub(super) data: Arc<UserData>,
}

/// Reads user-data from the first of `places` that exists. Every problem is told; none at all is
/// empty user-data.
///
/// # Errors
/// When it cannot be read or has an error: the events say where and what to write instead.
pub(super) fn user_data(events: &Events, places: &[std::path::PathBuf]) -> Result<Given> {
    for path in places {
        if let Some(bytes) = file::read_if_there(path, USER_DATA)? {
            let text = String::from_utf8(bytes)
                .with_context(|| format!("reading {}: it is no UTF-8", path.display()))?;
            return parse(events, &text, &path.display().to_string());
        }
    }
    parse(events, "", "no user-data")
}

fn parse(events: &Events, text: &str, place: &str) -> Result<Given> {
    let tell = |problem: &dyn std::fmt::Display| events.note(format!("user-data: {problem}"));
    match userdata::parse(text) {
        Ok(data) => {
            data.warnings.iter().for_each(|it| tell(it));
            Ok(Given {
                text: Hidden(Arc::from(text)),
                data: Arc::new(data),
            })
        }
        Err(problems) => {
            problems.iter().for_each(|it| tell(it));
            anyhow::bail!("reading the user-data ({place}): it has errors, see above")
        }
    }
}

/// The host ID. A box without any usable number is named by its identity key, which is kept.
///
/// What was registered once stays: a mainboard that was replaced, or a file that only the installed
/// system has, gives no host a second ID.
pub(super) fn host_id(
    events: &Events,
    paths: &Paths,
    data: &UserData,
    facts: &HostFacts,
    identity: &Identity,
) -> HostIdentity {
    let mut random = [0; 16];
    let print = hex::decode(identity.thumbprint()).unwrap_or_default();
    for (to, from) in random.iter_mut().zip(print) {
        *to = from;
    }
    let wish = Wish {
        id: data.host.id.clone(),
        naming: data.host.naming.clone(),
    };
    let read = |path: &str| {
        let path = paths.root.join(path.trim_start_matches('/'));
        file::read_text(&path, NAME_FILE).ok()
    };
    let found = identify(&wish, facts, &read, random);
    let kept = identity.registration();
    let (Ok(id), Some(source)) = (kept.host_id.parse(), Source::of(&kept.host_id_source)) else {
        for skipped in &found.skipped {
            let (name, value) = (skipped.source.name(), &skipped.value);
            events.note(format!("not named by {name} {value:?}: {}", skipped.reason));
        }
        return found;
    };
    if id == found.id {
        return found;
    }
    let now = &found.id;
    events.note(format!(
        "the host keeps its ID; what is seen now would give {now}"
    ));
    HostIdentity {
        id,
        source,
        name: None,
        ..found
    }
}

/// How the hub is reached, by user-data; none without a hub.
///
/// # Errors
/// When the token is no token.
pub(super) fn hub_settings(data: &UserData, accepted: bool) -> Result<Option<HubSettings>> {
    let Some(hub) = &data.hub else {
        return Ok(None);
    };
    let token = match &data.token {
        // The seed is wiped from the disk once the host is accepted; nothing is missing then.
        Some(token) if !accepted && token.expose() != blank_token() => {
            let token = Token::parse(token.expose()).context("reading burin.token")?;
            Some(Hidden(Arc::new(token)))
        }
        _ => None,
    };
    let mut ca = hub.ca.clone();
    ca.extend(data.network.ca.iter().cloned());
    Ok(Some(HubSettings {
        url: hub.url.clone(),
        root: hub.root.clone(),
        root_version: hub.root_version,
        ca,
        token,
        proxy: proxy(data),
    }))
}

fn proxy(data: &UserData) -> Option<Proxy> {
    let proxy = &data.network.proxy;
    let text = |secret: &Option<Secret>| secret.as_ref().map(|it| it.expose().to_owned());
    let made = Proxy {
        http: text(&proxy.http),
        https: text(&proxy.https),
        except: proxy.no.join(","),
    };
    (made.http.is_some() || made.https.is_some()).then_some(made)
}

/// What the host says about itself when it registers.
pub(super) fn introduction(
    data: &UserData,
    facts: &HostFacts,
    id: &HostIdentity,
    boot_id: &str,
    mode: Mode,
    content: &dyn Fn(&burin_core::host::Disk) -> String,
) -> Introduction {
    Introduction {
        host_id: id.id.to_string(),
        host_id_source: id.source.name().to_owned(),
        evidence: facts.evidence(content),
        labels: data.host.labels.clone(),
        boot_id: boot_id.to_owned(),
        mode,
        arch: facts.arch.clone(),
    }
}

/// Tells who the host is and whom it calls; of a host that nobody took in yet also the link that a
/// person scans to do that.
pub(super) fn tell_names(
    events: &Events,
    data: &UserData,
    id: &HostIdentity,
    identity: &Identity,
    settings: Option<&HubSettings>,
) {
    events.tell(&Fact::Host {
        id: id.id.to_string(),
        source: id.source.name().to_owned(),
    });
    if let Some(name) = &id.name {
        events.tell(&Fact::Name(name.clone()));
    }
    match settings {
        Some(settings) => events.tell(&Fact::Hub(settings.url.clone())),
        None => events.tell(&Fact::HubState(
            "there is no hub in the user-data. Add burin.hub to it and build the ISO again."
                .to_owned(),
        )),
    }
    let key = match KeyLabel::of(&identity.thumbprint()) {
        Ok(key) => key,
        Err(err) => return events.note(format!("the key cannot be shown: {err}")),
    };
    let page = data.host.registration_url.as_deref();
    let hub = settings.map(|settings| settings.url.as_str());
    let taken_in = identity.registration().host_uid.is_some();
    let link = scan_link(id, key, page, hub).filter(|_| !taken_in);
    events.tell(&Fact::Claim {
        key: key.to_string(),
        link: link.unwrap_or_default(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_time_is_the_floor_of_the_clock() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        assert_eq!(built(&paths), EARLIEST * 1000);
        std::fs::create_dir_all(root.path().join("etc/burin")).unwrap();
        let path = root.path().join("etc/burin/build.json");
        for (text, want) in [
            (r#"{"version":"0.1.0","epoch":1790000000}"#, 1_790_000_000),
            (r#"{"version":"0.1.0","epoch":5}"#, EARLIEST),
            ("{", EARLIEST),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(built(&paths), want * 1000, "{text}");
        }
    }

    #[test]
    fn errors_of_user_data_are_told_with_their_place() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("user-data");
        std::fs::write(&path, "#cloud-config\nburin:\n  hubb: {}\n").unwrap();
        let events = Events::new("boot");
        assert!(user_data(&events, &[path]).is_err());
        let (_, lines) = events.lines(0);
        assert!(
            lines
                .iter()
                .any(|line| line.contains("hubb") && line.contains('3')),
            "{lines:?}"
        );
        let empty = user_data(&events, &[root.path().join("none")]).unwrap();
        assert!(hub_settings(&empty.data, false).unwrap().is_none());
    }

    fn id_of(data: &UserData, identity: &Identity, root: &std::path::Path) -> HostIdentity {
        let (events, paths) = (Events::new("boot"), Paths::under(root));
        host_id(&events, &paths, data, &HostFacts::default(), identity)
    }

    #[test]
    fn a_box_without_numbers_is_named_by_its_key() {
        let root = tempfile::tempdir().unwrap();
        let data = UserData::default();
        let identity = Identity::make("").unwrap();
        let again = Identity::from_pkcs8(&identity.pkcs8(), "").unwrap();
        let id = id_of(&data, &identity, root.path());
        assert_eq!(id, id_of(&data, &again, root.path()));
        let other = Identity::make("").unwrap();
        assert_ne!(id.id, id_of(&data, &other, root.path()).id);
    }

    #[test]
    fn an_id_that_was_registered_stays() {
        let root = tempfile::tempdir().unwrap();
        let uuid = root.path().join("sys/class/dmi/id/product_uuid");
        std::fs::create_dir_all(uuid.parent().unwrap()).unwrap();
        std::fs::write(&uuid, "9F1D1C5E-3B0A-4A52-8D0F-7B3F0F6F2A11\n").unwrap();
        let text = "#cloud-config\nstylus: { site: { prefix: shop } }\n";
        let data = userdata::parse(text).unwrap();
        let identity = Identity::make("").unwrap();
        let id = id_of(&data, &identity, root.path());
        let name = "shop-9f1d1c5e3b0a4a528d0f7b3f0f6f2a11";
        assert_eq!(id.name.as_deref(), Some(name));
        let paths = Paths::under(root.path());
        let kept = identity.register(&paths, |it| {
            it.host_id = id.id.to_string();
            it.host_id_source = id.source.name().to_owned();
        });
        kept.unwrap();
        std::fs::write(&uuid, "00000000-3b0a-4a52-8d0f-7b3f0f6f2a11\n").unwrap();
        let later = id_of(&data, &identity, root.path());
        assert_eq!((later.id, later.source), (id.id, id.source));
    }

    #[test]
    fn only_a_host_that_nobody_took_in_shows_a_link() {
        let root = tempfile::tempdir().unwrap();
        let text = "#cloud-config\nburin: { hub: { url: 'https://hub.example:8443' } }\n";
        let data = userdata::parse(text).unwrap();
        let settings = hub_settings(&data, false).unwrap();
        let identity = Identity::make("").unwrap();
        let id = id_of(&data, &identity, root.path());
        let link = || {
            let events = Events::new("boot");
            tell_names(&events, &data, &id, &identity, settings.as_ref());
            events.view().link
        };
        let want = format!("HTTPS://HUB.EXAMPLE:8443/R/1{}", id.id.compact());
        assert!(link().starts_with(&want), "{}", link());
        let paths = Paths::under(root.path());
        let accepted = identity.register(&paths, |it| it.host_uid = Some("uid".to_owned()));
        accepted.unwrap();
        assert_eq!(link(), "");
    }
}
