//! The pages to which links in mails lead while `GX_LINK_BASE` is not set. Mail scanners follow
//! links, so that showing a page changes nothing; its button sends the token. The form is passed on
//! to the API's own route in this process, whose limits hold.

use ::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY};
use ::http::{Method, Request as HttpRequest, StatusCode, Uri};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gx_mail::LinkPage;
use gx_serve::KeepBody;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use crate::realm::Realm;

/// Limit of a form, in bytes.
const FORM_LIMIT_BYTES: usize = 8 * 1024;
/// Limit of an answer of the API that is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;
/// Style of the pages, which the policy permits by its hash.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;\
                     padding:0 1rem}button,input{font:inherit;padding:.5rem .8rem;margin:.5rem 0}\
                     input{width:100%;box-sizing:border-box}";

/// A page with the router of the API.
#[derive(Clone)]
struct LinkState {
    api: Router,
    realm: Realm,
    page: LinkPage,
}

impl LinkState {
    /// Returns the route of the API that the button calls.
    fn route(&self) -> String {
        let prefix = match self.realm {
            Realm::User => "/api/v1/auth",
            Realm::Admin => "/api/v1/admin/auth",
        };
        let rest = match self.page {
            LinkPage::VerifyEmail => "/email/verify",
            LinkPage::ResetPassword => "/password/reset",
        };
        format!("{prefix}{rest}")
    }

    const fn title(&self) -> &'static str {
        match self.page {
            LinkPage::VerifyEmail => "Confirm your e-mail address",
            LinkPage::ResetPassword => "Set a new password",
        }
    }

    const fn done(&self) -> &'static str {
        match self.page {
            LinkPage::VerifyEmail => "Your e-mail address is confirmed. You can close this page.",
            LinkPage::ResetPassword => {
                "Your password is set, and all sessions have ended. Sign in with the new password."
            }
        }
    }
}

/// Returns the pages of a realm: `/links/verify-email` and `/links/reset-password`.
pub fn link_pages(api: &Router, realm: Realm) -> Router {
    let mut router = Router::new();
    for page in [LinkPage::VerifyEmail, LinkPage::ResetPassword] {
        let state = LinkState { api: api.clone(), realm, page };
        let path = format!("/links/{}", page.path());
        router = router.merge(Router::new().route(&path, get(show).post(press)).with_state(state));
    }
    router
}

type Pairs = Vec<(String, String)>;

/// Shows the page with its button.
async fn show(State(state): State<LinkState>, uri: Uri) -> Response {
    let pairs = Query::<Pairs>::try_from_uri(&uri).map(|Query(pairs)| pairs).unwrap_or_default();
    page(&state, StatusCode::OK, &form(&state, value(&pairs, "token"), "", false))
}

/// Sends what the form has to the API and shows the result.
async fn press(State(state): State<LinkState>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, FORM_LIMIT_BYTES).await else {
        return page(&state, StatusCode::BAD_REQUEST, "<p>The form cannot be read.</p>");
    };
    let pairs = form_pairs(&body);
    let (token, password) = (value(&pairs, "token"), value(&pairs, "password"));
    let json = match state.page {
        LinkPage::VerifyEmail if password.is_empty() => json!({ "token": token }),
        LinkPage::VerifyEmail => json!({ "token": token, "password": password }),
        LinkPage::ResetPassword => json!({ "token": token, "newPassword": password }),
    };
    let mut inner = HttpRequest::new(Body::from(json.to_string()));
    *inner.method_mut() = Method::POST;
    *inner.uri_mut() = state.route().parse().expect("a constant path is a URI");
    inner.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("a valid value"));
    // The client's address and the request's id and time. A router would add its path to this one.
    parts.extensions.remove::<MatchedPath>();
    *inner.extensions_mut() = parts.extensions;
    let answer = match state.api.clone().oneshot(inner).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let status = answer.status();
    if status.is_success() {
        return page(&state, StatusCode::OK, &format!("<p>{}</p>", state.done()));
    }
    let body = to_bytes(answer.into_body(), ANSWER_LIMIT_BYTES).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let asks = !password.is_empty() || asks_for_password(&problem);
    page(&state, status, &form(&state, token, &reason(&problem), asks))
}

/// Returns whether a confirmation needs the password of the registration.
fn asks_for_password(problem: &Value) -> bool {
    let mut errors = problem["errors"].as_array().into_iter().flatten();
    errors.any(|error| error["pointer"] == "/password")
}

/// Returns what a problem says to its reader.
fn reason(problem: &Value) -> String {
    let field = |error: &Value| error["message"].as_str().map(str::to_owned);
    let errors = problem["errors"].as_array().into_iter().flatten().filter_map(field);
    let errors: Vec<String> = errors.collect();
    let title = problem["title"].as_str().unwrap_or("It did not work");
    if errors.is_empty() {
        let detail = problem["detail"].as_str().unwrap_or("Try again.");
        format!("{title}. {detail}")
    } else {
        format!("{title}: {}.", errors.join("; "))
    }
}

/// Returns the fields of a form.
fn form_pairs(body: &[u8]) -> Pairs {
    let query = std::str::from_utf8(body).unwrap_or_default();
    let uri: Result<Uri, _> = format!("/?{query}").parse();
    let pairs = uri.ok().and_then(|uri| Query::<Pairs>::try_from_uri(&uri).ok());
    pairs.map(|Query(pairs)| pairs).unwrap_or_default()
}

fn value<'a>(pairs: &'a Pairs, name: &str) -> &'a str {
    pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

fn form(state: &LinkState, token: &str, reason: &str, asks_for_password: bool) -> String {
    let reason = match reason {
        "" => String::new(),
        text => format!("<p role=\"alert\">{}</p>", escape(text)),
    };
    let (input, button) = match state.page {
        LinkPage::VerifyEmail if asks_for_password => (
            "<p>If you have not registered, close this page.</p>\
             <label>Password of your registration<input type=\"password\" name=\"password\" \
             autocomplete=\"current-password\" maxlength=\"256\" required></label>",
            "Confirm",
        ),
        LinkPage::VerifyEmail => ("", "Confirm"),
        LinkPage::ResetPassword => (
            "<label>New password, of 15 characters or more<input type=\"password\" \
             name=\"password\" autocomplete=\"new-password\" minlength=\"15\" maxlength=\"256\" \
             required></label>",
            "Set the password",
        ),
    };
    format!(
        "{reason}<form method=\"post\" action=\"/links/{}\"><input type=\"hidden\" name=\"token\" \
         value=\"{}\">{input}<button type=\"submit\">{button}</button></form>",
        state.page.path(),
        escape(token)
    )
}

/// Returns a page without scripts, that no other page may frame and that sends its address nowhere.
fn page(state: &LinkState, status: StatusCode, content: &str) -> Response {
    let title = state.title();
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>{content}</body></html>"
    );
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let fields: [(HeaderName, String); 3] = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    let mut response = (status, fields, html).into_response();
    response.extensions_mut().insert(KeepBody);
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
