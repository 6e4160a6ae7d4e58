//! Retries and discards many commands, a limited number in each transaction. Each command has its
//! own savepoint, and one audit row names all commands of a transaction. Called by `bulk_http`
//! and by `gx outbox`, which repeat the step. A command that cannot be changed is counted and left
//! out.

use gx_db::PgConnection;
use gx_model::{CommandId, CommandStatus};
use gx_outbox::failure::DbErrorCause;
use gx_outbox::operator::{BulkFilter, Discarded, OperateError};
use serde::Serialize;
use serde_json::json;
use sqlx::Connection;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::AuditedDecision;

/// Most commands that one transaction retries or discards.
const MAX_STEP_COMMANDS: i64 = 100;

/// The change to each command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkAction {
    /// The command is sent again, with fresh budgets.
    Retry,
    /// The command is withdrawn.
    Discard,
}

impl BulkAction {
    /// Returns the statuses of the commands that the action can change.
    fn statuses(self) -> &'static [CommandStatus] {
        use CommandStatus::{Blocked, Dead, Held, Pending};
        match self {
            Self::Retry => &[Dead],
            Self::Discard => &[Dead, Pending, Held, Blocked],
        }
    }

    /// Returns whether the action is allowed for commands in a status.
    pub fn takes(self, status: CommandStatus) -> bool {
        self.statuses().contains(&status)
    }

    /// Returns the names of the statuses for which the action is allowed, for messages.
    pub fn allowed_statuses(self) -> String {
        let names: Vec<&str> = self.statuses().iter().map(|status| status.name()).collect();
        names.join(" or ")
    }

    fn audited(self) -> &'static str {
        match self {
            Self::Retry => "commands.retried",
            Self::Discard => "commands.discarded",
        }
    }
}

/// Numbers of commands by what happened to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BulkReport {
    /// Commands that the filter matched.
    pub looked_at: u64,
    /// Commands that are sent again under their ids, or are discarded now.
    pub done: u64,
    /// Commands that are sent again under a new id, because the ledger has cancelled the old one.
    pub reissued: u64,
    /// Commands that are discarded as soon as the ledger has cancelled their ids.
    pub once_cancelled: u64,
    /// Commands that are unchanged: their status has changed meanwhile, or only their requester can
    /// send them again.
    pub not_possible: u64,
    /// Commands that are unchanged, because the database refused the change.
    pub failed: u64,
    /// Number of the last command of this step, if there may be more; the next step starts after
    /// it.
    #[schema(required)]
    pub next_after: Option<i64>,
}

impl BulkReport {
    /// Adds the numbers of a later step.
    pub fn add(&mut self, step: &Self) {
        self.looked_at += step.looked_at;
        self.done += step.done;
        self.reissued += step.reissued;
        self.once_cancelled += step.once_cancelled;
        self.not_possible += step.not_possible;
        self.failed += step.failed;
        self.next_after = step.next_after;
    }
}

/// Retries or discards the next commands that match a filter, and writes the audit row in the same
/// transaction.
///
/// # Errors
/// `sqlx::Error` if a statement fails; this step has changed nothing then.
pub async fn bulk_step(
    conn: &mut PgConnection,
    action: BulkAction,
    filter: &BulkFilter,
    after: i64,
    decision: &AuditedDecision<'_>,
    now: OffsetDateTime,
) -> Result<BulkReport, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let found = gx_outbox::operator::matching(&mut tx, filter, after, MAX_STEP_COMMANDS).await?;
    let mut report = BulkReport::default();
    let mut decided = Vec::new();
    for (_, id) in &found {
        if decide(&mut tx, action, *id, decision, &mut report, now).await? {
            decided.push(id.to_string());
        }
    }
    report.looked_at = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count >= MAX_STEP_COMMANDS);
    report.next_after = found.last().map(|(number, _)| *number).filter(|_| is_full);
    if !decided.is_empty() {
        let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        let after = json!({
            "commandIds": decided,
            "filter": {
                "status": filter.status.name(),
                "class": filter.class.map(|class| class.name()),
                "kind": filter.kind.map(|kind| kind.name()),
                "since": filter.since.map(text),
                "until": filter.until.map(text),
            },
        });
        decision.write(&mut tx, action.audited(), None, None, after, now).await?;
    }
    tx.commit().await?;
    Ok(report)
}

/// Retries or discards one command and returns whether it changed. If the database refuses the
/// change because of the command's data, the other commands go on.
async fn decide(
    conn: &mut PgConnection,
    action: BulkAction,
    id: CommandId,
    decision: &AuditedDecision<'_>,
    report: &mut BulkReport,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut one = conn.begin().await?;
    let count = match action {
        BulkAction::Retry => match gx_outbox::operator::retry(&mut one, id, now).await {
            Ok(retried_id) if retried_id == id => Ok(&mut report.done),
            Ok(_) => Ok(&mut report.reissued),
            Err(why) => Err(why),
        },
        BulkAction::Discard => {
            match gx_outbox::operator::discard(&mut one, id, decision.reason, decision.by(), now)
                .await
            {
                Ok(Discarded::Now) => Ok(&mut report.done),
                Ok(Discarded::OnceCancelled) => Ok(&mut report.once_cancelled),
                Err(why) => Err(why),
            }
        }
    };
    match count {
        Ok(count) => {
            *count += 1;
            one.commit().await?;
            Ok(true)
        }
        Err(OperateError::Database(error)) if DbErrorCause::of(&error) == DbErrorCause::Data => {
            tracing::error!(
                command_id = %id, error = %error,
                "command {id} cannot be changed; remove the cause that `error` names, and repeat"
            );
            report.failed += 1;
            one.rollback().await?;
            Ok(false)
        }
        Err(OperateError::Database(error)) => Err(error),
        Err(OperateError::Unknown(_) | OperateError::NotNow { .. }) => {
            report.not_possible += 1;
            one.rollback().await?;
            Ok(false)
        }
    }
}
