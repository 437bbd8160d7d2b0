//! `/api/v1`: what admins and their programs call. Every route but the login needs one.

pub(crate) mod auth;
mod events;
pub(crate) mod hosts;
mod hub;
pub(crate) use hub::cookie;
mod keys;
mod openapi;
pub(crate) mod problem;
mod profiles;
pub(crate) mod registries;
mod tokens;
pub(crate) mod types;
pub(crate) mod view;

use axum::extract::rejection::JsonRejection;
use axum::routing::{delete, get, post};

use crate::routes::{Access, Routes};
use problem::Problem;

/// A JSON body, or the problem with it.
pub(crate) type Body<T> = Result<axum::Json<T>, JsonRejection>;

/// Opens a body.
pub(crate) fn read<T>(body: Body<T>) -> Result<T, Problem> {
    body.map(|axum::Json(value)| value)
        .map_err(|err| Problem::bad_input(err.body_text()))
}

/// The login and nothing else.
pub(crate) fn open_routes() -> Routes {
    Routes::new(Access::Open).add("POST", "/api/v1/login", post(hub::log_in))
}

/// Everything behind the login.
pub(crate) fn routes() -> Routes {
    Routes::new(Access::Admin)
        .add("POST", "/api/v1/logout", post(hub::log_out))
        .add("GET", "/api/v1/hub", get(hub::show))
        .add("GET", "/api/v1/openapi.json", get(openapi::show))
        .add("GET", "/api/v1/tokens", get(tokens::list))
        .add("POST", "/api/v1/tokens", post(tokens::create))
        .add("POST", "/api/v1/tokens/{id}/revoke", post(tokens::revoke))
        .add("GET", "/api/v1/registries", get(registries::list))
        .add("POST", "/api/v1/registries", post(registries::put))
        .add(
            "DELETE",
            "/api/v1/registries/{host}",
            delete(registries::remove),
        )
        .add("GET", "/api/v1/profiles", get(profiles::list))
        .add("POST", "/api/v1/profiles", post(profiles::publish))
        .add(
            "GET",
            "/api/v1/profiles/{name}/{version}",
            get(profiles::show),
        )
        .add("GET", "/api/v1/hosts", get(hosts::list))
        .add("GET", "/api/v1/hosts/{host}", get(hosts::show))
        .add(
            "POST",
            "/api/v1/hosts/{host}/assignment",
            post(hosts::assign),
        )
        .add("POST", "/api/v1/hosts/{host}/{action}", post(hosts::act))
        .add("GET", "/api/v1/events", get(events::list))
        .add("GET", "/api/v1/api-keys", get(keys::list))
        .add("POST", "/api/v1/api-keys", post(keys::create))
        .add("DELETE", "/api/v1/api-keys/{id}", delete(keys::revoke))
}
