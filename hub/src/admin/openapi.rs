//! The description of this API.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::{
    audit, claims, credentials, events, hosts, hub, isos, keys, kubeconfigs, people, preauths,
    profiles, projects, refusals, registries, releases, tokens,
};

#[derive(Debug, OpenApi)]
#[openapi(
    modifiers(&Logins),
    security(("bearer" = [])),
    info(title = "burin-hub", description = "Admin API of burin-hub"),
    paths(
        hub::log_in,
        hub::log_out,
        hub::change_password,
        hub::show,
        show,
        isos::list,
        isos::create,
        isos::fetch,
        tokens::list,
        tokens::create,
        tokens::revoke,
        preauths::list,
        preauths::create,
        preauths::remove,
        claims::begin,
        claims::show,
        claims::confirm,
        registries::list,
        registries::put,
        registries::remove,
        credentials::put,
        credentials::remove,
        profiles::list,
        profiles::show,
        profiles::publish,
        releases::list,
        releases::statement,
        releases::import,
        hosts::list,
        hosts::show,
        hosts::assign,
        hosts::act,
        hosts::label,
        kubeconfigs::show,
        events::list,
        refusals::list,
        keys::list,
        keys::create,
        keys::revoke,
        people::list,
        people::create,
        people::alter,
        projects::list,
        projects::create,
        projects::remove,
        projects::give_role,
        audit::list,
        audit::verify,
    )
)]
struct Description;

/// How a request shows who sends it.
#[derive(Debug)]
struct Logins;

impl utoipa::Modify for Logins {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200)))]
pub(crate) async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_names_every_route_and_no_other() {
        let json = serde_json::to_value(Description::openapi()).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in json["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let mut routed = BTreeSet::new();
        for list in [
            super::super::routes().list,
            super::super::open_routes().list,
        ] {
            for route in list {
                routed.insert((route.method.to_owned(), route.path.to_owned()));
            }
        }
        assert_eq!(described, routed);
    }
}
