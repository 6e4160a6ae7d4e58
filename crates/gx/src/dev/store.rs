//! SQL of the development stack. Called by `readiness` until the ledger has what it needs.

use gx_db::PgPool;
use sqlx::query_scalar;

/// Returns whether the read model has the supply and the countries.
pub(crate) async fn is_ledger_ready(pool: &PgPool) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "LedgerSystem" WHERE "bootstrappedAt" IS NOT NULL)
              AND EXISTS (SELECT FROM "LedgerCountry") AS "alive!""#
    )
    .fetch_one(pool)
    .await
}
