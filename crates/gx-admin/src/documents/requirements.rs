//! Whether an approval can rely on a person's documents. Called by every approval: of one person,
//! of many, and by proposals and their confirmations.

use gx_db::{PgConnection, ProfileId};
use gx_documents::repository::{self, Document};
use gx_documents::{DocumentStatus, MissingDocument, requests};
use gx_serve::Problem;
use gx_serve::problem::InvalidField;

use super::DOCUMENTS_NOT_USABLE;
use crate::ServiceState;

/// Returns the problem if a required document is quarantined or rejected, or was asked for again
/// and is missing. It names each of them. The caller has locked the row of the account, so that the
/// person changes no document meanwhile.
pub(crate) async fn require_usable(
    state: &ServiceState,
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), Problem> {
    let documents = repository::documents(conn, profile_id).await?;
    let required = &state.required_documents;
    let mut errors: Vec<InvalidField> =
        required.blocking(&documents).into_iter().map(not_usable).collect();
    // Without a request the person could delete nothing, and accounts that came under review before
    // documents were required have none.
    if errors.is_empty() && !requests::open_requests(conn, profile_id).await?.is_empty() {
        errors.extend(required.missing(&documents).iter().map(missing));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let detail = "Wait for the scanner or the person, or ask for other documents.";
    Err(Problem::new(&DOCUMENTS_NOT_USABLE, detail).with_errors(errors))
}

fn not_usable(document: &Document) -> InvalidField {
    let code = match document.status {
        DocumentStatus::Quarantined => "quarantined",
        _ => "rejected",
    };
    InvalidField {
        pointer: format!("/documents/{}", document.document_id),
        code,
        message: format!("{} is {}", document.kind, document.status),
    }
}

fn missing(missing: &MissingDocument) -> InvalidField {
    let names: Vec<&str> = missing.any_of.iter().map(|kind| kind.name()).collect();
    let side = missing.side.map(|side| format!(" ({side})")).unwrap_or_default();
    InvalidField {
        pointer: format!("/documents/{}", names.join("|")),
        code: "required",
        message: format!("{}{side} was asked for again", names.join(" or ")),
    }
}
