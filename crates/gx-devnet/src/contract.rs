//! The one place that knows how the GX contracts are called.

use gx_contract::{Caller, Invocation, Response, State, StateError};
use time::OffsetDateTime;

use crate::ledger::Simulation;
use crate::msp::Identity;

/// One call of the contracts, from a verified proposal.
pub(crate) struct Call<'a> {
    pub(crate) args: &'a [Vec<u8>],
    pub(crate) tx_id: &'a str,
    pub(crate) timestamp: OffsetDateTime,
    pub(crate) creator: &'a Identity,
    pub(crate) named_in_proposal: &'a str,
    pub(crate) own_name: &'a str,
}

/// Runs the contracts. The error is a state that could not be read.
pub(crate) fn invoke(simulation: &mut Simulation, call: &Call<'_>) -> Result<Response, String> {
    let args: Result<Vec<String>, _> =
        call.args.iter().map(|arg| String::from_utf8(arg.clone())).collect();
    let Ok(args) = args else {
        return Ok(refused("the arguments must be UTF-8 texts"));
    };
    let Some((function, args)) = args.split_first() else {
        return Ok(refused("the first argument must name the function"));
    };
    let invocation = Invocation {
        function,
        args,
        tx_id: call.tx_id,
        timestamp: call.timestamp,
        caller: Caller::from_attributes(call.creator.gxc_role.as_deref(), &call.creator.units),
        chaincode_named_in_proposal: call.named_in_proposal,
        own_name: call.own_name,
    };
    gx_contract::invoke(&mut SimulatedState(simulation), &invocation)
        .map_err(|StateError(reason)| reason)
}

fn refused(message: &str) -> Response {
    Response {
        status: Response::REFUSED,
        message: message.to_owned(),
        payload: Vec::new(),
        writes: Vec::new(),
        event: None,
    }
}

struct SimulatedState<'a>(&'a mut Simulation);

impl State for SimulatedState<'_> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.0.get(key).map_err(|error| StateError(error.to_string()))
    }

    fn range(&mut self, start: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.0.range(start, end).map_err(|error| StateError(error.to_string()))
    }
}
