//! The lists of an export, each read in pages.

use gx_db::{PgConnection, ProfileId};
use gx_model::{Gx, Qirat};
use serde_json::Value;

use super::store::{self, ExportRow, RowKey};

/// Limit of the rows that are read at once.
const PAGE_ROWS: i64 = 200;

/// A list of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Sessions,
    Devices,
    Factors,
    Messages,
    Submissions,
    Transactions,
    Commands,
    Requests,
    AuditLog,
}

impl Section {
    /// All lists, in the order of the export.
    pub(super) const ALL: [Self; 9] = [
        Self::Sessions,
        Self::Devices,
        Self::Factors,
        Self::Messages,
        Self::Submissions,
        Self::Transactions,
        Self::Commands,
        Self::Requests,
        Self::AuditLog,
    ];

    /// Returns the name of the member with the list.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Devices => "devices",
            Self::Factors => "secondFactors",
            Self::Messages => "messages",
            Self::Submissions => "submissions",
            Self::Transactions => "transactions",
            Self::Commands => "commands",
            Self::Requests => "keptRequests",
            Self::AuditLog => "auditLog",
        }
    }

    /// Returns the next items after the key, and the key of the last one, or `None` if there are no
    /// more.
    pub(super) async fn page(
        self,
        conn: &mut PgConnection,
        profile_id: &ProfileId,
        after: &RowKey,
    ) -> Result<Option<(Vec<Value>, RowKey)>, sqlx::Error> {
        let rows = self.rows(conn, profile_id, after).await?;
        let Some(ExportRow { major, minor, id, .. }) = rows.last() else { return Ok(None) };
        let key = RowKey { major: *major, minor: *minor, id: id.clone() };
        let items = rows.into_iter().map(|row| match self {
            Self::Transactions => in_gx(row.item, &["amount", "fee"]),
            _ => row.item,
        });
        Ok(Some((items.collect(), key)))
    }

    async fn rows(
        self,
        conn: &mut PgConnection,
        profile_id: &ProfileId,
        after: &RowKey,
    ) -> Result<Vec<ExportRow>, sqlx::Error> {
        match self {
            Self::Sessions => store::sessions(conn, profile_id, after, PAGE_ROWS).await,
            Self::Devices => store::devices(conn, profile_id, after, PAGE_ROWS).await,
            Self::Factors => store::factors(conn, profile_id, after, PAGE_ROWS).await,
            Self::Messages => store::messages(conn, profile_id, after, PAGE_ROWS).await,
            Self::Submissions => store::submissions(conn, profile_id, after, PAGE_ROWS).await,
            Self::Transactions => store::transactions(conn, profile_id, after, PAGE_ROWS).await,
            Self::Commands => store::commands(conn, profile_id, after, PAGE_ROWS).await,
            Self::Requests => store::requests(conn, profile_id, after, PAGE_ROWS).await,
            Self::AuditLog => store::audit_entries(conn, profile_id, after, PAGE_ROWS).await,
        }
    }
}

/// Writes members that are in Qirat as amounts in GX.
pub(super) fn in_gx(mut item: Value, members: &[&str]) -> Value {
    for member in members {
        let qirat = item[*member].as_i64().and_then(|qirat| Qirat::new(qirat).ok());
        item[*member] = qirat.map_or(Value::Null, |qirat| Gx(qirat).to_string().into());
    }
    item
}
