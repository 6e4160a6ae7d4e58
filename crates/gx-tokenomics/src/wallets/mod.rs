//! Reads the wallet of a person and its history. Called by the routes of wallets and transfers.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

use gx_db::{PgConnection, ProfileId};
use gx_model::{Command, CommandKind, Qirat, economics};
use gx_serve::{Problem, ProblemKind};
use serde_json::Value;

pub(crate) use store::{TransactionRow, WalletRow};

/// The person is not on the ledger yet.
pub(crate) const NO_WALLET: ProblemKind =
    ProblemKind::new("no_wallet", 404, "There is no wallet yet");

/// A wallet, with the transfers that are not settled.
pub(crate) struct Wallet {
    pub(crate) row: WalletRow,
    pub(crate) pending_count: usize,
    pub(crate) pending_debits: Qirat,
    pub(crate) available: Qirat,
}

/// Returns the person's wallet, or the problem `no_wallet` if the person is not on the ledger yet.
pub(crate) async fn wallet(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Wallet, Problem> {
    let row = store::wallet(conn, profile_id).await?.ok_or_else(no_wallet)?;
    let balance = Qirat::new(row.balance).map_err(|why| Problem::internal(&why))?;
    let pending = row.pending_transfers.as_array().map_or(&[][..], Vec::as_slice);
    let pending_debits = pending.iter().try_fold(Qirat::ZERO, |sum, payload| {
        debit(payload).and_then(|debit| sum.checked_add(debit))
    });
    // A sum that overflows is above the balance, too: nothing is available then.
    let pending_debits = pending_debits.unwrap_or(balance);
    let available = balance.checked_sub(pending_debits).unwrap_or(Qirat::ZERO);
    let pending_count = pending.len();
    Ok(Wallet { row, pending_count, pending_debits, available })
}

/// Returns the amount with the fee of a pending transfer, or 0 if there is no fee class for it,
/// because the ledger refuses such a transfer. Returns `None` if the sum overflows.
fn debit(payload: &Value) -> Option<Qirat> {
    let Ok(Command::Transfer { from, to, amount, .. }) =
        Command::from_payload(CommandKind::Transfer, payload)
    else {
        return Some(Qirat::ZERO);
    };
    match economics::fee(&from, &to, amount) {
        Ok(fee) => amount.checked_add(fee.fee),
        Err(_) => Some(Qirat::ZERO),
    }
}

fn no_wallet() -> Problem {
    Problem::new(&NO_WALLET, "Wait until the ledger has confirmed your registration.")
}
