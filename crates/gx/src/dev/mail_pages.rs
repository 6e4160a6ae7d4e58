//! The pages `/dev/mail` of the development stack, which show the mails in its folder. They exist
//! in `gx dev` alone.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::fs;

/// Folder of the mails.
pub(crate) const MAIL_DIR: &str = "mail";
/// Ending of a mail's file.
const ENDING: &str = ".eml";
/// Limit of the mails in the list.
const MAX_LISTED: usize = 200;
/// The page has neither scripts nor styles.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the list of mails in a folder, and each as text.
pub(super) fn mail_pages(folder: PathBuf) -> Router {
    Router::new()
        .route("/dev/mail", get(list))
        .route("/dev/mail/{name}", get(show))
        .with_state(folder)
}

/// Lists the mails, the newest first: their names begin with the time.
async fn list(State(folder): State<PathBuf>) -> Response {
    let mut names = names(&folder).await;
    names.sort_unstable_by(|one, other| other.cmp(one));
    let mut rows = String::new();
    for name in names.iter().take(MAX_LISTED) {
        let text = fs::read_to_string(folder.join(name)).await.unwrap_or_default();
        let (to, subject) = (field(&text, "To"), field(&text, "Subject"));
        rows += &format!(
            "<li><a href=\"/dev/mail/{name}\">{}</a> to {}</li>",
            escape(subject),
            escape(to)
        );
    }
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Mail</title></head>\
         <body><h1>Mail</h1><p>Mails of this development stack, the newest first.</p>\
         <ul>{rows}</ul></body></html>"
    );
    respond("text/html; charset=utf-8", html)
}

/// Shows one mail as it was sent.
async fn show(State(folder): State<PathBuf>, UrlPath(name): UrlPath<String>) -> Response {
    if !names(&folder).await.contains(&name) {
        return axum::http::StatusCode::NOT_FOUND.into_response();
    }
    let text = fs::read_to_string(folder.join(name)).await.unwrap_or_default();
    respond("text/plain; charset=utf-8", text)
}

/// Returns the names of the files of mails.
async fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    // No mail was written yet if the folder is missing.
    let Ok(mut entries) = fs::read_dir(folder).await else { return names };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(ENDING) {
            names.push(name);
        }
    }
    names
}

/// Returns a field of the head of a mail.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let found = head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name);
    found.map_or("", |(_, value)| value)
}

fn respond(content_type: &'static str, body: String) -> Response {
    let fields = [
        ("content-type", content_type),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ];
    (fields, body).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
