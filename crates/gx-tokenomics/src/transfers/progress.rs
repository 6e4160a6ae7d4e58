//! The state of a transfer that its payer sees, from the status of its command. Called when a
//! transfer is ordered again, shown or followed.

use gx_db::{StoredCommandId, TxId};
use gx_model::{CommandStatus, EntryOutcome};
use serde::Serialize;
use utoipa::ToSchema;

use super::store::TransferRow;

/// The states of a transfer for its payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum TransferState {
    /// The transfer waits to be sent, or for an operator.
    Pending,
    /// The transfer was sent to the ledger and can no longer be stopped.
    Submitted,
    /// The transfer is in a block.
    Confirmed,
    /// The transfer will never happen; `reason` has the code.
    Failed,
}

impl TransferState {
    /// Returns whether the state never changes again.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Failed)
    }

    /// Returns the name in JSON, which is also the id of the event with this state.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Submitted => "SUBMITTED",
            Self::Confirmed => "CONFIRMED",
            Self::Failed => "FAILED",
        }
    }
}

/// The state of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransferProgress {
    #[schema(value_type = String, example = "7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    pub(crate) command_id: StoredCommandId,
    pub(crate) status: TransferState,
    /// Code of the rule that refused the transfer, or of the event that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "INSUFFICIENT_BALANCE")]
    pub(crate) reason: Option<String>,
    /// Id of the transaction that contains the transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) tx_id: Option<TxId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block_number: Option<i64>,
}

impl TransferProgress {
    pub(super) fn of(row: &TransferRow) -> Self {
        let (status, reason) = state(row);
        Self {
            command_id: row.command_id.clone(),
            status,
            reason,
            tx_id: row.tx_id.clone(),
            block_number: row.block_number,
        }
    }
}

/// Returns the state, and the reason if the transfer failed or waits.
fn state(row: &TransferRow) -> (TransferState, Option<String>) {
    match row.status.known() {
        Some(CommandStatus::Submitted) => (TransferState::Submitted, None),
        Some(CommandStatus::Committed | CommandStatus::CommittedUnverified) => {
            (TransferState::Confirmed, None)
        }
        Some(CommandStatus::Refused) => (TransferState::Failed, Some(refusal(row))),
        Some(CommandStatus::Discarded) => (TransferState::Failed, Some("CANCELLED".to_owned())),
        Some(CommandStatus::Blocked) => (TransferState::Pending, prerequisite(row)),
        Some(CommandStatus::Dead) => {
            (TransferState::Pending, Some("WAITS_FOR_AN_OPERATOR".to_owned()))
        }
        Some(CommandStatus::Pending | CommandStatus::Held) | None => (TransferState::Pending, None),
    }
}

fn refusal(row: &TransferRow) -> String {
    let outcome = row.outcome.clone().unwrap_or_default();
    match serde_json::from_value(outcome) {
        Ok(EntryOutcome::Refused { rejection }) => rejection.code.name().to_owned(),
        _ => "REFUSED".to_owned(),
    }
}

fn prerequisite(row: &TransferRow) -> Option<String> {
    row.prerequisite.as_ref()?.get("kind")?.as_str().map(str::to_owned)
}
