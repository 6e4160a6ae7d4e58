//! The page of the OpenAPI document, and the page of problems, as a browser would load them.

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;

use super::*;

/// Returns a page or file of a router, with its header fields.
async fn load(router: &Router, path: &str) -> (HeaderMap, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Returns the values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    page.split(&start).skip(1).map(|rest| rest.split_once('"').unwrap().0).collect()
}

fn base64_of(hash: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(hash)
}

/// SEC-API-08: the page of the document loads nothing from another origin, and its policy permits
/// nothing from there. Only this page may have styles inline.
#[tokio::test]
async fn the_page_of_the_document_loads_its_files_from_its_own_origin() {
    let router = a_service().internal();
    let (headers, page) = load(&router, "/docs").await;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(
        headers["content-security-policy"],
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let files = [values(&page, "href"), values(&page, "src")].concat();
    assert_eq!(
        files,
        ["/docs/swagger-ui.css", "/openapi.json", "/docs/swagger-ui-bundle.js", "/docs/start.js"]
    );
    let (_, start) = load(&router, "/docs/start.js").await;
    for text in [&page, &start] {
        assert!(!text.contains("//"), "another origin in {text}");
    }
    let (_, style) = load(&router, "/docs/swagger-ui.css").await;
    for target in style.split("url(").skip(1) {
        let target = target.trim_start_matches(['"', '\'']);
        assert!(target.starts_with("data:"), "{target:.80}");
    }
    for (path, kind) in [
        ("/docs/swagger-ui.css", "text/css"),
        ("/openapi.json", "application/json"),
        ("/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/docs/start.js", "text/javascript"),
    ] {
        assert_eq!(load(&router, path).await.0["content-type"], kind, "{path}");
    }
}

/// The files of Swagger UI are those of its npm package, whose hashes the page demands.
#[tokio::test]
async fn the_files_of_swagger_ui_have_the_hashes_in_the_page() {
    let router = a_service().internal();
    let (_, page) = load(&router, "/docs").await;
    let mut hashes = Vec::new();
    for path in ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"] {
        let (_, file) = load(&router, path).await;
        hashes.push(format!("sha384-{}", base64_of(digest(&SHA384, file.as_bytes()))));
    }
    assert_eq!(values(&page, "integrity"), hashes);
}

/// Requests can be tried only where page and routes have the same origin.
#[tokio::test]
async fn the_page_sends_requests_only_on_the_listener_of_the_routes() {
    let (_, at_routes) = load(&a_service().public(true), "/docs/start.js").await;
    let methods = r#"supportedSubmitMethods: ["get", "put", "post", "delete", "patch"]"#;
    assert!(at_routes.contains(methods), "{at_routes}");
    let (_, internal) = load(&a_service().internal(), "/docs/start.js").await;
    assert!(internal.contains("supportedSubmitMethods: []"), "{internal}");
}

/// The page of problems has one style, which its policy names by its hash.
#[tokio::test]
async fn the_page_of_problems_permits_its_own_style_alone() {
    let (headers, page) = load(&a_service().public(false), "/problems").await;
    let (_, rest) = page.split_once("<style>").unwrap();
    let (style, rest) = rest.split_once("</style>").unwrap();
    assert!(!rest.contains("<style") && !page.contains("<script"), "{page}");
    let hash = base64_of(digest(&SHA256, style.as_bytes()));
    assert_eq!(
        headers["content-security-policy"],
        format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'").as_str()
    );
}
