//! JSON of commands and envelopes, as the routes of `/api/v1/admin/outbox` return them. Made by
//! `http` from the rows of the outbox.

use gx_db::{Named, ProfileId, StoredCommandId, TxId};
use gx_model::{AttemptState, CommandStatus};
use gx_outbox::operator::{AttemptRow, CommandRow};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A command of the outbox.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommandItem {
    number: i64,
    #[schema(value_type = String, example = "7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    command_id: StoredCommandId,
    #[schema(example = "CREATE_USER")]
    kind: String,
    #[schema(value_type = String, example = "PENDING")]
    status: Named<CommandStatus>,
    #[schema(example = "MY 463 AUN834 0QKZB 5821")]
    aggregate_key: String,
    #[schema(required, value_type = Option<String>,
             example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    profile_id: Option<ProfileId>,
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    requested_by: String,
    /// Number of tries so far.
    attempts: i32,
    /// Number of charged failures by class.
    #[schema(value_type = Object)]
    failures: Value,
    /// When the next try is due, while the command is PENDING.
    #[serde(with = "gx_serve::moment")]
    next_attempt_at: OffsetDateTime,
    #[schema(required, value_type = Option<String>)]
    tx_id: Option<TxId>,
    #[schema(required)]
    block_number: Option<i64>,
    /// Error of the last try, or the part of the declared result that is missing on the ledger.
    #[schema(required)]
    last_error: Option<String>,
    /// The ledger's outcome of the command.
    #[schema(required, value_type = Option<Object>)]
    outcome: Option<Value>,
    /// The event that the command waits for, while it is BLOCKED.
    #[schema(required, value_type = Option<Object>)]
    prerequisite: Option<Value>,
    /// The status that giving up leads to (`to`), the reason unless it was erased, and who gave the
    /// command up (`by`).
    #[schema(required, value_type = Option<Object>)]
    give_up: Option<Value>,
    #[serde(with = "gx_serve::moment")]
    created_at: OffsetDateTime,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    settled_at: Option<OffsetDateTime>,
}

impl From<CommandRow> for CommandItem {
    fn from(row: CommandRow) -> Self {
        Self {
            number: row.number,
            command_id: row.command_id,
            kind: row.kind,
            status: row.status,
            aggregate_key: row.aggregate_key,
            profile_id: row.profile_id,
            requested_by: row.requested_by,
            attempts: row.attempts,
            failures: row.failures,
            next_attempt_at: row.next_attempt_at,
            tx_id: row.tx_id,
            block_number: row.block_number,
            last_error: row.last_error,
            outcome: row.outcome,
            prerequisite: row.prerequisite,
            give_up: row.give_up,
            created_at: row.created_at,
            settled_at: row.settled_at,
        }
    }
}

/// One envelope (attempt) that contains a command.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvelopeItem {
    #[schema(value_type = String, example = "5d0a1f8e2c…")]
    tx_id: TxId,
    /// EXECUTE or CANCEL.
    #[schema(example = "EXECUTE")]
    purpose: String,
    #[schema(value_type = String, example = "OPEN")]
    state: Named<AttemptState>,
    /// Number of sends so far.
    sends: i32,
    /// When the next send is due, while the attempt is OPEN.
    #[serde(with = "gx_serve::moment")]
    next_send_at: OffsetDateTime,
    /// Failure class of the last send.
    #[schema(required)]
    error_class: Option<String>,
    /// Error text of the last send.
    #[schema(required)]
    error_detail: Option<String>,
    /// Validation code of the transaction in its block.
    #[schema(required)]
    validation_code: Option<String>,
    #[schema(required)]
    block_number: Option<i64>,
    #[serde(with = "gx_serve::moment")]
    created_at: OffsetDateTime,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    settled_at: Option<OffsetDateTime>,
}

impl From<AttemptRow> for EnvelopeItem {
    fn from(row: AttemptRow) -> Self {
        Self {
            tx_id: row.tx_id,
            purpose: row.purpose,
            state: row.state,
            sends: row.sends,
            next_send_at: row.next_send_at,
            error_class: row.error_class,
            error_detail: row.error_detail,
            validation_code: row.validation_code,
            block_number: row.block_number,
            created_at: row.created_at,
            settled_at: row.settled_at,
        }
    }
}

/// A command and its envelopes, the newest first, at most 100.
#[derive(Serialize, ToSchema)]
pub(crate) struct CommandDetail {
    #[serde(flatten)]
    pub(super) command: CommandItem,
    pub(super) envelopes: Vec<EnvelopeItem>,
}
