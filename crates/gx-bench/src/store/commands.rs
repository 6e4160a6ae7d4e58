//! Adds many commands to the outbox at once, and reads their results. Called by the rows and by the
//! processes that enqueue; each error ends the row.

use gx_db::ProfileId;
use sqlx::postgres::PgCopyIn;
use sqlx::{PgConnection, query, query_as, query_scalar, raw_sql};

/// A row as `gx_outbox::enqueue::enqueue` adds it.
pub(crate) struct CommandRow {
    pub(crate) command_id: String,
    pub(crate) kind: &'static str,
    pub(crate) payload: String,
    pub(crate) signer_role: &'static str,
    pub(crate) aggregate_key: String,
    pub(crate) lane: i16,
    pub(crate) touches: Vec<String>,
}

impl CommandRow {
    /// Returns a line of COPY's text format. Only quotes within the payload's strings would need
    /// escaping, and it has none.
    pub(crate) fn text(&self) -> String {
        let touches: Vec<_> = self.touches.iter().map(|one| format!("\"{one}\"")).collect();
        format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{{{}}}\tbench\tepoch\tnow\tnow\n",
            self.command_id,
            self.kind,
            self.payload,
            self.signer_role,
            self.aggregate_key,
            self.lane,
            touches.join(","),
        )
    }
}

/// Begins a COPY of rows.
pub(crate) async fn copy(
    conn: &mut PgConnection,
) -> Result<PgCopyIn<&mut PgConnection>, sqlx::Error> {
    conn.copy_in_raw(
        r#"COPY "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey", lane,
                                 touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
           FROM STDIN"#,
    )
    .await
}

/// Returns the newest block with events after `block`, and the number of these events.
pub(crate) async fn events_after(
    conn: &mut PgConnection,
    block: i64,
) -> Result<(i64, i64), sqlx::Error> {
    query_as(
        r#"SELECT coalesce(max("blockNumber"), $1), count(*) FROM "EventLog"
           WHERE channel = (SELECT channel FROM "ProjectorState") AND "blockNumber" > $1"#,
    )
    .bind(block)
    .fetch_one(conn)
    .await
}

/// Returns the number of commands that are not settled.
pub(crate) async fn unfinished(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    query_scalar(
        r#"SELECT count(*) FROM "OutboxCommand"
           WHERE status NOT IN ('COMMITTED', 'COMMITTED_UNVERIFIED', 'REFUSED', 'DISCARDED')"#,
    )
    .fetch_one(conn)
    .await
}

/// Returns the number of envelopes that were sent, and of those that were not valid.
pub(crate) async fn attempts(conn: &mut PgConnection) -> Result<(i64, i64), sqlx::Error> {
    query_as(
        r#"SELECT count(*), count(*) FILTER (WHERE state NOT IN ('VALID', 'OPEN'))
           FROM "LedgerAttempt""#,
    )
    .fetch_one(conn)
    .await
}

/// Adds commands that were settled long ago.
pub(crate) async fn add_finished(conn: &mut PgConnection, count: i64) -> Result<(), sqlx::Error> {
    query(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "requestedBy", status, attempts, "nextAttemptAt", "txId",
               "blockNumber", outcome, "createdAt", "updatedAt", "submittedAt", "settledAt")
           SELECT gen_random_uuid(), 'TRANSFER',
                  jsonb_build_object('from', 'MY 463 AUN834 0OLDA 0001',
                                     'to', 'MY 463 AUN834 0OLDB 0002', 'amount', '1',
                                     'txType', NULL),
                  'ADMIN', 'MY 463 AUN834 0OLDA ' || lpad((n % 10000)::text, 4, '0'), n % 64,
                  ARRAY['MY 463 AUN834 0OLDA 0001', 'MY 463 AUN834 0OLDB 0002'], 'bench',
                  'COMMITTED', 1, 'epoch', md5((n / 500)::text) || md5((n / 500)::text), 1,
                  '{"status": "APPLIED"}', now(), now(), now(), now()
           FROM generate_series(1, $1) AS n"#,
    )
    .bind(count)
    .execute(conn)
    .await
    .map(drop)
}

/// Begins a transaction that keeps its view of the database until it ends.
pub(crate) async fn hold_snapshot(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut *conn).await?;
    query_scalar::<_, i64>(r#"SELECT count(*) FROM "OutboxLane""#).fetch_one(conn).await.map(drop)
}

/// Updates a person's row as a service does.
pub(crate) async fn touch_profile(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<(), sqlx::Error> {
    query(r#"UPDATE "UserProfile" SET "updatedAt" = now() WHERE "profileId" = $1"#)
        .bind(profile_id)
        .execute(conn)
        .await
        .map(drop)
}

/// Executes a statement that does nothing.
pub(crate) async fn do_nothing(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query("SELECT 1").execute(conn).await.map(drop)
}
