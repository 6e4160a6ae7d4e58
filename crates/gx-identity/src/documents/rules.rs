//! When a document may be added, replaced or deleted, and how much a person may hand in. The rules
//! are checked before a file arrives, and again in the transaction that changes the document.

use gx_db::{PgConnection, ProfileId};
use gx_documents::repository::{self, Document};
use gx_documents::requests::{self, DocumentRequest};
use gx_documents::{DocumentSide, DocumentType};
use gx_model::AccountStatus;
use gx_serve::problem::InvalidField;
use gx_serve::{Problem, ProblemKind};

use super::form::DocumentForm;
use super::store::{self, Account};

/// The account allows no change of the document.
pub(crate) const DOCUMENTS_CLOSED: ProblemKind =
    ProblemKind::new("documents_closed", 409, "The document can no longer be changed");
/// The person has handed in as much as is permitted.
pub(crate) const TOO_MANY_DOCUMENTS: ProblemKind =
    ProblemKind::new("too_many_documents", 409, "No more documents can be handed in");

/// How much a person may hand in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DocumentQuota {
    /// Number of documents.
    pub(crate) max_documents: u16,
    /// Size of their files together, in MiB.
    pub(crate) max_mib: u32,
}

/// What may be changed of a person's documents.
pub(super) struct Changes {
    permitted: Permitted,
    is_on_hold: bool,
}

enum Permitted {
    /// All documents.
    All,
    /// Those that the reviewers ask for again.
    Asked(Vec<DocumentRequest>),
    /// None, because of the account's status.
    Closed(AccountStatus),
}

impl Changes {
    /// Returns what may be changed now.
    pub(super) async fn now(
        conn: &mut PgConnection,
        profile_id: &ProfileId,
    ) -> Result<Self, sqlx::Error> {
        let account = store::account(conn, profile_id).await?;
        Self::of(conn, profile_id, account).await
    }

    /// Returns what may be changed until the transaction ends, and locks the account until then.
    pub(super) async fn lock(
        conn: &mut PgConnection,
        profile_id: &ProfileId,
    ) -> Result<Self, sqlx::Error> {
        let account = store::lock_account(conn, profile_id).await?;
        Self::of(conn, profile_id, account).await
    }

    async fn of(
        conn: &mut PgConnection,
        profile_id: &ProfileId,
        Account { status, is_on_hold }: Account,
    ) -> Result<Self, sqlx::Error> {
        let permitted = match status {
            // A person who was denied for good has no session.
            AccountStatus::Registered | AccountStatus::Denied => Permitted::All,
            AccountStatus::PendingAdminApproval => {
                Permitted::Asked(requests::open_requests(conn, profile_id).await?)
            }
            other => Permitted::Closed(other),
        };
        Ok(Self { permitted, is_on_hold })
    }

    /// Checks that a document of this type and side may be added.
    pub(super) fn permit_addition(
        &self,
        kind: DocumentType,
        side: Option<DocumentSide>,
    ) -> Result<(), Problem> {
        let detail = match &self.permitted {
            Permitted::All => return Ok(()),
            Permitted::Asked(open) if open.iter().any(|one| one.is_met_by(kind, side)) => {
                return Ok(());
            }
            Permitted::Asked(open) if open.is_empty() => {
                "The account is under review. Wait until a reviewer asks for a document.".to_owned()
            }
            Permitted::Asked(_) => {
                "The reviewers ask for other documents; `GET /api/v1/users/me/kyc` names them."
                    .to_owned()
            }
            Permitted::Closed(status) => format!("The account is {status}."),
        };
        Err(Problem::new(&DOCUMENTS_CLOSED, detail))
    }

    /// Checks that a document of this type and side may be replaced or deleted, which an account
    /// on legal hold forbids.
    pub(super) fn permit_removal(
        &self,
        kind: DocumentType,
        side: Option<DocumentSide>,
    ) -> Result<(), Problem> {
        self.permit_addition(kind, side)?;
        if self.is_on_hold {
            let detail = "What was handed in must be kept for now. Add another document instead.";
            return Err(Problem::new(&DOCUMENTS_CLOSED, detail));
        }
        Ok(())
    }
}

/// Checks that a person may hand in a file of `bytes` more, in the place of `replaced` if there is
/// one.
pub(super) async fn require_room(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    quota: DocumentQuota,
    replaced: Option<&Document>,
    bytes: i64,
) -> Result<(), Problem> {
    const MIB: i64 = 1024 * 1024;
    let usage = repository::usage(conn, profile_id).await?;
    let freed = replaced.map_or(0, |document| document.size);
    let documents = usage.documents - i64::from(replaced.is_some()) + 1;
    if documents > i64::from(quota.max_documents) {
        let detail = format!(
            "{} documents are permitted. Delete or replace one of them.",
            quota.max_documents
        );
        return Err(Problem::new(&TOO_MANY_DOCUMENTS, detail));
    }
    if usage.bytes - freed + bytes > i64::from(quota.max_mib) * MIB {
        let detail = format!(
            "All documents together may have {} MiB. Delete one of them, or hand in a smaller file.",
            quota.max_mib
        );
        return Err(Problem::new(&TOO_MANY_DOCUMENTS, detail));
    }
    Ok(())
}

/// Checks that a replacement has the type and the side of the document that it replaces.
pub(super) fn require_same(document: &Document, form: &DocumentForm) -> Result<(), Problem> {
    let (kind, side) = (document.kind, document.side.map(DocumentSide::from));
    let error = |pointer: &str, expected: String| InvalidField {
        pointer: pointer.to_owned(),
        code: "other_document",
        message: format!("must be that of the document that is replaced: {expected}"),
    };
    let mut errors = Vec::new();
    if form.kind.0 != kind {
        errors.push(error("/type", kind.to_string()));
    }
    if form.side() != side {
        let expected = side.map_or_else(|| "none".to_owned(), |side| side.to_string());
        errors.push(error("/side", expected));
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}
