//! `/api/v1`: what people and their programs call. Every route but the login needs one.

pub(crate) mod audit;
pub(crate) mod auth;
mod claims;
pub(crate) mod credentials;
mod events;
pub(crate) mod hosts;
pub(crate) mod hub;
pub(crate) mod isos;
pub(crate) mod keys;
mod kubeconfigs;
mod openapi;
pub(crate) mod people;
pub(crate) mod preauths;
pub(crate) mod problem;
pub(crate) mod profiles;
mod projects;
pub(crate) mod refusals;
pub(crate) mod registries;
mod releases;
pub(crate) mod tokens;
pub(crate) mod types;
pub(crate) mod view;

use axum::extract::rejection::JsonRejection;
use axum::routing::{delete, get, post, put};

use crate::people::Permission;
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
    let routes = Routes::new(Access::Api(Permission::Enter))
        .add("POST", "/api/v1/logout", post(hub::log_out))
        .asking(Access::Api(Permission::Renew))
        .add("POST", "/api/v1/password", post(hub::change_password));
    administration(operation(sight(claiming(routes))))
}

fn claiming(routes: Routes) -> Routes {
    routes
        .asking(Access::Api(Permission::Claim))
        .add("POST", "/api/v1/claims", post(claims::begin))
        .add("GET", "/api/v1/claims/{key}", get(claims::show))
        .add("POST", "/api/v1/claims/{key}/number", post(claims::confirm))
}

fn sight(routes: Routes) -> Routes {
    routes
        .asking(Access::Api(Permission::See))
        .add("GET", "/api/v1/hub", get(hub::show))
        .add("GET", "/api/v1/openapi.json", get(openapi::show))
        .add("GET", "/api/v1/tokens", get(tokens::list))
        .add("GET", "/api/v1/preauths", get(preauths::list))
        .add("GET", "/api/v1/registries", get(registries::list))
        .add("GET", "/api/v1/isos", get(isos::list))
        .add("GET", "/api/v1/profiles", get(profiles::list))
        .add(
            "GET",
            "/api/v1/profiles/{name}/{version}",
            get(profiles::show),
        )
        .add("GET", "/api/v1/releases", get(releases::list))
        .add(
            "GET",
            "/api/v1/profiles/{name}/{version}/statement",
            get(releases::statement),
        )
        .add("GET", "/api/v1/hosts", get(hosts::list))
        .add("GET", "/api/v1/hosts/{host}", get(hosts::show))
        .add("GET", "/api/v1/events", get(events::list))
        .add("GET", "/api/v1/projects", get(projects::list))
        .add("GET", "/api/v1/refusals", get(refusals::list))
}

fn operation(routes: Routes) -> Routes {
    routes
        .asking(Access::Api(Permission::Operate))
        .add("POST", "/api/v1/tokens", post(tokens::create))
        .add("POST", "/api/v1/tokens/{id}/revoke", post(tokens::revoke))
        .add("POST", "/api/v1/isos", post(isos::create))
        .add("GET", "/api/v1/isos/{id}", get(isos::fetch))
        .add("POST", "/api/v1/preauths", post(preauths::create))
        .add("DELETE", "/api/v1/preauths/{id}", delete(preauths::remove))
        .add("POST", "/api/v1/profiles", post(profiles::publish))
        .add("POST", "/api/v1/releases", post(releases::import))
        .add(
            "POST",
            "/api/v1/hosts/{host}/assignment",
            post(hosts::assign),
        )
        .add("PUT", "/api/v1/hosts/{host}/labels", put(hosts::label))
        .add(
            "POST",
            "/api/v1/hosts/{host}/kubeconfig",
            post(kubeconfigs::show),
        )
        .add("POST", "/api/v1/hosts/{host}/{action}", post(hosts::act))
}

fn administration(routes: Routes) -> Routes {
    routes
        .asking(Access::Api(Permission::Administer))
        .add("POST", "/api/v1/registries", post(registries::put))
        .add(
            "DELETE",
            "/api/v1/registries/{host}",
            delete(registries::remove),
        )
        .add(
            "PUT",
            "/api/v1/registries/{host}/credentials",
            put(credentials::put),
        )
        .add(
            "DELETE",
            "/api/v1/registries/{host}/credentials",
            delete(credentials::remove),
        )
        .add("GET", "/api/v1/api-keys", get(keys::list))
        .add("POST", "/api/v1/api-keys", post(keys::create))
        .add("DELETE", "/api/v1/api-keys/{id}", delete(keys::revoke))
        .add("GET", "/api/v1/people", get(people::list))
        .add("POST", "/api/v1/people", post(people::create))
        .add(
            "POST",
            "/api/v1/people/{name}/{change}",
            post(people::alter),
        )
        .add(
            "PUT",
            "/api/v1/people/{name}/projects/{project}",
            put(projects::give_role),
        )
        .add("POST", "/api/v1/projects", post(projects::create))
        .add(
            "DELETE",
            "/api/v1/projects/{project}",
            delete(projects::remove),
        )
        .add("GET", "/api/v1/audit", get(audit::list))
        .add("GET", "/api/v1/audit/verdict", get(audit::verify))
}
