//! SQL of the rotation: for each encrypted column one count, one selection and one replacement; and
//! the count of hashes, which are not replaced.

use gx_db::PgConnection;

use super::{EncryptedColumn, EncryptedValue, OldValue};

/// Number of values or hashes of one master key.
struct VersionCount {
    version: i32,
    count: i64,
}

impl VersionCount {
    fn pair(self) -> (i32, u64) {
        (self.version, u64::try_from(self.count).expect("a count is not negative"))
    }
}

/// The columns of a value.
struct ValueRow {
    row: String,
    bytes: Vec<u8>,
    key_version: i32,
}

pub(super) async fn count_by_version(
    conn: &mut PgConnection,
    column: EncryptedColumn,
) -> Result<Vec<(i32, u64)>, sqlx::Error> {
    let rows = match column {
        EncryptedColumn::TotpSecret => {
            sqlx::query_as!(
                VersionCount,
                r#"SELECT "secretKeyVersion" AS version, count(*) AS "count!"
                   FROM "TotpFactor" GROUP BY "secretKeyVersion""#
            )
            .fetch_all(conn)
            .await?
        }
        EncryptedColumn::TokenKeySecret => {
            sqlx::query_as!(
                VersionCount,
                r#"SELECT "secretKeyVersion" AS version, count(*) AS "count!"
                   FROM "TokenKey" WHERE secret IS NOT NULL GROUP BY "secretKeyVersion""#
            )
            .fetch_all(conn)
            .await?
        }
        EncryptedColumn::QueuedMailContent => {
            sqlx::query_as!(
                VersionCount,
                r#"SELECT "contentKeyVersion" AS version, count(*) AS "count!"
                   FROM "QueuedMail" WHERE content IS NOT NULL GROUP BY "contentKeyVersion""#
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(rows.into_iter().map(VersionCount::pair).collect())
}

/// Returns the number of stored answers for each key that their requests were hashed with.
pub(super) async fn count_answers_by_version(
    conn: &mut PgConnection,
) -> Result<Vec<(i32, u64)>, sqlx::Error> {
    let rows = sqlx::query_as!(
        VersionCount,
        r#"SELECT "fingerprintKeyVersion" AS "version!", count(*) AS "count!"
           FROM "HttpIdempotency" WHERE "fingerprintKeyVersion" IS NOT NULL
           GROUP BY "fingerprintKeyVersion""#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(VersionCount::pair).collect())
}

/// Returns values of other keys than the current one, of the rows after `after`.
pub(super) async fn old_values(
    conn: &mut PgConnection,
    column: EncryptedColumn,
    current: i32,
    after: &str,
    limit: i64,
) -> Result<Vec<OldValue>, sqlx::Error> {
    let rows = match column {
        EncryptedColumn::TotpSecret => {
            sqlx::query_as!(
                ValueRow,
                r#"SELECT "factorId" AS row, secret AS bytes, "secretKeyVersion" AS key_version
                   FROM "TotpFactor" WHERE "secretKeyVersion" <> $1 AND "factorId" > $2
                   ORDER BY "factorId" LIMIT $3"#,
                current,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        EncryptedColumn::TokenKeySecret => {
            sqlx::query_as!(
                ValueRow,
                r#"SELECT "keyId" AS row, secret AS "bytes!", "secretKeyVersion" AS key_version
                   FROM "TokenKey"
                   WHERE secret IS NOT NULL AND "secretKeyVersion" <> $1 AND "keyId" > $2
                   ORDER BY "keyId" LIMIT $3"#,
                current,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        EncryptedColumn::QueuedMailContent => {
            sqlx::query_as!(
                ValueRow,
                r#"SELECT "mailId" AS row, content AS "bytes!",
                          "contentKeyVersion" AS key_version
                   FROM "QueuedMail"
                   WHERE content IS NOT NULL AND "contentKeyVersion" <> $1 AND "mailId" > $2
                   ORDER BY "mailId" LIMIT $3"#,
                current,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
    };
    let old = rows.into_iter().map(|row| OldValue {
        row: row.row,
        value: EncryptedValue { key_version: row.key_version, bytes: row.bytes },
    });
    Ok(old.collect())
}

/// Replaces a value unless it has changed, and returns the number of rows.
pub(super) async fn replace(
    conn: &mut PgConnection,
    column: EncryptedColumn,
    old: &OldValue,
    new: &EncryptedValue,
) -> Result<u64, sqlx::Error> {
    let done = match column {
        EncryptedColumn::TotpSecret => {
            sqlx::query!(
                r#"UPDATE "TotpFactor" SET secret = $3, "secretKeyVersion" = $4
                   WHERE "factorId" = $1 AND secret = $2"#,
                old.row,
                old.value.bytes,
                new.bytes,
                new.key_version,
            )
            .execute(conn)
            .await?
        }
        EncryptedColumn::TokenKeySecret => {
            sqlx::query!(
                r#"UPDATE "TokenKey" SET secret = $3, "secretKeyVersion" = $4
                   WHERE "keyId" = $1 AND secret = $2"#,
                old.row,
                old.value.bytes,
                new.bytes,
                new.key_version,
            )
            .execute(conn)
            .await?
        }
        EncryptedColumn::QueuedMailContent => {
            sqlx::query!(
                r#"UPDATE "QueuedMail" SET content = $3, "contentKeyVersion" = $4
                   WHERE "mailId" = $1 AND content = $2"#,
                old.row,
                old.value.bytes,
                new.bytes,
                new.key_version,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(done.rows_affected())
}
