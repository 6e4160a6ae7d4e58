//! SQL of the rotation: for each encrypted column one count, one selection and one replacement; and
//! the count of hashes, which are not replaced. Tables are read part by part, by primary keys, so
//! that no statement takes long, however many rows there are.

use gx_db::PgConnection;

use super::{EncryptedColumn, EncryptedValue, OldValue};

/// Number of values or hashes of one master key in a part of a table.
pub(super) struct VersionCount<Last> {
    /// The last row of the part.
    pub(super) last: Last,
    pub(super) version: i32,
    pub(super) count: u64,
}

/// Primary key of a stored answer.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerKey {
    principal: String,
    route: String,
    key: String,
}

/// Values of other keys than the current one in a part of a table.
pub(super) struct OldValues {
    /// The last row of the part, or `None` if no row follows.
    pub(super) last: Option<String>,
    pub(super) values: Vec<OldValue>,
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).expect("a count is not negative")
}

/// Counts the values of each version among `limit` rows after `after`, in one snapshot with the
/// last of these rows.
pub(super) async fn count_by_version(
    conn: &mut PgConnection,
    column: EncryptedColumn,
    after: &str,
    limit: i64,
) -> Result<Vec<VersionCount<String>>, sqlx::Error> {
    match column {
        EncryptedColumn::TotpSecret => {
            let rows = sqlx::query!(
                r#"WITH part AS MATERIALIZED (
                       SELECT "factorId" AS id, "secretKeyVersion" AS version FROM "TotpFactor"
                       WHERE "factorId" > $1 ORDER BY "factorId" LIMIT $2)
                   SELECT (SELECT max(id) FROM part) AS "last!", version AS "version!",
                          count(*) AS "count!"
                   FROM part GROUP BY version"#,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?;
            let count = rows.into_iter().map(|row| VersionCount {
                last: row.last,
                version: row.version,
                count: count(row.count),
            });
            Ok(count.collect())
        }
        EncryptedColumn::TokenKeySecret => {
            let rows = sqlx::query!(
                r#"WITH part AS MATERIALIZED (
                       SELECT "keyId" AS id, "secretKeyVersion" AS version, secret FROM "TokenKey"
                       WHERE "keyId" > $1 ORDER BY "keyId" LIMIT $2)
                   SELECT (SELECT max(id) FROM part) AS "last!", version AS "version!",
                          count(secret) AS "count!"
                   FROM part GROUP BY version"#,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?;
            let count = rows.into_iter().map(|row| VersionCount {
                last: row.last,
                version: row.version,
                count: count(row.count),
            });
            Ok(count.collect())
        }
        EncryptedColumn::QueuedMailContent => {
            let rows = sqlx::query!(
                r#"WITH part AS MATERIALIZED (
                       SELECT "mailId" AS id, "contentKeyVersion" AS version, content
                       FROM "QueuedMail" WHERE "mailId" > $1 ORDER BY "mailId" LIMIT $2)
                   SELECT (SELECT max(id) FROM part) AS "last!", version AS "version!",
                          count(content) AS "count!"
                   FROM part GROUP BY version"#,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?;
            let count = rows.into_iter().map(|row| VersionCount {
                last: row.last,
                version: row.version,
                count: count(row.count),
            });
            Ok(count.collect())
        }
    }
}

/// Counts stored answers by the key that their requests were hashed with, in the same way. Version
/// 0 means a hash without a key.
pub(super) async fn count_answers_by_version(
    conn: &mut PgConnection,
    after: &AnswerKey,
    limit: i64,
) -> Result<Vec<VersionCount<AnswerKey>>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"WITH part AS MATERIALIZED (
               SELECT principal, route, key, coalesce("fingerprintKeyVersion", 0) AS version
               FROM "HttpIdempotency" WHERE (principal, route, key) > ($1, $2, $3)
               ORDER BY principal, route, key LIMIT $4),
           last AS (
               SELECT principal, route, key FROM part
               ORDER BY principal DESC, route DESC, key DESC LIMIT 1)
           SELECT last.principal, last.route, last.key, part.version AS "version!",
                  count(*) AS "count!"
           FROM part CROSS JOIN last GROUP BY 1, 2, 3, 4"#,
        after.principal,
        after.route,
        after.key,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let count = rows.into_iter().map(|row| VersionCount {
        last: AnswerKey { principal: row.principal, route: row.route, key: row.key },
        version: row.version,
        count: count(row.count),
    });
    Ok(count.collect())
}

/// Returns the values of other keys than the current one among `limit` rows after `after`, in one
/// snapshot with the last of these rows.
pub(super) async fn old_values(
    conn: &mut PgConnection,
    column: EncryptedColumn,
    current: i32,
    after: &str,
    limit: i64,
) -> Result<OldValues, sqlx::Error> {
    let rows = match column {
        EncryptedColumn::TotpSecret => {
            sqlx::query_as!(
                PartRow,
                r#"WITH part AS MATERIALIZED (
                       SELECT "factorId" AS id, secret, "secretKeyVersion" AS version
                       FROM "TotpFactor" WHERE "factorId" > $2 ORDER BY "factorId" LIMIT $3)
                   SELECT last.id AS last, part.id AS "row?", part.secret AS "bytes?",
                          part.version AS "key_version?"
                   FROM (SELECT max(id) AS id FROM part) AS last
                   LEFT JOIN part ON part.version <> $1 ORDER BY part.id"#,
                current,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        EncryptedColumn::TokenKeySecret => {
            sqlx::query_as!(
                PartRow,
                r#"WITH part AS MATERIALIZED (
                       SELECT "keyId" AS id, secret, "secretKeyVersion" AS version
                       FROM "TokenKey" WHERE "keyId" > $2 ORDER BY "keyId" LIMIT $3)
                   SELECT last.id AS last, part.id AS "row?", part.secret AS "bytes?",
                          part.version AS "key_version?"
                   FROM (SELECT max(id) AS id FROM part) AS last
                   LEFT JOIN part ON part.version <> $1 AND part.secret IS NOT NULL
                   ORDER BY part.id"#,
                current,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
        EncryptedColumn::QueuedMailContent => {
            sqlx::query_as!(
                PartRow,
                r#"WITH part AS MATERIALIZED (
                       SELECT "mailId" AS id, content, "contentKeyVersion" AS version
                       FROM "QueuedMail" WHERE "mailId" > $2 ORDER BY "mailId" LIMIT $3)
                   SELECT last.id AS last, part.id AS "row?", part.content AS "bytes?",
                          part.version AS "key_version?"
                   FROM (SELECT max(id) AS id FROM part) AS last
                   LEFT JOIN part ON part.version <> $1 AND part.content IS NOT NULL
                   ORDER BY part.id"#,
                current,
                after,
                limit,
            )
            .fetch_all(conn)
            .await?
        }
    };
    let last = rows.first().and_then(|row| row.last.clone());
    let values = rows.into_iter().filter_map(|row| {
        let value = EncryptedValue { key_version: row.key_version?, bytes: row.bytes? };
        Some(OldValue { row: row.row?, value })
    });
    Ok(OldValues { last, values: values.collect() })
}

/// A row of a part of a table, or only the last row of the part if no value is old.
struct PartRow {
    last: Option<String>,
    row: Option<String>,
    bytes: Option<Vec<u8>>,
    key_version: Option<i32>,
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
