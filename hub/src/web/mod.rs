//! Pages for people, behind the login.

mod hosts;
mod login;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};

use crate::routes::{Access, Routes};

/// The page to log in at.
pub(crate) fn login_routes() -> Routes {
    Routes::new(Access::Open)
        .add("GET", "/login", get(login::form))
        .add("POST", "/login", post(login::log_in))
        .add("GET", "/style.css", get(hosts::style))
        .add("GET", "/live.js", get(hosts::script))
}

/// Everything behind the login.
pub(crate) fn routes() -> Routes {
    Routes::new(Access::Page)
        .add("GET", "/", get(hosts::list))
        .add("GET", "/hosts/{uid}", get(hosts::show))
        .add("POST", "/hosts/{uid}/{action}", post(hosts::act))
        .add("POST", "/logout", post(login::log_out))
}

/// Headers of every answer: no foreign content, no frames, no guessing of types, no referrer.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}
