//! Transfers between people: priced, refused where they cannot be paid, and handed to the
//! outbox. The ledger decides; what is refused here saves the payer the way there.
//!
//! A payer's transfers are decided one after the other under the lock of the payer's row, so
//! that two of them cannot count on the same money (OUT-14).

pub(crate) mod http;
pub(crate) mod live;
mod progress;
mod store;
#[cfg(test)]
mod tests;

use ::http::StatusCode;
use axum::response::Response;
use gx_auth::Person;
use gx_db::PgConnection;
use gx_model::economics::{self, Fee};
use gx_model::{AccountId, AccountStatus, Command, CommandId, FabricUserId, Gx, Qirat};
use gx_outbox::{EnqueueError, NewCommand};
use gx_serve::idempotency::{self, Begun, IdempotencyKey};
use gx_serve::{Problem, ProblemKind, Reply, RequestId};

use crate::State;
use crate::wallets::{self, Wallet};
use http::AcceptedBody;
pub(crate) use progress::{Progress, TransferState};

/// Transfers of one person that may be on their way at once.
const PENDING_LIMIT: usize = 1_000;

/// Nobody on the ledger has that id.
pub(crate) const UNKNOWN_RECEIVER: ProblemKind =
    ProblemKind::new("unknown_receiver", 422, "There is no such receiver");
/// Payer and receiver are one.
pub(crate) const SELF_TRANSFER: ProblemKind =
    ProblemKind::new("self_transfer", 422, "You cannot pay yourself");
/// No class of transfers leads from the one account to the other.
pub(crate) const NOT_POSSIBLE: ProblemKind =
    ProblemKind::new("transfer_not_possible", 422, "Between these accounts nothing can be sent");
/// The wallet is frozen, or is about to be.
pub(crate) const WALLET_FROZEN: ProblemKind =
    ProblemKind::new("wallet_frozen", 409, "The wallet is frozen");
/// Amount and fee are more than what is available.
pub(crate) const INSUFFICIENT_BALANCE: ProblemKind =
    ProblemKind::new("insufficient_balance", 409, "The balance does not cover this");
/// Too much is on its way.
pub(crate) const TOO_MANY_PENDING: ProblemKind =
    ProblemKind::new("too_many_pending", 409, "Too many transfers are on their way");
/// There is no such transfer.
pub(crate) const NO_TRANSFER: ProblemKind =
    ProblemKind::new("no_transfer", 404, "There is no such transfer");
/// It is somebody else's.
pub(crate) const NOT_YOURS: ProblemKind =
    ProblemKind::new("not_yours", 403, "The transfer is somebody else's");

/// What a payer wants.
pub(crate) struct Order {
    pub(crate) to: FabricUserId,
    pub(crate) amount: Qirat,
    pub(crate) remark: Option<String>,
}

/// What a transfer would cost.
pub(crate) struct Quote {
    pub(crate) fee: Fee,
    pub(crate) total: Qirat,
}

/// Says what a transfer would cost. Whether it can be paid is decided when it is ordered.
pub(crate) async fn quote(
    state: &State,
    person: &Person,
    to: &FabricUserId,
    amount: Qirat,
) -> Result<Quote, Problem> {
    let mut conn = state.base.connection().await?;
    let wallet = wallets::wallet(&mut conn, &person.profile_id).await?;
    let from = payer_account(&wallet)?;
    price(&mut conn, &from, to, amount).await
}

/// Orders a transfer, once for each key.
pub(crate) async fn order(
    state: &State,
    person: &Person,
    order: &Order,
    key: &IdempotencyKey,
    request_id: &RequestId,
) -> Result<Response, Problem> {
    let now = state.base.clock.now();
    let tx = state.base.begin().await?;
    let (to, amount) = (order.to.as_str(), order.amount.to_string());
    let asked = idempotency::Asked {
        principal: &person.profile_id,
        route: http::TRANSFERS,
        key,
        fingerprint: idempotency::fingerprint(&[
            to,
            &amount,
            order.remark.as_deref().unwrap_or_default(),
        ]),
        request_id,
    };
    let mut fresh = match idempotency::begin(tx, asked, now).await? {
        Begun::Answered(response) => return Ok(*response),
        Begun::Fresh(fresh) => fresh,
    };
    let command_id = CommandId::derive(&[&person.profile_id, "TRANSFER", key.as_str()]);
    let worked = enqueue(state, fresh.transaction(), person, order, command_id, request_id).await;
    let response = fresh.finish(worked).await?;
    state.waker.wake();
    Ok(response)
}

async fn enqueue(
    state: &State,
    conn: &mut PgConnection,
    person: &Person,
    order: &Order,
    command_id: CommandId,
    request_id: &RequestId,
) -> Result<Reply<AcceptedBody>, Problem> {
    let status = store::lock_payer(conn, &person.profile_id).await?;
    // The answer to the key may be forgotten; the command that it led to never is.
    if let Some(row) = store::transfer(conn, &command_id.to_string()).await? {
        return again(order, &row, command_id);
    }
    state.base.require_running(conn).await?;
    let wallet = wallets::wallet(conn, &person.profile_id).await?;
    if status.as_deref() != Some(AccountStatus::Active.name()) || wallet.row.is_frozen {
        let detail = "Nothing can be sent from it; ask for the reason.";
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
        requested_by: &person.profile_id,
        request_id: Some(&request_id.0),
    };
    gx_outbox::enqueue(conn, new, state.base.clock.now()).await.map_err(not_enqueued)?;
    if let Some(remark) = &order.remark {
        store::add_remark(conn, &command_id.to_string(), remark).await?;
    }
    Ok(accepted(command_id, TransferState::Pending))
}

/// The answer to an order that was taken before.
fn again(
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
    Ok(accepted(command_id, Progress::of(row).status))
}

fn accepted(command_id: CommandId, status: TransferState) -> Reply<AcceptedBody> {
    Reply(StatusCode::ACCEPTED, AcceptedBody::new(command_id, status))
}

/// Where a transfer stands, for its payer.
pub(crate) async fn progress(
    state: &State,
    person: &Person,
    command_id: CommandId,
) -> Result<Progress, Problem> {
    let mut conn = state.base.connection().await?;
    let row = store::transfer(&mut conn, &command_id.to_string()).await?;
    let row =
        row.ok_or_else(|| Problem::new(&NO_TRANSFER, "The answer to the order has its id."))?;
    if row.profile_id.as_deref() != Some(&person.profile_id) {
        return Err(Problem::new(&NOT_YOURS, "Only its payer may follow it."));
    }
    Ok(Progress::of(&row))
}

fn payer_account(wallet: &Wallet) -> Result<AccountId, Problem> {
    wallet.row.fabric_user_id.parse().map_err(|why| Problem::internal(&why))
}

async fn price(
    conn: &mut PgConnection,
    from: &AccountId,
    to: &FabricUserId,
    amount: Qirat,
) -> Result<Quote, Problem> {
    let receiver = AccountId::User(to.clone());
    if *from == receiver {
        return Err(Problem::new(&SELF_TRANSFER, "Give somebody else's Fabric User ID."));
    }
    if !store::can_receive(conn, to.as_str()).await? {
        return Err(Problem::new(&UNKNOWN_RECEIVER, "Check the Fabric User ID."));
    }
    let fee = economics::fee(from, &receiver, amount)
        .map_err(|why| Problem::new(&NOT_POSSIBLE, format!("There is {why}.")))?;
    let total = amount.checked_add(fee.fee).ok_or_else(|| {
        Problem::new(&INSUFFICIENT_BALANCE, "Amount and fee are more than all the money there is.")
    })?;
    Ok(Quote { fee, total })
}

fn check_covered(wallet: &Wallet, quote: &Quote) -> Result<(), Problem> {
    if wallet.pending_count >= PENDING_LIMIT {
        let detail = format!("Wait until some of your {PENDING_LIMIT} transfers have arrived.");
        return Err(Problem::new(&TOO_MANY_PENDING, detail));
    }
    if quote.total > wallet.available {
        let (total, available) = (Gx(quote.total), Gx(wallet.available));
        let detail = format!("It takes {total} GX with the fee; {available} GX are available.");
        return Err(Problem::new(&INSUFFICIENT_BALANCE, detail));
    }
    Ok(())
}

fn not_enqueued(error: EnqueueError) -> Problem {
    match error {
        EnqueueError::Database(error) => error.into(),
        mismatch @ EnqueueError::Mismatch(_) => Problem::internal(&mismatch),
    }
}
