//! The ledger's rules as pure functions: state read and command in, writes and events out.
//!
//! A transaction reads ahead whatever its commands can need, computes against that, and
//! hands back its writes at the end: inside a Fabric transaction a read does not see the
//! transaction's own writes. Nothing here waits, draws a random number, asks what time it
//! is or computes with floats: every peer must come to the same bytes.

mod batch;
mod caller;
mod fees;
mod halt;
mod keys;
mod overlay;
mod queries;
mod records;
mod rules;

use gx_model::{BatchCommand, CommandKind};
use time::OffsetDateTime;

pub use caller::Caller;
pub use fees::COMPACT_FEES;
pub use keys::fee as fee_key;
pub use queries::{
    AccountView, CountryView, FeeView, PoolView, QUERIES, SupplyView, SystemView, UserView,
};
pub use records::{CommandRecord, GrantRecord, Standing};

use halt::Halt;

/// The ledger's state, as a transaction or an evaluation sees it.
pub trait State {
    /// One value. It does not see the writes of the transaction under way.
    ///
    /// # Errors
    /// [`StateError`] when the state cannot be read; the call is void then.
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError>;

    /// Several values in as few round trips as there can be, in the order of the keys.
    ///
    /// # Errors
    /// As [`State::get`].
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Keys from `start` and before `end`, in order, with their values, however many pages
    /// that takes. Only evaluations ask for ranges.
    ///
    /// # Errors
    /// As [`State::get`].
    fn range(&mut self, start: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>, StateError>;
}

/// The state could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's state cannot be read: {0}")]
pub struct StateError(pub String);

/// One call of a contract function.
#[derive(Clone, Debug)]
pub struct Invocation<'a> {
    /// `Contract:Function`.
    pub function: &'a str,
    /// The arguments; of a mutating function, the command id last.
    pub args: &'a [String],
    /// The transaction's id.
    pub tx_id: &'a str,
    /// The transaction's time, which is the client's.
    pub timestamp: OffsetDateTime,
    /// Who signed.
    pub caller: Caller,
    /// The chaincode that the signed proposal names.
    pub chaincode_named_in_proposal: &'a str,
    /// The name under which this chaincode was deployed.
    pub own_name: &'a str,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200, or at least 400: then there are no writes and nothing may be endorsed.
    pub status: i32,
    /// Empty, or a stable code and what is wrong: `CODE: detail`.
    pub message: String,
    /// JSON: a query's result, a direct call's entry; empty for a batch.
    pub payload: Vec<u8>,
    /// Keys with their new values; `None` deletes.
    pub writes: Vec<(String, Option<Vec<u8>>)>,
    /// The one event's name and payload.
    pub event: Option<(String, Vec<u8>)>,
}

impl Response {
    /// The call was carried out.
    pub const OK: i32 = 200;
    /// The call is refused by a rule.
    pub const REFUSED: i32 = 400;
    /// The signer's role does not reach the function.
    pub const FORBIDDEN: i32 = 403;
    /// The state is damaged.
    pub const DAMAGED: i32 = 500;
}

/// Carries out one call.
///
/// # Errors
/// [`StateError`], the state's own.
pub fn invoke(state: &mut dyn State, call: &Invocation<'_>) -> Result<Response, StateError> {
    let answer = match queries::run(state, call) {
        Some(answer) => answer,
        None => change(state, call),
    };
    match answer {
        Ok(response) => Ok(response),
        Err(Halt::State(why)) => Err(why),
        Err(Halt::Refused { status, code, detail }) => {
            Ok(Response::without_effect(status, format!("{code}: {detail}")))
        }
        Err(Halt::Damaged(why)) => {
            Ok(Response::without_effect(Response::DAMAGED, format!("STATE_DAMAGED: {why}")))
        }
    }
}

fn change(state: &mut dyn State, call: &Invocation<'_>) -> Result<Response, Halt> {
    if call.chaincode_named_in_proposal != call.own_name {
        // Called by another chaincode, the event would be lost, and with it the settlement.
        return Err(Halt::refused(
            "WRONG_CHAINCODE",
            format!("the proposal names another chaincode than {}", call.own_name),
        ));
    }
    match call.function {
        BatchCommand::EXECUTE => batch::execute(state, call),
        BatchCommand::CANCEL => batch::cancel(state, call),
        COMPACT_FEES => fees::compact(state, call),
        function if CommandKind::from_function(function).is_some() => batch::direct(state, call),
        function => {
            Err(Halt::refused("UNKNOWN_FUNCTION", format!("there is no function {function}")))
        }
    }
}

impl Response {
    fn without_effect(status: i32, message: String) -> Self {
        Self { status, message, payload: vec![], writes: vec![], event: None }
    }
}
