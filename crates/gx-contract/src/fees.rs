//! Folds fees: each transaction writes its fees to a key of its own, and [`COMPACT_FEES`] adds the
//! values of given keys to the balance of the operations fund, from which they can be spent. No
//! process of GX calls the function yet.

use gx_model::{AccountId, Pool, Prerequisite, Qirat};

use crate::batch::{check_count, once, require_running};
use crate::call_error::{CallError, CallResult, Damaged};
use crate::records::Account;
use crate::{Invocation, State, keys};

/// The function that folds fees. Its arguments are a JSON list of fee keys and a command id.
pub const COMPACT_FEES: &str = "TokenomicsContract:CompactFees";

/// Folds the fees of the given keys. Refuses the call, and folds none, if the system is paused or
/// not bootstrapped, or if a key holds no fees.
pub(crate) fn compact(state: &mut dyn State, call: &Invocation<'_>) -> CallResult {
    once(state, call, |state, overlay, _, argument| {
        require_running(overlay)?;
        let deltas: Vec<String> = serde_json::from_str(argument)
            .map_err(|why| CallError::invalid(format!("a list of keys is malformed: {why}")))?;
        check_count(deltas.len(), "keys")?;
        if let Some(other) = deltas.iter().find(|key| !key.starts_with(keys::FEES)) {
            return Err(no_fees(other));
        }
        let fund_key = keys::account(&AccountId::Pool(Pool::OperationsFund));
        overlay.read_ahead(state, deltas.iter().cloned().chain([fund_key.clone()]))?;
        let mut fund: Account = overlay
            .get(&fund_key)?
            .ok_or_else(|| CallError::not_yet(&Prerequisite::SystemBootstrapped {}))?;
        for key in deltas {
            // A key that is listed twice has no value the second time.
            let fee: Qirat = overlay.get(&key)?.ok_or_else(|| no_fees(&key))?;
            fund.balance = fund.balance.checked_add(fee).ok_or_else(above_supply)?;
            overlay.delete(key);
        }
        overlay.put(fund_key, &fund);
        Ok((vec![], vec![]))
    })
}

fn no_fees(key: &str) -> CallError {
    CallError::invalid(format!("{key} holds no fees"))
}

fn above_supply() -> Damaged {
    Damaged("the operations fund would hold more than the supply".to_owned())
}
