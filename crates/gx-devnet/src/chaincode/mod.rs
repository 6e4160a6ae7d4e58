//! The chaincodes of the channel, and how they are called.

mod contracts;

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::ledger::Simulation;
use crate::msp::Identity;
use crate::proposal::Unpacked;

/// The version that every deployed chaincode has.
const VERSION: &str = "1.0";

/// What is deployed on the channel, by name.
#[derive(Debug)]
pub(crate) struct Chaincodes(BTreeMap<String, Arc<Chaincode>>);

impl Chaincodes {
    pub(crate) fn new(chaincodes: impl IntoIterator<Item = Chaincode>) -> Self {
        let chaincodes = chaincodes.into_iter();
        Self(chaincodes.map(|chaincode| (chaincode.name.clone(), Arc::new(chaincode))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Chaincode>> {
        self.0.get(name)
    }
}

/// One chaincode's definition. Its name is its namespace in the state.
#[derive(Debug)]
pub(crate) struct Chaincode {
    pub(crate) name: String,
    pub(crate) version: String,
    code: Code,
}

/// What runs when a chaincode is called.
#[derive(Debug)]
enum Code {
    /// The GX contracts, in this process.
    BuiltIn,
}

/// A transaction that is being simulated.
pub(crate) struct Call<'a> {
    pub(crate) proposal: &'a Unpacked,
    pub(crate) creator: &'a Identity,
    pub(crate) timestamp: OffsetDateTime,
}

/// What a chaincode answers, its writes aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) message: String,
    pub(crate) payload: Vec<u8>,
    /// The one event's name and payload.
    pub(crate) event: Option<(String, Vec<u8>)>,
}

impl Chaincode {
    /// The GX contracts under this name.
    pub(crate) fn built_in(name: &str) -> Self {
        Self { name: name.to_owned(), version: VERSION.to_owned(), code: Code::BuiltIn }
    }

    /// Calls the chaincode; its reads and writes go into the simulation, in the namespace of
    /// its own name. The error is a failure of the peer's, not the chaincode's answer.
    pub(crate) fn invoke(
        &self,
        simulation: &mut Simulation,
        call: &Call<'_>,
        args: &[Vec<u8>],
    ) -> Result<Answer, String> {
        match &self.code {
            Code::BuiltIn => contracts::invoke(simulation, call, &self.name, args),
        }
    }
}
