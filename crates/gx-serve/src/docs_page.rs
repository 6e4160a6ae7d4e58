//! The page `/docs`: the OpenAPI document in Swagger UI, whose files come with the crate
//! `swagger-ui-dist`. Read by developers.
//!
//! The crate's own page is not served: its script is inline, which the policy forbids, and it asks
//! a validator of another origin about the document.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, get_service};
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use swagger_ui_dist::{ApiDefinition, OpenApiSource, generate_routes};

/// Path of the page, and prefix of its files.
const PATH: &str = "/docs";
/// Swagger UI sets styles of elements, so that its page alone may have them inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// A file of Swagger UI, and the hash with which a browser verifies it. The hashes are those of the
/// files in the npm package `swagger-ui-dist` with the version of the crate.
struct Asset {
    path: &'static str,
    integrity: &'static str,
}

const STYLE: Asset = Asset {
    path: "/docs/swagger-ui.css",
    integrity: "sha384-4c3vsE5f+trhFyHrFrLM1fFGUn531NIaC7dcqEWIJdoRQJ5CkJbSuSCwXLpaS1KF",
};
const SCRIPT: Asset = Asset {
    path: "/docs/swagger-ui-bundle.js",
    integrity: "sha384-XFYN47VzPiDY6qPtxYKg0nqUeW/upo20xf1j2SUE7gT/i35FJB4cuS/71Iegzk8Z",
};

/// Returns the page with its files. `sends_requests` says whether the page offers to try a route.
pub(crate) fn routes(title: &str, sends_requests: bool) -> Router {
    let (page, start) = (Bytes::from(page(title)), Bytes::from(start(sends_requests)));
    let page = move || std::future::ready(respond("text/html; charset=utf-8", page.clone()));
    let start = move || std::future::ready(respond("text/javascript", start.clone()));
    let files = generate_routes(ApiDefinition {
        uri_prefix: PATH,
        api_definition: OpenApiSource::Uri("/openapi.json"),
        title: None,
    });
    Router::new()
        .route(PATH, get(page))
        .route("/docs/start.js", get(start))
        .route(STYLE.path, get_service(files.clone()))
        .route(SCRIPT.path, get_service(files))
}

fn respond(content_type: &'static str, body: Bytes) -> Response {
    let headers = [(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, body).into_response()
}

fn page(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"{}\" integrity=\"{}\"></head><body>\
         <div id=\"api\"></div>\
         <noscript>Switch JavaScript on, or read <a href=\"/openapi.json\">the document</a>.\
         </noscript><script src=\"{}\" integrity=\"{}\"></script>\
         <script src=\"/docs/start.js\"></script></body></html>",
        STYLE.path, STYLE.integrity, SCRIPT.path, SCRIPT.integrity
    )
}

/// Returns the script that starts Swagger UI.
fn start(sends_requests: bool) -> String {
    let methods =
        if sends_requests { r#"["get", "put", "post", "delete", "patch"]"# } else { "[]" };
    format!(
        r##"SwaggerUIBundle({{
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  showExtensions: true,
  supportedSubmitMethods: {methods},
  validatorUrl: null,
}});
"##
    )
}
