//! Calls a contract that runs in this process. `Chaincodes::invoke` does so for a built-in
//! chaincode.

use gx_ledger_api::{Contract, ContractCall, State, StateError};

use super::{Call, ChaincodeAnswer};
use crate::ledger::{Simulation, SimulationError};

/// Runs a contract under the name with which it is deployed, and records its writes. The error is a
/// state that cannot be read or written; a rejection is an answer.
pub(super) fn invoke(
    contract: &dyn Contract,
    simulation: &mut Simulation,
    call: &Call<'_>,
    own_name: &str,
    args: &[Vec<u8>],
) -> Result<ChaincodeAnswer, String> {
    let contract_call = ContractCall {
        args,
        tx_id: &call.proposal.channel.tx_id,
        timestamp: call.timestamp,
        gxc_role: call.creator.gxc_role.as_deref(),
        units: &call.creator.units,
        chaincode_named_in_proposal: &call.proposal.chaincode,
        own_name,
    };
    let mut state = ContractState { simulation, namespace: own_name };
    let response =
        contract.invoke(&mut state, &contract_call).map_err(|StateError(reason)| reason)?;
    for (key, value) in response.writes {
        let written = match value {
            Some(value) => simulation.put(own_name, &key, value),
            None => simulation.delete(own_name, &key),
        };
        written.map_err(|error| error.to_string())?;
    }
    Ok(ChaincodeAnswer {
        status: response.status,
        message: response.message,
        payload: response.payload,
        event: response.event,
    })
}

/// The state of one namespace, as a contract reads it.
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
