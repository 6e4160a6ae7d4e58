//! Commands on their way to the ledger, as operators see them: what became of each, and what
//! can be done about the ones that did not get there.

pub(crate) mod http;
#[cfg(test)]
mod tests;
mod wire;

use gx_auth::audit;
use gx_db::PgConnection;
use gx_model::CommandId;
use gx_outbox::{Discarded, OperateError};
use gx_serve::{Problem, ProblemKind};
use serde_json::{Value, json};
use sqlx::Connection;
use time::OffsetDateTime;

/// No such command.
pub(crate) const NO_COMMAND: ProblemKind =
    ProblemKind::new("no_command", 404, "There is no such command");
/// It is on its way, settled, or for somebody else to ask anew.
pub(crate) const COMMAND_NOT_OPEN: ProblemKind =
    ProblemKind::new("command_not_open", 409, "Where the command stands, this cannot be done");

/// Who decides on a command, and why.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// Who.
    pub actor: audit::Actor<'a>,
    /// Why; the audit log says it.
    pub reason: &'a str,
    /// The request in which it was decided.
    pub request_id: Option<&'a str>,
}

impl Decision<'_> {
    pub(crate) fn by(&self) -> &str {
        match self.actor {
            audit::Actor::User(id) | audit::Actor::Admin(id) | audit::Actor::System(id) => id,
        }
    }

    async fn write(
        &self,
        conn: &mut PgConnection,
        action: &str,
        id: CommandId,
        before: Option<Value>,
        mut after: Value,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        after["reason"] = self.reason.into();
        let entry = audit::Entry {
            actor: self.actor,
            action,
            target_type: "OutboxCommand",
            target_id: Some(&id.to_string()),
            before,
            after: Some(after),
            request_id: self.request_id,
        };
        audit::append(conn, entry, now).await
    }
}

/// Sends a dead command again and writes the audit row, in one transaction. Gives the id under
/// which it goes.
///
/// # Errors
/// As [`gx_outbox::retry`].
pub async fn retry_command(
    conn: &mut PgConnection,
    id: CommandId,
    decision: &Decision<'_>,
    now: OffsetDateTime,
) -> Result<CommandId, OperateError> {
    let mut tx = conn.begin().await?;
    let before = status(&mut tx, id).await?;
    let goes_as = gx_outbox::retry(&mut tx, id, now).await?;
    let after = json!({ "status": "PENDING", "commandId": goes_as });
    decision.write(&mut tx, "command.retried", id, before, after, now).await?;
    tx.commit().await?;
    Ok(goes_as)
}

/// Withdraws a command and writes the audit row, in one transaction.
///
/// # Errors
/// As [`gx_outbox::discard`].
pub async fn discard_command(
    conn: &mut PgConnection,
    id: CommandId,
    decision: &Decision<'_>,
    now: OffsetDateTime,
) -> Result<Discarded, OperateError> {
    let mut tx = conn.begin().await?;
    let before = status(&mut tx, id).await?;
    let by = decision.by();
    let discarded = gx_outbox::discard(&mut tx, id, decision.reason, by, now).await?;
    let after = status(&mut tx, id).await?.unwrap_or_else(|| json!({}));
    decision.write(&mut tx, "command.discarded", id, before, after, now).await?;
    tx.commit().await?;
    Ok(discarded)
}

async fn status(conn: &mut PgConnection, id: CommandId) -> Result<Option<Value>, sqlx::Error> {
    let row = gx_outbox::command(conn, id).await?;
    Ok(row.map(|row| json!({ "status": row.status, "attempts": row.attempts })))
}

fn no_command() -> Problem {
    Problem::new(&NO_COMMAND, "The list at /api/v1/admin/outbox has the ids.")
}

fn refused(error: OperateError) -> Problem {
    match error {
        OperateError::Unknown(_) => no_command(),
        OperateError::NotNow { status, hint, .. } => {
            Problem::new(&COMMAND_NOT_OPEN, format!("The command is {status}; {hint}."))
        }
        OperateError::Database(error) => error.into(),
    }
}
