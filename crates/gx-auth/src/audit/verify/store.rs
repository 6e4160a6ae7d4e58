//! SQL of the checks. Each statement reads a part of a table by its primary key, so that none takes
//! long, however large the log is.

use gx_db::PgConnection;
use serde_json::Value;

use super::super::text::StoredText;

/// A part of a table that was read.
pub(super) struct Part {
    /// The last number of the part, or `None` if nothing follows.
    pub(super) last: Option<i64>,
    /// The first number that must not be there.
    pub(super) fault: Option<i64>,
    pub(super) rows: i64,
}

/// Returns the texts of a batch's entries. `OFFSET 0` makes the planner look each one up, where a
/// join would read the whole table for each batch.
pub(super) async fn texts_of_batch(
    conn: &mut PgConnection,
    batch: i64,
) -> Result<Vec<StoredText>, sqlx::Error> {
    sqlx::query_as!(
        StoredText,
        r#"SELECT t.seq AS "seq!", t.field AS "field!", t.salt, t.text, t."erasedBy" AS erased_by
           FROM "AuditSealed" AS s
           CROSS JOIN LATERAL (SELECT seq, field, salt, text, "erasedBy"
                               FROM "AuditText" WHERE seq = s.seq OFFSET 0) AS t
           WHERE s.batch = $1 ORDER BY t.seq, t.field"#,
        batch,
    )
    .fetch_all(conn)
    .await
}

/// Returns the values after the action of those entries that have it.
pub(super) async fn values_after(
    conn: &mut PgConnection,
    action: &str,
    seqs: &[i64],
) -> Result<Vec<(i64, Option<Value>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT seq, after FROM "AuditEntry" WHERE seq = ANY($1) AND action = $2"#,
        seqs,
        action,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row.after)).collect())
}

/// Looks for entries that are in no batch and do not wait to be sealed, among those after a number.
pub(super) async fn added_entries(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Part, sqlx::Error> {
    sqlx::query_as!(
        Part,
        r#"SELECT max(e.seq) AS last, count(*) AS "rows!",
                  min(e.seq) FILTER (WHERE s.seq IS NULL AND u.seq IS NULL) AS fault
           FROM (SELECT seq FROM "AuditEntry" WHERE seq > $1 ORDER BY seq LIMIT $2) AS e
           LEFT JOIN LATERAL (SELECT seq FROM "AuditSealed" WHERE seq = e.seq LIMIT 1) AS s ON true
           LEFT JOIN LATERAL (SELECT seq FROM "AuditUnsealed" WHERE seq = e.seq LIMIT 1) AS u
               ON true"#,
        after,
        limit,
    )
    .fetch_one(conn)
    .await
}

/// Looks for texts whose entry is missing, among those of entries after a number. Texts of entries
/// that are not sealed are compared with nothing else.
pub(super) async fn orphan_texts(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Part, sqlx::Error> {
    sqlx::query_as!(
        Part,
        r#"SELECT max(t.seq) AS last, count(*) AS "rows!",
                  min(t.seq) FILTER (WHERE e.seq IS NULL) AS fault
           FROM (SELECT seq FROM "AuditText" WHERE seq > $1 ORDER BY seq LIMIT $2) AS t
           LEFT JOIN LATERAL (SELECT seq FROM "AuditEntry" WHERE seq = t.seq LIMIT 1) AS e
               ON true"#,
        after,
        limit,
    )
    .fetch_one(conn)
    .await
}

/// Counts entries that wait to be sealed, among those after a number.
pub(super) async fn unsealed(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Part, sqlx::Error> {
    sqlx::query_as!(
        Part,
        r#"SELECT max(seq) AS last, count(*) AS "rows!", NULL::bigint AS fault
           FROM (SELECT seq FROM "AuditUnsealed" WHERE seq > $1 ORDER BY seq LIMIT $2) AS u"#,
        after,
        limit,
    )
    .fetch_one(conn)
    .await
}
