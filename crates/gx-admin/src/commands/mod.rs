//! Lists, retries and discards commands of the outbox, and writes the audit rows. Called by the
//! routes of svc-admin and by `gx outbox`.

mod bulk;
pub(crate) mod bulk_http;
pub(crate) mod http;
#[cfg(test)]
mod tests;
mod wire;

pub use bulk::{BulkAction, BulkReport, bulk_step};

use gx_auth::{Administrator, audit};
use gx_db::PgConnection;
use gx_model::CommandId;
use gx_outbox::operator::{Discarded, OperateError};
use gx_serve::{Entropy, Problem, ProblemKind};
use serde_json::{Value, json};
use sqlx::Connection;
use time::OffsetDateTime;

use crate::audit_reason::AuditReason;

/// The command does not exist.
pub(crate) const NO_COMMAND: ProblemKind =
    ProblemKind::new("no_command", 404, "There is no such command");
/// The command is in an open attempt or settled, or only its requester can send it again.
pub(crate) const COMMAND_NOT_OPEN: ProblemKind =
    ProblemKind::new("command_not_open", 409, "The status of the command does not allow this");

/// The facts of a decision that the audit log records: actor, request and reason.
#[derive(Clone, Copy)]
pub struct AuditedDecision<'a> {
    /// The administrator, or the command of an operator.
    pub actor: audit::Actor<'a>,
    /// Reason for the audit log.
    pub reason: &'a str,
    /// The HTTP request, or `None` for a command of an operator.
    pub request_id: Option<&'a str>,
    /// Random source of the salts with which reasons are hashed.
    pub entropy: &'a Entropy,
}

impl<'a> AuditedDecision<'a> {
    pub(crate) fn of(
        who: &'a Administrator,
        reason: &'a AuditReason,
        entropy: &'a Entropy,
    ) -> Self {
        let actor = audit::Actor::Admin(&who.admin_id);
        Self { actor, reason: &reason.0, request_id: Some(&who.request_id), entropy }
    }

    /// Returns an entry of the audit log with the reason among the values after the action.
    pub(crate) fn entry(
        &self,
        action: &'a str,
        target_type: &'a str,
        target_id: Option<&'a str>,
        after: Value,
    ) -> audit::Entry<'a> {
        let entry = audit::Entry::new(self.actor, action, target_type, target_id, self.request_id);
        let entry = audit::Entry { after: Some(after), ..entry };
        entry.with_text("reason", Some(self.reason), self.entropy)
    }

    pub(crate) fn by(&self) -> &str {
        self.actor.id()
    }

    /// Appends an entry about a command, or about many if there is no id.
    async fn write(
        &self,
        conn: &mut PgConnection,
        action: &str,
        id: Option<CommandId>,
        before: Option<Value>,
        after: Value,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let id = id.map(|id| id.to_string());
        let entry = self.entry(action, "OutboxCommand", id.as_deref(), after);
        audit::append(conn, audit::Entry { before, ..entry }, now).await
    }
}

/// Sends a dead command again, writes the audit row in the same transaction, and returns the id
/// that the command has from now on.
///
/// # Errors
/// The errors of [`gx_outbox::operator::retry`].
pub async fn retry_command(
    conn: &mut PgConnection,
    id: CommandId,
    decision: &AuditedDecision<'_>,
    now: OffsetDateTime,
) -> Result<CommandId, OperateError> {
    let mut tx = conn.begin().await?;
    let before = status(&mut tx, id).await?;
    let retried_id = gx_outbox::operator::retry(&mut tx, id, now).await?;
    let after = json!({ "status": "PENDING", "commandId": retried_id });
    decision.write(&mut tx, "command.retried", Some(id), before, after, now).await?;
    tx.commit().await?;
    Ok(retried_id)
}

/// Withdraws a command and writes the audit row in the same transaction.
///
/// # Errors
/// The errors of [`gx_outbox::operator::discard`].
pub async fn discard_command(
    conn: &mut PgConnection,
    id: CommandId,
    decision: &AuditedDecision<'_>,
    now: OffsetDateTime,
) -> Result<Discarded, OperateError> {
    let mut tx = conn.begin().await?;
    let before = status(&mut tx, id).await?;
    let by = decision.by();
    let discarded = gx_outbox::operator::discard(&mut tx, id, decision.reason, by, now).await?;
    let after = status(&mut tx, id).await?.unwrap_or_else(|| json!({}));
    decision.write(&mut tx, "command.discarded", Some(id), before, after, now).await?;
    tx.commit().await?;
    Ok(discarded)
}

/// Returns the status of a command for the audit log, or `None` if there is no such command.
async fn status(conn: &mut PgConnection, id: CommandId) -> Result<Option<Value>, sqlx::Error> {
    let row = gx_outbox::operator::command(conn, id).await?;
    Ok(row.map(|row| json!({ "status": row.status, "attempts": row.attempts })))
}

fn no_command() -> Problem {
    Problem::new(&NO_COMMAND, "Take an id from the list at /api/v1/admin/outbox.")
}

/// Returns the problem for a command that cannot be retried or discarded.
fn refused(error: OperateError) -> Problem {
    match error {
        OperateError::Unknown(_) => no_command(),
        OperateError::NotNow { status, hint, .. } => {
            Problem::new(&COMMAND_NOT_OPEN, format!("The command is {status}; {hint}."))
        }
        OperateError::Database(error) => error.into(),
    }
}
