//! The file of a document as an answer: a download that no browser shows or runs (FILE-04).

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use gx_auth::{Person, audit};
use gx_documents::repository::{Document, DocumentFacts};
use gx_documents::{ContentError, DocumentStatus, FileFormat};
use gx_serve::{Problem, ProblemKind};
use http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue,
};
use http::{HeaderMap, StatusCode};

use super::{receive, require};
use crate::ServiceState;

/// The file is not scanned yet, or infected.
pub(crate) const DOCUMENT_HELD: ProblemKind =
    ProblemKind::new("document_held", 409, "The document is held by the malware scanner");
/// The document was erased, or never had a file.
pub(crate) const DOCUMENT_ERASED: ProblemKind =
    ProblemKind::new("document_erased", 410, "The document has no file any more");

/// What a browser wants to do with an answer.
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Who may include an answer in a page.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Name of a file whose own name is not known, without its ending.
const USUAL_NAME: &str = "document";

/// Returns the file of a document of the person, and writes the audit row.
pub(crate) async fn download(
    state: &ServiceState,
    person: &Person,
    document_id: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    check_destination(headers)?;
    let document = {
        let mut conn = state.base.connection().await?;
        require(&mut conn, person, document_id).await?
    };
    check_open(&document)?;
    let facts = state.documents.facts(&document).await.map_err(super::of_facts)?;
    let content = state.documents.content(&document).await.map_err(|error| match error {
        ContentError::Erased => erased(),
        error => receive::of_content(error),
    })?;
    let entry = person.audit_entry("user.document_opened", "KYCDocument", Some(document_id));
    let mut conn = state.base.connection().await?;
    audit::append(&mut conn, entry, state.base.clock.now()).await?;
    Ok((StatusCode::OK, fields(&document, &facts), Body::from_stream(content)).into_response())
}

/// Refuses a browser that wants to show or run the answer: a page fetches it with a token.
pub(crate) fn check_destination(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(SEC_FETCH_DEST).map(HeaderValue::as_bytes) {
        None | Some(b"empty") => Ok(()),
        Some(_) => Err(Problem::forbidden("A document can be downloaded, and not be shown.")),
    }
}

/// Checks that a document has a file that may be opened.
pub(crate) fn check_open(document: &Document) -> Result<(), Problem> {
    if document.erased_at.is_some() {
        return Err(erased());
    }
    if document.is_infected {
        let detail = "The malware scanner has found something in it. Replace or delete it.";
        return Err(Problem::new(&DOCUMENT_HELD, detail));
    }
    if document.status == DocumentStatus::Quarantined {
        let detail = "It is not scanned yet. Try again in some minutes.";
        return Err(Problem::new(&DOCUMENT_HELD, detail));
    }
    Ok(())
}

fn erased() -> Problem {
    Problem::new(&DOCUMENT_ERASED, "Nothing of its content is left.")
}

/// Returns the header fields of a download.
fn fields(document: &Document, facts: &DocumentFacts) -> HeaderMap {
    let text = |text: &str| HeaderValue::from_str(text).expect("the texts are visible ASCII");
    let disposition = disposition(&file_name(document, facts));
    HeaderMap::from_iter([
        (CONTENT_TYPE, text(&document.mime_type)),
        (CONTENT_LENGTH, HeaderValue::from(document.size)),
        (CONTENT_DISPOSITION, text(&disposition)),
        (CONTENT_SECURITY_POLICY, text("sandbox; default-src 'none'")),
        (RESOURCE_POLICY, text("same-origin")),
    ])
}

/// Returns the person's name for the file, or a usual one.
fn file_name(document: &Document, facts: &DocumentFacts) -> String {
    let ending = FileFormat::of_mime_type(&document.mime_type);
    let ending = ending.map_or("bin", |format| format.extensions()[0]);
    facts.file_name.clone().unwrap_or_else(|| format!("{USUAL_NAME}.{ending}"))
}

/// Returns `Content-Disposition` with a name in ASCII for old clients, and the whole name (RFC
/// 6266, RFC 8187).
fn disposition(name: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '(' | ')');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FILE-04: a name is sent in both forms, and has no character that ends a field or a line.
    #[test]
    fn file_04_the_name_of_a_download_is_harmless() {
        for (name, expected) in [
            ("pass.jpg", "attachment; filename=\"pass.jpg\"; filename*=UTF-8''pass.jpg"),
            (
                "Straße 1.pdf",
                "attachment; filename=\"Stra_e 1.pdf\"; filename*=UTF-8''Stra%C3%9Fe%201.pdf",
            ),
            (
                "a\"b\r\nc;d.png",
                "attachment; filename=\"a_b__c_d.png\"; filename*=UTF-8''a%22b%0D%0Ac%3Bd.png",
            ),
        ] {
            assert_eq!(disposition(name), expected);
        }
    }

    #[test]
    fn only_a_script_with_a_token_fetches_a_document() {
        let ask = |given: &'static str| {
            let headers = HeaderMap::from_iter([(SEC_FETCH_DEST, HeaderValue::from_static(given))]);
            check_destination(&headers).map_err(|problem| problem.kind().code)
        };
        assert_eq!(check_destination(&HeaderMap::new()).map_err(|_| ()), Ok(()));
        assert_eq!(ask("empty"), Ok(()));
        for destination in ["document", "iframe", "image", "embed", "object", "script"] {
            assert_eq!(ask(destination), Err("forbidden"), "{destination}");
        }
    }
}
