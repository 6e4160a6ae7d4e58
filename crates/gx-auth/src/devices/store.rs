//! SQL of known devices.

use gx_db::PgConnection;
use time::OffsetDateTime;

use crate::realm::Subject;

fn columns(subject: &Subject) -> (Option<&str>, Option<&str>) {
    match subject {
        Subject::User(id) => (Some(id.as_str()), None),
        Subject::Admin(id) => (None, Some(id.as_str())),
    }
}

/// Returns whether a device belongs to an account.
pub(super) async fn is_known(
    conn: &mut PgConnection,
    subject: &Subject,
    device_hash: &[u8],
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let (profile_id, admin_id) = columns(subject);
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "KnownDevice"
           WHERE "deviceHash" = $1 AND "expiresAt" > $4
             AND ("profileId" = $2 OR "adminId" = $3)) AS "is_known!""#,
        device_hash,
        profile_id,
        admin_id,
        now,
    )
    .fetch_one(conn)
    .await
}

/// Stores the use of a device. Returns `false` if it was forgotten meanwhile.
pub(super) async fn note_use(
    conn: &mut PgConnection,
    device_hash: &[u8],
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "KnownDevice" SET "lastUsedAt" = $2, "expiresAt" = $3 WHERE "deviceHash" = $1"#,
        device_hash,
        now,
        until,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Returns whether an account has a device with this user agent and network.
pub(super) async fn has_client(
    conn: &mut PgConnection,
    subject: &Subject,
    client_hash: &[u8],
) -> Result<bool, sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM "KnownDevice"
                   WHERE "profileId" = $1 AND "clientHash" = $2) AS "has!""#,
                id.as_str(),
                client_hash,
            )
            .fetch_one(conn)
            .await
        }
        Subject::Admin(id) => {
            sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM "KnownDevice"
                   WHERE "adminId" = $1 AND "clientHash" = $2) AS "has!""#,
                id.as_str(),
                client_hash,
            )
            .fetch_one(conn)
            .await
        }
    }
}

pub(super) async fn insert(
    conn: &mut PgConnection,
    subject: &Subject,
    device_hash: &[u8],
    client_hash: &[u8],
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (profile_id, admin_id) = columns(subject);
    sqlx::query!(
        r#"INSERT INTO "KnownDevice" ("deviceHash", "profileId", "adminId", "clientHash",
               "createdAt", "lastUsedAt", "expiresAt")
           VALUES ($1, $2, $3, $4, $5, $5, $6)"#,
        device_hash,
        profile_id,
        admin_id,
        client_hash,
        now,
        until,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the devices of an account with this user agent and network whose token was never sent
/// back.
pub(super) async fn forget_unused(
    conn: &mut PgConnection,
    subject: &Subject,
    client_hash: &[u8],
) -> Result<(), sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query!(
                r#"DELETE FROM "KnownDevice"
                   WHERE "profileId" = $1 AND "clientHash" = $2 AND "lastUsedAt" = "createdAt""#,
                id.as_str(),
                client_hash,
            )
            .execute(conn)
            .await?
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"DELETE FROM "KnownDevice"
                   WHERE "adminId" = $1 AND "clientHash" = $2 AND "lastUsedAt" = "createdAt""#,
                id.as_str(),
                client_hash,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(())
}

/// Deletes the devices of an account beyond the `keep` that were used last.
pub(super) async fn forget_oldest(
    conn: &mut PgConnection,
    subject: &Subject,
    keep: i64,
) -> Result<(), sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query!(
                r#"DELETE FROM "KnownDevice" WHERE "deviceHash" IN (
                   SELECT "deviceHash" FROM "KnownDevice" WHERE "profileId" = $1
                   ORDER BY "lastUsedAt" DESC OFFSET $2)"#,
                id.as_str(),
                keep,
            )
            .execute(conn)
            .await?
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"DELETE FROM "KnownDevice" WHERE "deviceHash" IN (
                   SELECT "deviceHash" FROM "KnownDevice" WHERE "adminId" = $1
                   ORDER BY "lastUsedAt" DESC OFFSET $2)"#,
                id.as_str(),
                keep,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(())
}

/// Deletes all devices of an account except `kept`.
pub(super) async fn forget_all(
    conn: &mut PgConnection,
    subject: &Subject,
    kept: Option<&[u8]>,
) -> Result<(), sqlx::Error> {
    match subject {
        Subject::User(id) => {
            sqlx::query!(
                r#"DELETE FROM "KnownDevice"
                   WHERE "profileId" = $1 AND "deviceHash" IS DISTINCT FROM $2"#,
                id.as_str(),
                kept,
            )
            .execute(conn)
            .await?
        }
        Subject::Admin(id) => {
            sqlx::query!(
                r#"DELETE FROM "KnownDevice"
                   WHERE "adminId" = $1 AND "deviceHash" IS DISTINCT FROM $2"#,
                id.as_str(),
                kept,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(())
}
