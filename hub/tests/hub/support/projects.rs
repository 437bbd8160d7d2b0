//! Two projects, with one of everything in the second.

use burin_api::event::{Event, EventKind};
use burin_api::message::Phase;
use burin_api::token::Token;
use burin_core::identity::{HostId, Source};
use burin_hub::routes::Route;
use serde_json::json;

use super::host::{Host, shown};
use super::{Site, database};

/// What stands in the project `canary-b` and nowhere else. Nobody says it who asks for something.
pub(crate) const CANARIES: [&str; 6] = [
    "canary-label",
    "canary-event",
    "canary-product",
    "canary-document",
    "CANARYSERIAL",
    "canary-error",
];

/// A hub with the projects `a` and `canary-b`, and everything that there can be in the second.
pub(crate) struct Two {
    pub(crate) site: Site,
    pub(crate) token: Token,
    /// Accepted, with a token of `canary-b`.
    pub(crate) uid: String,
    pub(crate) host_id: String,
    /// Waits, called by a token of `canary-b`.
    pub(crate) waiting: Host,
    pub(crate) code: String,
    pub(crate) preauth: String,
}

/// A host whose ID can be read in a link.
pub(crate) async fn machine(site: &Site, serial: &str) -> Host {
    let mut host = Host::boot(site, serial, "b").await;
    host.host_id = HostId::derive(Source::ProductSerial, serial).to_string();
    host
}

/// An API key with a role in one project.
pub(crate) async fn key(site: &Site, role: &str, project: &str) -> String {
    let name = format!("{role} of {project}");
    let asked = json!({ "name": name, "role": role, "project": project });
    let made = site.post("/api/v1/api-keys", asked).await;
    made["key"].as_str().unwrap().to_owned()
}

pub(crate) async fn publish_behind(site: &Site) {
    let text = "INSERT INTO profile (name, project) VALUES ('edge-b', 'canary-b'), ('edge-a', 'a'); \
         INSERT INTO profile_version (name, version, published_at, digest, document, release, \
         module_aliases) SELECT name, '1.0.0', 1, 'sha256:0', 'canary-document', \
         '{\"name\":\"' || name || '\",\"version\":\"1.0.0\",\"layers\":[],\"registries\":[]}', '[]' \
         FROM profile";
    database::execute(site.folder.path(), text).await;
}

impl Two {
    pub(crate) async fn start() -> Self {
        let site = Site::with(|args| args.interval = Some(1)).await;
        for name in ["a", "canary-b"] {
            site.post("/api/v1/projects", json!({ "name": name })).await;
        }
        publish_behind(&site).await;
        let labels = json!({ "where": "canary-label" });
        let asked = json!({ "project": "canary-b", "labels": labels, "profile": "edge-b" });
        let token = site.token(asked).await;
        let mut host = machine(&site, "B1").await;
        host.evidence.product = "canary-product".to_owned();
        let uid = host.join(&site, &token).await;
        host.open(&site, &uid).await.unwrap();
        let mut body = host.sync_body(Phase::Running);
        body.observed.last_error = Some("canary-error".to_owned());
        body.events = vec![event("canary-event")];
        host.sync(&site, &body).await.unwrap();

        let asked = json!({ "project": "canary-b", "requires_approval": true });
        let asks = site.token(asked).await;
        let waiting = machine(&site, "B2").await;
        let screen = waiting.enroll(&site, Some(&asks)).await.unwrap();
        let code = shown(screen).code;
        let asked = json!({ "project": "canary-b", "value": "CANARYSERIAL" });
        let preauth = site.post("/api/v1/preauths", asked).await;
        Self {
            token,
            uid,
            host_id: host.host_id.clone(),
            waiting,
            code,
            preauth: preauth["id"].as_str().unwrap().to_owned(),
            site,
        }
    }

    /// The addresses of a route with everything of `canary-b` in the place of its parameters.
    pub(crate) fn addresses(&self, route: &Route) -> Vec<String> {
        let mut paths = vec![route.path.to_owned()];
        let mut fill = |name: &str, values: &[&str]| {
            paths = paths
                .iter()
                .flat_map(|path| values.iter().map(|value| path.replace(name, value)))
                .collect();
            // Each value once, however often the parameter does not occur.
            paths.dedup();
        };
        let id = match route.path.split('/').find(|part| {
            [
                "tokens", "preauths", "announce", "isos", "install", "api-keys",
            ]
            .contains(part)
        }) {
            Some("tokens") => self.token.id(),
            Some("preauths" | "announce") => &self.preauth,
            // An ISO is its maker's alone, and keys are of the whole hub.
            _ => "none",
        };
        let link = self.waiting.link(&self.site);
        fill("{host}", &[&self.uid, &self.host_id]);
        fill("{uid}", &[&self.uid]);
        fill("{id}", &[id]);
        fill("{file}", &["burin.iso"]);
        let actions = [
            "approve", "deny", "revoke", "retire", "release", "rekey", "move",
        ];
        fill("{action}", &actions);
        fill("{version}", &["1.0.0"]);
        let name = if route.path.contains("people") {
            "admin"
        } else {
            "edge-b"
        };
        fill("{name}", &[name]);
        fill("{change}", &["viewer"]);
        fill("{project}", &["canary-b"]);
        fill("{key}", &[&self.waiting.label()]);
        fill("{link}", &[link.rsplit('/').next().unwrap()]);
        paths
    }
}

fn event(message: &str) -> Event {
    Event {
        id: format!("b-1-{message}"),
        sequence: 1,
        boot_id: "b".to_owned(),
        monotonic: 1,
        time: 1,
        operation: "install".to_owned(),
        step: "partition".to_owned(),
        kind: EventKind::Note,
        message: message.to_owned(),
        causes: Vec::new(),
    }
}
