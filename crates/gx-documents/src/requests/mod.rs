//! Documents that reviewers ask a person for again: while a request is open, the person may add,
//! replace or delete such a document although the account is under review. Called by svc-admin,
//! which asks, and by svc-identity, which receives. Both hold the lock of the person's row.

mod store;

use gx_db::{PgConnection, ProfileId};
use time::OffsetDateTime;

use crate::kinds::{DocumentSide, DocumentType};

pub use store::DocumentRequest;

impl DocumentRequest {
    /// Returns whether a document of this type and side is what the reviewers ask for.
    pub fn is_met_by(&self, kind: DocumentType, side: Option<DocumentSide>) -> bool {
        self.kind == kind && (self.side.is_none() || self.side.map(|wanted| wanted.0) == side)
    }
}

/// Asks for a document. A request for the same document replaces the earlier one.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn ask(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    wanted: (DocumentType, Option<DocumentSide>),
    (asked_by, public_comment): (&str, &str),
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::insert(conn, profile_id, wanted, (asked_by, public_comment), now).await
}

/// Returns the open requests of a person, in the order of types and sides.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn open_requests(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Vec<DocumentRequest>, sqlx::Error> {
    store::open_requests(conn, profile_id).await
}

/// Ends the requests that a new document of this type and side meets, and returns the number of
/// those that are left. Once none is left, the clock of the review goes on
/// (`gx_auth::review_clock::resume`).
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn meet(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    kind: DocumentType,
    side: Option<DocumentSide>,
) -> Result<i64, sqlx::Error> {
    store::remove_met(conn, profile_id, kind, side).await?;
    store::count(conn, profile_id).await
}

/// Ends all requests of a person, because the review is decided.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn end(conn: &mut PgConnection, profile_id: &ProfileId) -> Result<(), sqlx::Error> {
    store::remove_all(conn, profile_id).await
}
