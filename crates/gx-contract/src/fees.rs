//! Folding fees: each transaction credits its own key, and this adds such keys to what
//! the operations fund can spend.

use gx_model::{AccountId, Pool, Prerequisite, Qirat};

use crate::batch::{check_count, once, require_running};
use crate::halt::{Damaged, Halt};
use crate::records::Account;
use crate::{Invocation, Response, State, keys};

/// A JSON list of the keys to fold, then a command id.
pub const COMPACT_FEES: &str = "TokenomicsContract:CompactFees";

pub(crate) fn compact(state: &mut dyn State, call: &Invocation<'_>) -> Result<Response, Halt> {
    once(state, call, |state, overlay, _, argument| {
        require_running(overlay)?;
        let deltas: Vec<String> = serde_json::from_str(argument)
            .map_err(|why| Halt::invalid(format!("a list of keys is malformed: {why}")))?;
        check_count(deltas.len(), "keys")?;
        if let Some(other) = deltas.iter().find(|key| !key.starts_with(keys::FEES)) {
            return Err(no_fees(other));
        }
        let fund_key = keys::account(&AccountId::Pool(Pool::OperationsFund));
        overlay.read_ahead(state, deltas.iter().cloned().chain([fund_key.clone()]))?;
        let mut fund: Account = overlay
            .get(&fund_key)?
            .ok_or_else(|| Halt::not_yet(&Prerequisite::SystemBootstrapped {}))?;
        for key in deltas {
            // A key that is listed twice is gone the second time.
            let fee: Qirat = overlay.get(&key)?.ok_or_else(|| no_fees(&key))?;
            fund.balance = fund.balance.checked_add(fee).ok_or_else(above_supply)?;
            overlay.delete(key);
        }
        overlay.put(fund_key, &fund);
        Ok((vec![], vec![]))
    })
}

fn no_fees(key: &str) -> Halt {
    Halt::invalid(format!("{key} holds no fees"))
}

fn above_supply() -> Damaged {
    Damaged("the operations fund would hold more than the supply".to_owned())
}
