//! Kubeconfigs of hosts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};

use super::auth::Actor;
use super::hosts::meant;
use super::problem::Problem;
use super::types::{KubeconfigAnswer, KubeconfigRequest};
use super::{Body, read};
use crate::kubeconfig::{self, Opened};
use crate::state::Hub;

/// The administrator's kubeconfig of a host's cluster. Each time is a line of the audit log, which
/// is why it is no GET.
#[utoipa::path(post, path = "/api/v1/hosts/{host}/kubeconfig", params(("host" = String, Path)),
    request_body = KubeconfigRequest, responses((status = 200, body = KubeconfigAnswer),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn show(
    State(hub): State<Arc<Hub>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    body: Body<KubeconfigRequest>,
) -> Result<Json<KubeconfigAnswer>, Problem> {
    let asked = read(body)?;
    let host = meant(&hub, &actor, &name).await?;
    let Opened {
        text,
        server,
        received_at,
    } = kubeconfig::open(&hub, &actor, &host, asked.address.as_deref()).await?;
    Ok(Json(KubeconfigAnswer {
        kubeconfig: text,
        server,
        received_at,
    }))
}
