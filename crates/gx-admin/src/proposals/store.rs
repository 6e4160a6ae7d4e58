//! SQL of proposals. Called by the parent module, its routes and `watch`.

use std::time::Duration;

use gx_db::{AdminId, PgConnection};
use serde_json::Value;
use time::OffsetDateTime;

use super::ProposalState;
use crate::acts::ActKind;
use crate::review_settings::milliseconds;

/// A proposal to be inserted.
pub(super) struct NewProposal<'a> {
    pub(super) proposal_id: &'a str,
    pub(super) act: ActKind,
    pub(super) target_id: &'a str,
    pub(super) arguments: Value,
    pub(super) texts: Value,
    pub(super) proposed_by: &'a AdminId,
    pub(super) lifetime: Duration,
    pub(super) now: OffsetDateTime,
}

/// A proposal whose row is locked.
pub(super) struct Proposal {
    pub(super) proposal_id: String,
    pub(super) act: String,
    pub(super) target_id: String,
    pub(super) arguments: Value,
    pub(super) texts: Option<Value>,
    pub(super) proposed_by: AdminId,
    pub(super) state: String,
    /// Whether its time is over, by the time of the database.
    pub(super) is_expired: bool,
}

/// A proposal in a list.
pub(super) struct ProposalRow {
    pub(super) proposal_id: String,
    pub(super) act: String,
    pub(super) target_id: String,
    pub(super) arguments: Value,
    pub(super) texts: Option<Value>,
    pub(super) proposed_by: AdminId,
    pub(super) proposed_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
    /// The state, EXPIRED also if nobody has touched the proposal since its time was over.
    pub(super) state: String,
    pub(super) decided_by: Option<AdminId>,
    pub(super) decided_at: Option<OffsetDateTime>,
}

/// The facts of the administrator who proposed.
pub(super) struct Proposer {
    pub(super) role: String,
    pub(super) is_locked: bool,
}

/// Adds a proposal. Returns `false` if the act is already proposed.
pub(super) async fn insert(
    conn: &mut PgConnection,
    new: &NewProposal<'_>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"INSERT INTO "Proposal" ("proposalId", act, "targetId", arguments, texts, "proposedBy",
               "proposedAt", "expiresAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7,
                   clock_timestamp() + $8::bigint * interval '1 millisecond')
           ON CONFLICT (act, "targetId") WHERE state = 'OPEN' DO NOTHING"#,
        new.proposal_id,
        new.act.name(),
        new.target_id,
        new.arguments,
        new.texts,
        new.proposed_by.as_str(),
        new.now,
        milliseconds(new.lifetime),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Returns what a proposal is about, or `None` if there is no such proposal.
pub(super) async fn target(
    conn: &mut PgConnection,
    proposal_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "targetId" FROM "Proposal" WHERE "proposalId" = $1"#,
        proposal_id,
    )
    .fetch_optional(conn)
    .await
}

/// Locks a proposal until the transaction ends, or returns `None` if there is no such proposal.
pub(super) async fn lock(
    conn: &mut PgConnection,
    proposal_id: &str,
) -> Result<Option<Proposal>, sqlx::Error> {
    sqlx::query_as!(
        Proposal,
        r#"SELECT "proposalId" AS proposal_id, act, "targetId" AS target_id, arguments, texts,
                  "proposedBy" AS "proposed_by: AdminId", state,
                  "expiresAt" <= clock_timestamp() AS "is_expired!"
           FROM "Proposal" WHERE "proposalId" = $1 FOR UPDATE"#,
        proposal_id,
    )
    .fetch_optional(conn)
    .await
}

/// Locks the open proposal of an act until the transaction ends, or returns `None` if there is
/// none.
pub(super) async fn lock_open(
    conn: &mut PgConnection,
    act: ActKind,
    target_id: &str,
) -> Result<Option<Proposal>, sqlx::Error> {
    sqlx::query_as!(
        Proposal,
        r#"SELECT "proposalId" AS proposal_id, act, "targetId" AS target_id, arguments, texts,
                  "proposedBy" AS "proposed_by: AdminId", state,
                  "expiresAt" <= clock_timestamp() AS "is_expired!"
           FROM "Proposal" WHERE act = $1 AND "targetId" = $2 AND state = 'OPEN' FOR UPDATE"#,
        act.name(),
        target_id,
    )
    .fetch_optional(conn)
    .await
}

/// Returns the administrator who proposed, whose row stays as it is until the transaction ends.
pub(super) async fn lock_proposer(
    conn: &mut PgConnection,
    admin_id: &AdminId,
) -> Result<Option<Proposer>, sqlx::Error> {
    sqlx::query_as!(
        Proposer,
        r#"SELECT role, "isLocked" AS is_locked FROM "AdminUser" WHERE "adminId" = $1 FOR SHARE"#,
        admin_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Closes an open proposal and removes its texts.
pub(super) async fn decide(
    conn: &mut PgConnection,
    proposal_id: &str,
    end: ProposalState,
    by: Option<&AdminId>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "Proposal" SET state = $2, "decidedBy" = $3, "decidedAt" = $4, texts = NULL
           WHERE "proposalId" = $1"#,
        proposal_id,
        end.name(),
        by.map(AdminId::as_str),
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns open proposals, or all, before the id `below`, the newest first.
pub(super) async fn proposals(
    conn: &mut PgConnection,
    only_open: bool,
    act: Option<ActKind>,
    below: Option<&str>,
    limit: i64,
) -> Result<Vec<ProposalRow>, sqlx::Error> {
    sqlx::query_as!(
        ProposalRow,
        r#"SELECT "proposalId" AS proposal_id, act, "targetId" AS target_id, arguments, texts,
                  "proposedBy" AS "proposed_by: AdminId", "proposedAt" AS proposed_at,
                  "expiresAt" AS expires_at,
                  CASE WHEN state = 'OPEN' AND "expiresAt" <= clock_timestamp() THEN 'EXPIRED'
                       ELSE state END AS "state!",
                  "decidedBy" AS "decided_by: AdminId", "decidedAt" AS decided_at
           FROM "Proposal"
           WHERE (NOT $1 OR (state = 'OPEN' AND "expiresAt" > clock_timestamp()))
             AND ($2::text IS NULL OR act = $2)
             AND ($3::text IS NULL OR "proposalId" < $3)
           ORDER BY "proposalId" DESC LIMIT $4"#,
        only_open,
        act.map(ActKind::name),
        below,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns the number of proposals that can be confirmed.
pub(super) async fn count_open(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM "Proposal"
           WHERE state = 'OPEN' AND "expiresAt" > clock_timestamp()"#
    )
    .fetch_one(conn)
    .await
}

/// Locks some open proposals whose time is over, unless another session has them.
pub(super) async fn lock_expired(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Proposal>, sqlx::Error> {
    sqlx::query_as!(
        Proposal,
        r#"SELECT "proposalId" AS proposal_id, act, "targetId" AS target_id, arguments, texts,
                  "proposedBy" AS "proposed_by: AdminId", state,
                  "expiresAt" <= clock_timestamp() AS "is_expired!"
           FROM "Proposal" WHERE state = 'OPEN' AND "expiresAt" <= clock_timestamp()
           ORDER BY "proposalId" LIMIT $1 FOR UPDATE SKIP LOCKED"#,
        limit,
    )
    .fetch_all(conn)
    .await
}
