//! Tells whether the catalogue has changed, without reading it. The monitor asks once a second in
//! each process; reading the whole catalogue that often would cost the server more than it should.

use sqlx::PgConnection;

use super::store;

/// A revision of the catalogue of one schema. As long as it is the same, the catalogue is the same.
///
/// It is made from the ids of the catalogue's rows and of the transactions that wrote them, so that
/// each change of the schema gives another one. A change of the membership in an extension does
/// not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogueRevision {
    rows: i64,
    sum: Option<String>,
}

impl CatalogueRevision {
    /// Reads the revision of the connection's current schema.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub(crate) async fn read(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let (rows, sum) = store::revision(conn).await?;
        Ok(Self { rows, sum })
    }
}
