//! What the forms on a host's page do.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use burin_api::desired::DiskChoice;
use serde::Deserialize;

use super::page::{self, Fields, Named};
use crate::admin::auth::Actor;
use crate::admin::hosts::{assign_to, change, meant, relabel};
use crate::admin::problem::Problem;
use crate::admin::types::{ActRequest, AssignRequest};
use crate::kubeconfig;
use crate::state::Hub;

#[derive(Debug, Deserialize)]
pub(super) struct LabelsForm {
    labels: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct AssignForm {
    profile: String,
    #[serde(default)]
    disk: String,
    #[serde(default)]
    wipe: String,
    #[serde(default)]
    reinstall: String,
}

/// A button of a host's page. The page shows the key, so that pressing `approve` confirms it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ActForm {
    key: String,
    machine: String,
    project: String,
    profile: String,
}

/// Approve, deny, retire, revoke, release, move.
pub(super) async fn act(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named((uid, action)): Named<(String, String)>,
    Fields(form): Fields<ActForm>,
) -> Result<Response, Problem> {
    let asked = ActRequest {
        key: form.key,
        machine: form.machine,
        project: form.project,
        profile: form.profile,
    };
    change(&hub, &actor, &uid, &action, &asked).await?;
    Ok(page::go(&format!("/hosts/{uid}?done={action}")))
}

pub(super) async fn label(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(uid): Named<String>,
    Fields(form): Fields<LabelsForm>,
) -> Result<Response, Problem> {
    let host = meant(&hub, &actor, &uid).await?;
    relabel(&hub, &actor, &host, &read_labels(&form.labels)?).await?;
    Ok(page::go(&format!("/hosts/{uid}?done=labels")))
}

/// One `key=value` a line.
pub(super) fn read_labels(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut labels = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| Problem::bad_input(format!("`{line}` is not KEY=VALUE")))?;
        labels.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(labels)
}

pub(super) async fn assign(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(uid): Named<String>,
    Fields(form): Fields<AssignForm>,
) -> Result<Response, Problem> {
    let host = meant(&hub, &actor, &uid).await?;
    let asked = AssignRequest {
        profile: form.profile,
        disk: (!form.disk.is_empty()).then_some(DiskChoice {
            serial: form.disk,
            wipe: !form.wipe.is_empty(),
            reinstall: !form.reinstall.is_empty(),
        }),
    };
    assign_to(&hub, &actor, &host, &asked).await?;
    Ok(page::go(&format!("/hosts/{uid}?done=assignment")))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KubeconfigForm {
    address: String,
}

/// The administrator's kubeconfig as a file.
pub(super) async fn kubeconfig(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Named(uid): Named<String>,
    Fields(form): Fields<KubeconfigForm>,
) -> Result<Response, Problem> {
    let host = meant(&hub, &actor, &uid).await?;
    let address = Some(form.address.trim()).filter(|address| !address.is_empty());
    let opened = kubeconfig::open(&hub, &actor, &host, address).await?;
    // A host ID may be a name that somebody chose; the header takes plain letters.
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = host.host_id.chars().filter(plain).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/yaml".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.kubeconfig\""),
        ),
    ];
    Ok((headers, opened.text.reveal().to_owned()).into_response())
}
