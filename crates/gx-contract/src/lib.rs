//! The rules of the ledger as pure functions: state and call in, writes and events out. A peer's
//! chaincode service (`gx-chaincode`) and the development ledger call [`Contracts`] to endorse or
//! evaluate a proposal.
//!
//! A transaction first reads every value that its commands can need, then computes, and returns its
//! writes at the end, because a read inside a Fabric transaction does not see the transaction's own
//! writes. Nothing here waits, draws random numbers, reads the clock or computes with floats: all
//! peers must produce the same bytes.

mod batch;
mod call_error;
mod caller;
mod fees;
mod keys;
mod overlay;
mod queries;
mod records;
mod rules;

use gx_ledger_api::{Contract, ContractCall};
use gx_model::{BatchCommand, CommandKind};
use time::OffsetDateTime;

pub use caller::Caller;
pub use fees::COMPACT_FEES;
pub use gx_ledger_api::{Response, State, StateError};
pub use keys::fee as fee_key;
pub use queries::{
    AccountView, CountryView, FeeView, PoolView, QUERIES, SupplyView, SystemView, UserView,
};
pub use records::{CommandRecord, GrantRecord, Standing};

use call_error::{CallError, CallResult};

/// One call of a contract function.
#[derive(Clone, Debug)]
pub struct Invocation<'a> {
    /// `Contract:Function`.
    pub function: &'a str,
    /// The arguments. The last argument of a mutating function is the command id.
    pub args: &'a [String],
    /// The id of the transaction.
    pub tx_id: &'a str,
    /// The time of the transaction; the client sets it.
    pub timestamp: OffsetDateTime,
    /// The signer of the proposal.
    pub caller: Caller,
    /// The chaincode that the signed proposal names.
    pub chaincode_named_in_proposal: &'a str,
    /// The name under which this chaincode was deployed.
    pub own_name: &'a str,
}

/// The contracts as the code of a chaincode.
#[derive(Clone, Copy, Debug)]
pub struct Contracts;

impl Contract for Contracts {
    fn invoke(
        &self,
        state: &mut dyn State,
        call: &ContractCall<'_>,
    ) -> Result<Response, StateError> {
        let refused =
            |message: &str| Ok(Response::without_effect(Response::REFUSED, message.to_owned()));
        let texts = call.args.iter().map(|arg| std::str::from_utf8(arg).map(str::to_owned));
        let Ok(texts) = texts.collect::<Result<Vec<_>, _>>() else {
            return refused("the arguments must be UTF-8 texts");
        };
        let Some((function, args)) = texts.split_first() else {
            return refused("the first argument must name the function");
        };
        let invocation = Invocation {
            function,
            args,
            tx_id: call.tx_id,
            timestamp: call.timestamp,
            caller: Caller::from_attributes(call.gxc_role, call.units),
            chaincode_named_in_proposal: call.chaincode_named_in_proposal,
            own_name: call.own_name,
        };
        invoke(state, &invocation)
    }
}

/// Carries out one call and returns the response. A call that is refused, or that finds the state
/// damaged, is a response with another status than [`Response::OK`] and without writes.
///
/// # Errors
/// [`StateError`] if the state cannot be read; the call has no effect then.
pub fn invoke(state: &mut dyn State, call: &Invocation<'_>) -> Result<Response, StateError> {
    let answer = match queries::run(state, call) {
        Some(answer) => answer,
        None => change(state, call),
    };
    match answer {
        Ok(response) => Ok(response),
        Err(CallError::State(why)) => Err(why),
        Err(CallError::Refused { status, code, detail }) => {
            Ok(Response::without_effect(status, format!("{code}: {detail}")))
        }
        Err(CallError::Damaged(why)) => {
            Ok(Response::without_effect(Response::DAMAGED, format!("STATE_DAMAGED: {why}")))
        }
    }
}

/// Carries out a mutating call.
fn change(state: &mut dyn State, call: &Invocation<'_>) -> CallResult {
    if call.chaincode_named_in_proposal != call.own_name {
        // The proposal names another chaincode, which called this one. Fabric would then drop our
        // event, and nobody could settle the commands.
        return Err(CallError::refused(
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
            Err(CallError::refused("UNKNOWN_FUNCTION", format!("there is no function {function}")))
        }
    }
}
