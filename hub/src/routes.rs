//! Every route of the hub is added here, so that one list names them all and a test can walk it.

use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;

use crate::state::Hub;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: the host API, health, the login itself.
    Open,
    /// An admin's login or an API key; without it 401.
    Admin,
    /// As `Admin`, for people: without it they are sent to the login.
    Page,
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

/// Routes of one kind of access, and the list of them.
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
