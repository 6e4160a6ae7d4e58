//! The one place that knows how the GX contracts are called.

use gx_contract::{Caller, Invocation, Response, State, StateError};

use super::{Answer, Call};
use crate::ledger::{Simulation, SimulationError};

/// Runs the contracts under the name that they are deployed with. The error is a state that
/// could not be read or written.
pub(super) fn invoke(
    simulation: &mut Simulation,
    call: &Call<'_>,
    own_name: &str,
    args: &[Vec<u8>],
) -> Result<Answer, String> {
    let args: Result<Vec<String>, _> =
        args.iter().map(|arg| String::from_utf8(arg.clone())).collect();
    let Ok(args) = args else {
        return Ok(refused("the arguments must be UTF-8 texts"));
    };
    let Some((function, args)) = args.split_first() else {
        return Ok(refused("the first argument must name the function"));
    };
    let creator = call.creator;
    let invocation = Invocation {
        function,
        args,
        tx_id: &call.proposal.channel.tx_id,
        timestamp: call.timestamp,
        caller: Caller::from_attributes(creator.gxc_role.as_deref(), &creator.units),
        chaincode_named_in_proposal: &call.proposal.chaincode,
        own_name,
    };
    let mut state = ContractState { simulation, namespace: own_name };
    let response =
        gx_contract::invoke(&mut state, &invocation).map_err(|StateError(reason)| reason)?;
    for (key, value) in response.writes {
        let written = match value {
            Some(value) => simulation.put(own_name, &key, value),
            None => simulation.delete(own_name, &key),
        };
        written.map_err(|error| error.to_string())?;
    }
    Ok(Answer {
        status: response.status,
        message: response.message,
        payload: response.payload,
        event: response.event,
    })
}

fn refused(message: &str) -> Answer {
    Answer {
        status: Response::REFUSED,
        message: message.to_owned(),
        payload: Vec::new(),
        event: None,
    }
}

struct ContractState<'a> {
    simulation: &'a mut Simulation,
    namespace: &'a str,
}

impl State for ContractState<'_> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.simulation.get(self.namespace, key).map_err(|error| unreadable(&error))
    }

    fn range(&mut self, start: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let scan = self
            .simulation
            .open_range(self.namespace, start, end)
            .map_err(|error| unreadable(&error))?;
        let next = || self.simulation.next(scan).map_err(|error| unreadable(&error)).transpose();
        std::iter::from_fn(next).collect()
    }
}

fn unreadable(error: &SimulationError) -> StateError {
    StateError(error.to_string())
}
