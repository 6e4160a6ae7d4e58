//! One page of a document as pixels. Called by the route of pages.
//!
//! The page is drawn without a connection to the database. The document is looked at again in the
//! transaction that writes the audit row: what was erased or held meanwhile is not sent.

use gx_auth::{Administrator, audit};
use gx_db::ProfileId;
use gx_documents::repository::{self, Document};
use gx_documents::{ContentError, KeyStoreError, PageError, PageImage, ViewError, Watermark};
use gx_ledger_api::named;
use gx_serve::Problem;
use gx_serve::problem::ErrorChain;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{NO_PAGE, PAGE_NOT_DRAWN, erased, held, no_document, require_open, store};
use crate::ServiceState;

/// Seconds after which a client may ask for a page again while too many are drawn.
const BUSY_RETRY_AFTER_S: u32 = 2;

named! {
    /// Why an administrator looks at a document.
    pub enum ViewPurpose("must be KYC_REVIEW, COMPLIANCE_REVIEW or COURT_ORDER") {
        /// To decide on the person.
        KycReview = "KYC_REVIEW",
        /// To check an account after its approval.
        ComplianceReview = "COMPLIANCE_REVIEW",
        /// A court or an authority has ordered it.
        CourtOrder = "COURT_ORDER",
    }
}

/// A page that an administrator wants to see.
pub(crate) struct PageView<'a> {
    pub(crate) profile_id: &'a ProfileId,
    pub(crate) document_id: &'a str,
    /// Number of the page, counted from 1.
    pub(crate) number: u32,
    pub(crate) purpose: ViewPurpose,
}

/// Draws a page, writes the audit row with reviewer, purpose and case, and returns the image.
pub(crate) async fn show(
    state: &ServiceState,
    who: &Administrator,
    view: &PageView<'_>,
) -> Result<PageImage, Problem> {
    let base = &state.base;
    let mut conn = base.connection().await?;
    let document = repository::document(&mut conn, view.profile_id, view.document_id).await?;
    let document = document.ok_or_else(no_document)?;
    require_open(&document)?;
    // Somebody who was never submitted has no case, and the account stands for it.
    let case = store::newest_case(&mut conn, view.profile_id).await?;
    let case = case.unwrap_or_else(|| view.profile_id.to_string());
    let viewer = store::email_of(&mut conn, &who.admin_id).await?;
    drop(conn);

    let at = time_text(base.clock.now());
    let watermark = Watermark { viewer, case: case.clone(), at };
    let drawn = state.documents.page(&document, view.number, &watermark).await;
    let image = drawn.map_err(|error| not_shown(&document, error))?;

    let mut tx = base.begin().await?;
    let document = repository::document(&mut tx, view.profile_id, view.document_id).await?;
    require_open(&document.ok_or_else(no_document)?)?;
    let entry = audit::Entry {
        after: Some(json!({
            "documentId": view.document_id,
            "page": view.number,
            "purpose": view.purpose,
            "case": case,
        })),
        ..who.audit_entry("document.page_shown", "UserProfile", Some(view.profile_id.as_str()))
    };
    audit::append(&mut tx, entry, base.clock.now()).await?;
    tx.commit().await?;
    metrics::counter!("gx_document_pages_shown_total").increment(1);
    Ok(image)
}

/// Returns the time as the pixels have it.
fn time_text(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    at.to_offset(time::UtcOffset::UTC).format(&format).expect("the format has only known parts")
}

/// Returns the problem of a page that cannot be shown.
fn not_shown(document: &Document, error: PageError) -> Problem {
    match error {
        PageError::Erased
        | PageError::Content(ContentError::Erased | ContentError::Keys(KeyStoreError::Erased)) => {
            erased()
        }
        PageError::Held => held(),
        PageError::View(ViewError::NoSuchPage { pages }) => {
            Problem::new(&NO_PAGE, format!("The document has {pages} pages."))
        }
        PageError::View(ViewError::Busy) => {
            let detail = "Too many pages are being drawn. Try again in a moment.";
            Problem::unavailable(detail, BUSY_RETRY_AFTER_S)
        }
        PageError::View(
            error @ (ViewError::Refused(_) | ViewError::Crashed { .. } | ViewError::Timeout(_)),
        ) => {
            tracing::warn!(
                document = document.document_id,
                error = %ErrorChain(&error),
                "a page of the document {} cannot be drawn",
                document.document_id
            );
            let detail = "Reject the document, or ask the person for another file.";
            Problem::new(&PAGE_NOT_DRAWN, detail)
        }
        error => Problem::internal(&error),
    }
}
