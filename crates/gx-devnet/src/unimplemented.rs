//! Errors for unknown methods and services, with the messages of Fabric's servers. The server of
//! each node wraps its services with [`named`].

use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tonic::service::Routes;
use tonic::{Code, Status};

/// Makes these services name the unknown method or service in their error.
pub(crate) fn named(routes: Routes, services: &'static [&'static str]) -> Routes {
    let router = routes.into_axum_router();
    let named = from_fn(async move |request: Request, next: Next| {
        let uri = request.uri().clone();
        let response = next.run(request).await;
        if is_unimplemented(&response) { refusal(&uri, services) } else { response }
    });
    Routes::from(router.layer(named))
}

/// Returns whether the answer is the default one, without a message.
fn is_unimplemented(response: &Response) -> bool {
    Status::from_header_map(response.headers())
        .is_some_and(|status| status.code() == Code::Unimplemented && status.message().is_empty())
}

/// Returns the answer for an unknown method or service.
fn refusal(uri: &Uri, services: &[&str]) -> Response {
    let path = uri.path().trim_start_matches('/');
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    let words = if services.contains(&service) {
        format!("unknown method {method} for service {service}")
    } else {
        format!("unknown service {service}")
    };
    Status::unimplemented(words).into_http()
}
