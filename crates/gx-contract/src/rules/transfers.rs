//! The rules of transfers and of their fees. [`super::apply`] calls [`transfer`]; the query of a
//! fee calls [`priced`].

use gx_model::economics::{Fee, fee};
use gx_model::{AccountId, DomainEvent, Pool, Qirat, Rejection, RejectionCode, TxType};

use super::account;
use crate::call_error::{Damaged, Stop};
use crate::keys;
use crate::overlay::{Effect, Overlay};
use crate::records::{Account, Standing};

pub(super) fn transfer(
    state: &Overlay,
    from: &AccountId,
    to: &AccountId,
    amount: Qirat,
    claimed: Option<TxType>,
) -> Result<Effect, Stop> {
    check_parties(from, to)?;
    if amount == Qirat::ZERO {
        return Err(Stop::refused(RejectionCode::InvalidAmount, "a transfer moves something"));
    }
    let payer = account(state, from)?;
    let receiver = account(state, to)?;
    let Fee { tx_type, fee, .. } = priced(from, to, amount, claimed)?;
    check_may_spend(from, &payer)?;
    let rest = amount.checked_add(fee).and_then(|cost| payer.balance.checked_sub(cost));
    let Some(from_balance) = rest else {
        let detail = format!("{from} cannot pay {amount} and {fee} Qirat of fees");
        return Err(Stop::refused(RejectionCode::InsufficientBalance, detail));
    };
    let to_balance = receiver
        .balance
        .checked_add(amount)
        .ok_or_else(|| Damaged(format!("{to} would hold more than the supply")))?;
    let event = DomainEvent::TransferCompleted {
        from: from.clone(),
        to: to.clone(),
        amount,
        fee,
        tx_type,
        from_balance,
        to_balance,
    };
    Ok(Effect::new(event)
        .put(keys::account(from), &Account { balance: from_balance, ..payer })
        .put(keys::account(to), &Account { balance: to_balance, ..receiver })
        .fee(fee))
}

/// Returns the fee of a transfer. Refuses a claimed class that is not the class of the accounts.
pub(crate) fn priced(
    from: &AccountId,
    to: &AccountId,
    amount: Qirat,
    claimed: Option<TxType>,
) -> Result<Fee, Rejection> {
    let mismatch = |detail| Rejection { code: RejectionCode::TxTypeMismatch, detail };
    let fee = fee(from, to, amount).map_err(|why| mismatch(why.to_string()))?;
    if claimed.is_none() || claimed == fee.tx_type {
        return Ok(fee);
    }
    let class = fee.tx_type.map_or("of no type", TxType::name);
    Err(mismatch(format!("a transfer from {from} to {to} is {class}")))
}

fn check_parties(from: &AccountId, to: &AccountId) -> Result<(), Stop> {
    if from == to {
        let detail = "payer and receiver are the same account";
        return Err(Stop::refused(RejectionCode::SelfTransfer, detail));
    }
    let reserved = [Pool::UserGenesis, Pool::GovtGenesis].map(AccountId::Pool);
    match [from, to].into_iter().find(|party| reserved.contains(party)) {
        Some(pool) => {
            Err(Stop::refused(RejectionCode::PoolReserved, format!("{pool} pays grants only")))
        }
        None => Ok(()),
    }
}

fn check_may_spend(id: &AccountId, account: &Account) -> Result<(), Stop> {
    match &account.standing {
        Standing::Open {} => Ok(()),
        Standing::Locked {} => {
            let detail = format!("{id} is not activated");
            Err(Stop::refused(RejectionCode::TreasuryLocked, detail))
        }
        Standing::Frozen { reason_code } => {
            let detail = format!("{id} is frozen: {reason_code}");
            Err(Stop::refused(RejectionCode::AccountFrozen, detail))
        }
    }
}
