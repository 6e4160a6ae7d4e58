//! SQL of signing keys in the database.

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::key_ring::EncryptedValue;

/// A signing key as the services read it.
pub(super) struct KeyRow {
    pub(super) key_id: String,
    /// The private key, or `None` if it was retired.
    pub(super) secret: Option<EncryptedValue>,
    pub(super) signs_from: OffsetDateTime,
}

/// Returns all keys that sign or have signed, in the order in which they sign. A key that was
/// retired before its turn has none: the key before it goes on.
pub(super) async fn keys(conn: &mut PgConnection) -> Result<Vec<KeyRow>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT "keyId" AS key_id, secret, "secretKeyVersion" AS key_version,
                  "signsFrom" AS signs_from
           FROM "TokenKey" WHERE "retiredAt" IS NULL OR "retiredAt" >= "signsFrom"
           ORDER BY "signsFrom""#
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| KeyRow {
        key_id: row.key_id,
        secret: row.secret.map(|bytes| EncryptedValue { key_version: row.key_version, bytes }),
        signs_from: row.signs_from,
    });
    Ok(keys.collect())
}

/// A signing key as operators see it.
pub(super) struct ListedRow {
    pub(super) key_id: String,
    pub(super) created_at: OffsetDateTime,
    pub(super) signs_from: OffsetDateTime,
    pub(super) retired_at: Option<OffsetDateTime>,
}

/// Returns all keys without their secrets, in the order in which they sign.
pub(super) async fn list(conn: &mut PgConnection) -> Result<Vec<ListedRow>, sqlx::Error> {
    sqlx::query_as!(
        ListedRow,
        r#"SELECT "keyId" AS key_id, "createdAt" AS created_at, "signsFrom" AS signs_from,
                  "retiredAt" AS retired_at
           FROM "TokenKey" ORDER BY "signsFrom""#
    )
    .fetch_all(conn)
    .await
}

/// Makes other changes of keys wait until the transaction ends. Services can still read them.
pub(super) async fn lock(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"LOCK TABLE "TokenKey" IN SHARE ROW EXCLUSIVE MODE"#).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    key_id: &str,
    secret: &EncryptedValue,
    now: OffsetDateTime,
    signs_from: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "TokenKey" ("keyId", secret, "secretKeyVersion", "createdAt", "signsFrom")
           VALUES ($1, $2, $3, $4, $5)"#,
        key_id,
        secret.bytes,
        secret.key_version,
        now,
        signs_from,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Destroys the private key of a key. Its row stays, because it ends the time of the key before.
pub(super) async fn retire(
    conn: &mut PgConnection,
    key_id: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "TokenKey" SET secret = NULL, "retiredAt" = $2 WHERE "keyId" = $1"#,
        key_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
