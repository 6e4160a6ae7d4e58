//! SQL that reads the projection, the ledger's state and the audit log. Called by the routes of the
//! parent module.

use gx_db::PgConnection;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// The checkpoint and the ledger height of one channel.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectionItem {
    #[schema(example = "gxchannel")]
    pub(crate) channel: String,
    /// Number of the last applied block.
    pub(crate) block_number: i64,
    /// Hash of that block, in hexadecimal.
    #[schema(example = "9f86d081884c7d65…")]
    pub(crate) block_hash: String,
    #[serde(with = "gx_serve::moment")]
    pub(crate) updated_at: OffsetDateTime,
    /// Number of blocks of the ledger, or `null` if no worker has reached the ledger yet.
    #[schema(required)]
    pub(crate) ledger_height: Option<i64>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) ledger_contact_at: Option<OffsetDateTime>,
    pub(crate) held_events: i64,
}

/// The state of the ledger of one channel.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SystemItem {
    #[schema(example = "gxchannel")]
    pub(crate) channel: String,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) bootstrapped_at: Option<OffsetDateTime>,
    pub(crate) is_paused: bool,
    #[schema(required)]
    pub(crate) pause_reason: Option<String>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    pub(crate) paused_at: Option<OffsetDateTime>,
}

/// A row of the audit log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditItem {
    pub(crate) seq: i64,
    #[serde(with = "gx_serve::moment")]
    pub(crate) at: OffsetDateTime,
    #[schema(example = "ADMIN")]
    pub(crate) actor_type: String,
    #[schema(required, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) actor_id: Option<String>,
    #[schema(example = "user.locked")]
    pub(crate) action: String,
    #[schema(example = "UserProfile")]
    pub(crate) target_type: String,
    #[schema(required, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) target_id: Option<String>,
    #[schema(required, value_type = Option<Object>)]
    pub(crate) before: Option<Value>,
    /// The values after the action, with the texts that administrators gave; `null` in the place of
    /// a text that was erased.
    #[schema(required, value_type = Option<Object>)]
    pub(crate) after: Option<Value>,
    /// Names of the members of `after` whose texts were erased.
    #[schema(example = json!(["reason"]))]
    pub(crate) erased_texts: Vec<String>,
    #[schema(required, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    pub(crate) request_id: Option<String>,
}

/// Returns the checkpoint and the ledger height of each channel.
pub(crate) async fn projections(
    conn: &mut PgConnection,
) -> Result<Vec<ProjectionItem>, sqlx::Error> {
    sqlx::query_as!(
        ProjectionItem,
        r#"SELECT s.channel, s."blockNumber" AS block_number,
                  encode(s."blockHash", 'hex') AS "block_hash!", s."updatedAt" AS updated_at,
                  (SELECT max(height) FROM "LedgerTip" t WHERE t.channel = s.channel)
                      AS ledger_height,
                  (SELECT max("contactAt") FROM "LedgerTip" t WHERE t.channel = s.channel)
                      AS ledger_contact_at,
                  (SELECT count(*) FROM "EventDLQ" d
                   WHERE d.channel = s.channel AND d.state = 'HELD') AS "held_events!"
           FROM "ProjectorState" s ORDER BY s.channel"#,
    )
    .fetch_all(conn)
    .await
}

/// Returns the state of the ledger of each channel.
pub(crate) async fn systems(conn: &mut PgConnection) -> Result<Vec<SystemItem>, sqlx::Error> {
    sqlx::query_as!(
        SystemItem,
        r#"SELECT channel, "bootstrappedAt" AS bootstrapped_at, "isPaused" AS is_paused,
                  "pauseReason" AS pause_reason, "pausedAt" AS paused_at
           FROM "LedgerSystem" ORDER BY channel"#,
    )
    .fetch_all(conn)
    .await
}

/// Returns rows of the audit log with numbers below `below`, the newest first. Texts replace the
/// hashes that the entries contain; a text without a hash is not shown.
pub(crate) async fn audit_rows(
    conn: &mut PgConnection,
    below: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditItem>, sqlx::Error> {
    sqlx::query_as!(
        AuditItem,
        r#"SELECT seq AS "seq!", at AS "at!", "actorType" AS "actor_type!", "actorId" AS actor_id,
                  action AS "action!", "targetType" AS "target_type!", "targetId" AS target_id,
                  before,
                  after || coalesce(
                      (SELECT jsonb_object_agg(t.field, t.text) FROM "AuditText" AS t
                       WHERE t.seq = rows.seq
                         AND jsonb_typeof(rows.after -> t.field -> 'textHash') = 'string'),
                      '{}') AS after,
                  ARRAY(SELECT t.field FROM "AuditText" AS t
                        WHERE t.seq = rows.seq AND t.text IS NULL ORDER BY t.field)
                      AS "erased_texts!",
                  "requestId" AS request_id
           FROM (SELECT * FROM (SELECT seq, at, "actorType", "actorId", action, "targetType",
                                       "targetId", before, after, "requestId"
                                FROM "AuditEntry" WHERE $1::bigint IS NULL OR seq < $1
                                ORDER BY seq DESC LIMIT $2) AS entries
                 UNION ALL
                 SELECT * FROM (SELECT seq, at, "actorType", "actorId", action, "targetType",
                                       "targetId", before, after, "requestId"
                                FROM "AuditLog" WHERE $1::bigint IS NULL OR seq < $1
                                ORDER BY seq DESC LIMIT $2) AS chain) AS rows
           ORDER BY seq DESC LIMIT $2"#,
        below,
        limit,
    )
    .fetch_all(conn)
    .await
}
