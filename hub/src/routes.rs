//! Every route of the hub is added here, so that one list names them all and a test can walk it.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::people::Permission;
use crate::state::Hub;

/// Who may call a route. The guard enforces it; handlers do not ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: the host API, health, the login itself.
    Open,
    /// A login or an API key whose role has the permission; without it 401 or 403.
    Api(Permission),
    /// As `Api`, for people: who is not logged in is sent to the login.
    Page(Permission),
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{name}` for parameters.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

/// Routes and the list of them.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) router: Router<Arc<Hub>>,
    pub(crate) list: Vec<Route>,
    access: Access,
}

impl Routes {
    pub(crate) fn new(access: Access) -> Self {
        Self {
            router: Router::new(),
            list: Vec::new(),
            access,
        }
    }

    /// What the routes that follow ask for.
    pub(crate) fn asking(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Adds a route; `handler` must answer `method`.
    pub(crate) fn add(
        mut self,
        method: &'static str,
        path: &'static str,
        handler: MethodRouter<Arc<Hub>>,
    ) -> Self {
        let access = self.access;
        self.list.push(Route {
            method,
            path,
            access,
        });
        self.router = self.router.route(path, handler);
        self
    }
}
