//! SQL that reads constants from the chain's rows and from the database. Called by the parent
//! module.

use gx_db::PgConnection;
use sqlx::query;

/// Returns the pools of the chain with their start balances.
pub(crate) async fn pools(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(r#"SELECT "poolId", "startBalance" FROM "LedgerPool""#);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.poolId, row.startBalance)).collect())
}

/// Returns the countries of the chain with their shares.
pub(crate) async fn ledger_countries(
    conn: &mut PgConnection,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(r#"SELECT "countryCode", "sharePpb" FROM "LedgerCountry""#);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.countryCode, row.sharePpb)).collect())
}

/// Returns the countries of the database with their shares.
pub(crate) async fn countries(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(r#"SELECT "countryCode", "sharePpb" FROM "Country""#);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.countryCode, row.sharePpb)).collect())
}
