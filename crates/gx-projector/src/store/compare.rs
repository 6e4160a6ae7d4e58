//! SQL that reads what the chain and the database have of the constants.

use gx_db::PgConnection;
use sqlx::query;

/// Pools as the chain has them.
pub(crate) async fn pools(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(r#"SELECT "poolId", "startBalance" FROM "LedgerPool""#);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.poolId, row.startBalance)).collect())
}

/// Countries as the chain has them.
pub(crate) async fn ledger_countries(
    conn: &mut PgConnection,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(r#"SELECT "countryCode", "sharePpb" FROM "LedgerCountry""#);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.countryCode, row.sharePpb)).collect())
}

/// Countries as the database has them.
pub(crate) async fn countries(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = query!(r#"SELECT "countryCode", "sharePpb" FROM "Country""#);
    let rows = rows.fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.countryCode, row.sharePpb)).collect())
}
