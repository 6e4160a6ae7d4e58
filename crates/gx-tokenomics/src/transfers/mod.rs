//! Prices, checks and enqueues transfers. Called by the routes under `/api/v1/transfers`.
//!
//! The ledger decides; a check here refuses a transfer earlier, which the ledger would refuse
//! anyway. The transfers of one payer are checked one after the other under the lock of the payer's
//! row, so that two of them cannot use the same money (OUT-14).

pub(crate) mod http;
pub(crate) mod live;
mod progress;
mod store;
#[cfg(test)]
mod tests;

use ::http::StatusCode;
use axum::response::Response;
use gx_auth::{Person, not_enqueued};
use gx_db::PgConnection;
use gx_model::economics::{self, Fee, NoTxType};
use gx_model::{AccountId, AccountStatus, Command, CommandId, FabricUserId, Gx, Qirat};
use gx_outbox::enqueue::NewCommand;
use gx_serve::idempotency::{self, BeginResult, Fingerprint, IdempotencyKey};
use gx_serve::{Problem, ProblemKind, Reply, RequestId};

use crate::ServiceState;
use crate::wallets::{self, Wallet};
use http::AcceptedBody;
pub(crate) use progress::{TransferProgress, TransferState};

/// Most transfers of one person that are not settled.
const MAX_PENDING: usize = 1_000;

/// No person on the ledger has this id.
pub(crate) const UNKNOWN_RECEIVER: ProblemKind =
    ProblemKind::new("unknown_receiver", 422, "There is no such receiver");
/// Payer and receiver are the same person.
pub(crate) const SELF_TRANSFER: ProblemKind =
    ProblemKind::new("self_transfer", 422, "You cannot pay yourself");
/// The fee table has no class for transfers between these accounts.
pub(crate) const NOT_POSSIBLE: ProblemKind = ProblemKind::new(
    "transfer_not_possible",
    422,
    "Transfers between these accounts are not allowed",
);
/// The wallet is frozen, or a freeze is not settled.
pub(crate) const WALLET_FROZEN: ProblemKind =
    ProblemKind::new("wallet_frozen", 409, "The wallet is frozen");
/// Amount and fee are above the available balance.
pub(crate) const INSUFFICIENT_BALANCE: ProblemKind =
    ProblemKind::new("insufficient_balance", 409, "The balance does not cover amount and fee");
/// The payer has too many transfers that are not settled.
pub(crate) const TOO_MANY_PENDING: ProblemKind =
    ProblemKind::new("too_many_pending", 409, "Too many transfers are pending");
/// The transfer does not exist.
pub(crate) const NO_TRANSFER: ProblemKind =
    ProblemKind::new("no_transfer", 404, "There is no such transfer");
/// Another person ordered the transfer.
pub(crate) const NOT_YOURS: ProblemKind =
    ProblemKind::new("not_yours", 403, "The transfer belongs to another person");

/// A transfer that a payer orders.
pub(crate) struct Order {
    pub(crate) to: FabricUserId,
    pub(crate) amount: Qirat,
    pub(crate) remark: Option<String>,
}

/// The cost of a transfer.
pub(crate) struct Quote {
    pub(crate) fee: Fee,
    pub(crate) total: Qirat,
}

/// Returns the cost of a transfer, or the problem that says why it is impossible. Whether the
/// balance covers it is checked when it is ordered.
pub(crate) async fn quote(
    state: &ServiceState,
    person: &Person,
    to: &FabricUserId,
    amount: Qirat,
) -> Result<Quote, Problem> {
    let mut conn = state.base.connection().await?;
    let wallet = wallets::wallet(&mut conn, &person.profile_id).await?;
    let from = payer_account(&wallet)?;
    price(&mut conn, &from, to, amount).await
}

/// Orders a transfer, once for each idempotency key, and wakes the submitter. A repeated request
/// gets the first answer. A problem means that no transfer was enqueued.
pub(crate) async fn order(
    state: &ServiceState,
    person: &Person,
    order: &Order,
    key: &IdempotencyKey,
    request_id: &RequestId,
) -> Result<Response, Problem> {
    let now = state.base.clock.now();
    let _ticket = state.base.row_ticket(person.profile_id.as_str()).await?;
    let tx = state.base.begin_keyed().await?;
    let (to, amount) = (order.to.as_str(), order.amount.to_string());
    let remark = order.remark.as_deref().unwrap_or_default();
    let fingerprint = Fingerprint::plain(&[to, &amount, remark]);
    let request = idempotency::KeyedRequest {
        principal: person.profile_id.as_str(),
        route: http::TRANSFERS,
        key,
        fingerprint: &fingerprint,
        request_id,
    };
    let mut first = match idempotency::begin(tx, request, now).await? {
        BeginResult::Answered(response) => return Ok(*response),
        BeginResult::First(first) => first,
    };
    let parts = [person.profile_id.as_str(), "TRANSFER", key.as_str()];
    let command_id = CommandId::derive(&parts);
    let worked = enqueue(state, first.transaction(), person, order, command_id, request_id).await;
    let response = first.finish(worked).await?;
    state.waker.wake();
    Ok(response)
}

/// Checks the transfer under the lock of the payer's row and enqueues its command.
async fn enqueue(
    state: &ServiceState,
    conn: &mut PgConnection,
    person: &Person,
    order: &Order,
    command_id: CommandId,
    request_id: &RequestId,
) -> Result<Reply<AcceptedBody>, Problem> {
    let status = store::lock_payer(conn, &person.profile_id, order.to.as_str()).await?;
    // The answer to the key is deleted after 24 hours, its command never.
    if let Some(row) = store::transfer(conn, command_id).await? {
        return repeated_answer(order, &row, command_id);
    }
    state.base.require_running(conn).await?;
    let wallet = wallets::wallet(conn, &person.profile_id).await?;
    if status != Some(AccountStatus::Active) || wallet.row.is_frozen {
        let detail = "Transfers from this wallet are not allowed. Ask support for the reason.";
        return Err(Problem::new(&WALLET_FROZEN, detail));
    }
    let from = payer_account(&wallet)?;
    let quote = price(conn, &from, &order.to, order.amount).await?;
    check_covered(&wallet, &quote)?;
    let command = Command::Transfer {
        from,
        to: AccountId::User(order.to.clone()),
        amount: order.amount,
        tx_type: quote.fee.tx_type,
    };
    let new = NewCommand {
        command_id,
        command: &command,
        profile_id: Some(&person.profile_id),
        requested_by: person.profile_id.as_str(),
        request_id: Some(&request_id.0),
    };
    gx_outbox::enqueue::enqueue(conn, new, state.base.clock.now()).await.map_err(not_enqueued)?;
    if let Some(remark) = &order.remark {
        store::add_remark(conn, command_id, remark).await?;
    }
    Ok(accepted(command_id, TransferState::Pending))
}

/// Returns the answer to an order whose command already exists.
fn repeated_answer(
    order: &Order,
    row: &store::TransferRow,
    command_id: CommandId,
) -> Result<Reply<AcceptedBody>, Problem> {
    let Ok(Command::Transfer { to, amount, .. }) = row.command() else {
        return Err(idempotency::reused());
    };
    let is_same = to == AccountId::User(order.to.clone()) && amount == order.amount;
    if !is_same || row.remark != order.remark {
        return Err(idempotency::reused());
    }
    Ok(accepted(command_id, TransferProgress::of(row).status))
}

fn accepted(command_id: CommandId, status: TransferState) -> Reply<AcceptedBody> {
    Reply(StatusCode::ACCEPTED, AcceptedBody::new(command_id, status))
}

/// Returns the state of a transfer to its payer, or the problem for any other person.
pub(crate) async fn progress(
    state: &ServiceState,
    person: &Person,
    command_id: CommandId,
) -> Result<TransferProgress, Problem> {
    let mut conn = state.base.connection().await?;
    let row = store::transfer(&mut conn, command_id).await?;
    let row =
        row.ok_or_else(|| Problem::new(&NO_TRANSFER, "Take the id from the answer to the order."))?;
    if row.profile_id.as_ref() != Some(&person.profile_id) {
        return Err(Problem::new(&NOT_YOURS, "Only the payer of a transfer may follow it."));
    }
    Ok(TransferProgress::of(&row))
}

fn payer_account(wallet: &Wallet) -> Result<AccountId, Problem> {
    wallet.row.fabric_user_id.parse().map_err(|why| Problem::internal(&why))
}

/// Returns the cost of a transfer, or the problem that says why it is impossible.
async fn price(
    conn: &mut PgConnection,
    from: &AccountId,
    to: &FabricUserId,
    amount: Qirat,
) -> Result<Quote, Problem> {
    let receiver = AccountId::User(to.clone());
    if *from == receiver {
        return Err(Problem::new(&SELF_TRANSFER, "Give the Fabric User ID of another person."));
    }
    if !store::can_receive(conn, to.as_str()).await? {
        return Err(Problem::new(&UNKNOWN_RECEIVER, "Check the Fabric User ID."));
    }
    let fee = economics::fee(from, &receiver, amount)
        .map_err(|NoTxType { .. }| Problem::new(&NOT_POSSIBLE, "Choose another receiver."))?;
    let total = amount.checked_add(fee.fee).ok_or_else(|| {
        Problem::new(&INSUFFICIENT_BALANCE, "Amount and fee are more than the whole supply.")
    })?;
    Ok(Quote { fee, total })
}

/// Checks that the available balance covers amount and fee, and that few transfers are pending.
fn check_covered(wallet: &Wallet, quote: &Quote) -> Result<(), Problem> {
    if wallet.pending_count >= MAX_PENDING {
        let detail = format!("Wait until some of your {MAX_PENDING} transfers are confirmed.");
        return Err(Problem::new(&TOO_MANY_PENDING, detail));
    }
    if quote.total > wallet.available {
        let (total, available) = (Gx(quote.total), Gx(wallet.available));
        let detail = format!("{total} GX are needed with the fee; {available} GX are available.");
        return Err(Problem::new(&INSUFFICIENT_BALANCE, detail));
    }
    Ok(())
}
