//! Asks a person under review for documents again: the person may change only these, and the clock
//! of the review is stopped until they are there (KYC-05). Called by the route `ask-again`.

pub(crate) mod http;
#[cfg(test)]
mod tests;

use gx_auth::{Administrator, audit, review_clock};
use gx_db::ProfileId;
use gx_documents::{DocumentSide, DocumentType, requests};
use gx_serve::Problem;
use serde_json::json;

use crate::ServiceState;
use crate::claims;

/// A document that is asked for. Without a side, any side of a passport, and both sides of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WantedDocument {
    pub(crate) kind: DocumentType,
    pub(crate) side: Option<DocumentSide>,
}

impl WantedDocument {
    /// Returns the sides that a person must hand in; `None` stands for any.
    fn sides(self) -> Vec<Option<DocumentSide>> {
        match self.side {
            None if self.kind.has_two_sides() => DocumentSide::ALL.map(Some).into(),
            side => vec![side],
        }
    }
}

/// Asks for documents again, stops the clock and writes the audit row. The account stays under
/// review, and the claim of the reviewer stays, too.
pub(crate) async fn ask_again(
    state: &ServiceState,
    who: &Administrator,
    profile_id: &ProfileId,
    wanted: &[WantedDocument],
    public_comment: &str,
) -> Result<(), Problem> {
    let base = &state.base;
    let now = base.clock.now();
    let _ticket = base.row_ticket(profile_id.as_str()).await?;
    let mut tx = base.begin().await?;
    claims::require_review(&mut tx, profile_id, who).await?;
    let asked = (who.admin_id.as_str(), public_comment);
    let mut documents = Vec::new();
    for document in wanted {
        for side in document.sides() {
            requests::ask(&mut tx, profile_id, (document.kind, side), asked, now).await?;
            documents.push(json!({ "type": document.kind, "side": side }));
        }
    }
    let is_new = review_clock::stop(&mut tx, profile_id, now).await?;
    let entry = audit::Entry {
        after: Some(json!({ "documents": documents, "isClockStopped": is_new })),
        ..who.audit_entry("review.asked_again", "UserProfile", Some(profile_id.as_str()))
    };
    audit::append(&mut tx, entry, now).await?;
    Ok(tx.commit().await?)
}
