//! The chaincodes of the channel, and how they are called.

mod contracts;
pub(crate) mod definitions;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use gx_fabric_proto::protos::ChaincodeInput;
use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;

use crate::SignaturePolicy;
use crate::collections::Collections;
use crate::ledger::Simulation;
use crate::msp::Identity;
use crate::proposal::Unpacked;
use crate::system;
use service::{Kind, Service};

pub(crate) use service::Surroundings;
pub use service::{ChaincodeService, ServiceTls};

/// The version that every deployed chaincode has.
const VERSION: &str = "1.0";
/// The version that every system chaincode has.
const SYSTEM_VERSION: &str = "syscc";
/// Says, where a chaincode must be initialised, for which version that was done. No key of a
/// chaincode can begin like this one.
const INITIALIZED_KEY: &str = "\0\u{10ffff}initialized";

/// What is deployed on the channel, by name.
#[derive(Debug)]
pub(crate) struct Chaincodes(BTreeMap<String, Arc<Chaincode>>);

/// One chaincode's definition. Its name is its namespace in the state.
#[derive(Debug)]
pub(crate) struct Chaincode {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Whether a first transaction must initialise it.
    init_required: bool,
    /// Whose endorsements its transactions need.
    pub(crate) policy: SignaturePolicy,
    /// Its private data.
    pub(crate) collections: Collections,
    code: Code,
}

/// What runs when a chaincode is called.
#[derive(Debug)]
enum Code {
    /// The GX contracts, in this process.
    BuiltIn,
    /// A process that serves the shim protocol.
    Service(Service),
    /// The peer itself, which answers clients only.
    System,
}

/// A transaction that is being simulated.
pub(crate) struct Call<'a> {
    pub(crate) proposal: &'a Unpacked,
    pub(crate) creator: &'a Identity,
    pub(crate) timestamp: OffsetDateTime,
    /// Which peer simulates it: each has connections of its own.
    pub(crate) peer: usize,
    /// That peer's organisation, which may hold private data.
    pub(crate) msp_id: &'a str,
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

/// How a call of a chaincode ended.
#[derive(Debug)]
enum Outcome {
    Completed(Answer),
    /// The chaincode could not carry it out, and says why.
    Failed(Vec<u8>),
}

impl Chaincodes {
    pub(crate) fn new(chaincodes: impl IntoIterator<Item = Chaincode>) -> Self {
        let chaincodes = chaincodes.into_iter();
        Self(chaincodes.map(|chaincode| (chaincode.name.clone(), Arc::new(chaincode))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Chaincode>> {
        self.0.get(name)
    }

    /// Calls the chaincode that the proposal names. The error is a peer's, and not the
    /// chaincode's answer.
    pub(crate) fn execute(
        &self,
        simulation: &mut Simulation,
        call: &Call<'_>,
    ) -> Result<Answer, String> {
        let Unpacked { chaincode, channel, args, is_init, .. } = call.proposal;
        let input =
            ChaincodeInput { args: args.clone(), is_init: *is_init, ..ChaincodeInput::default() };
        let outcome = self.invoke(simulation, call, chaincode, &input);
        match outcome {
            Ok(Outcome::Completed(answer)) => Ok(answer),
            Ok(Outcome::Failed(text)) => Err(format!(
                "transaction returned with failure: {}",
                String::from_utf8_lossy(&text)
            )),
            Err(error) => Err(format!("failed to execute transaction {}: {error}", channel.tx_id)),
        }
    }

    /// Calls a chaincode, for a client or for another chaincode. Its reads and writes go into
    /// the simulation, in the namespace of its own name.
    fn invoke(
        &self,
        simulation: &mut Simulation,
        call: &Call<'_>,
        name: &str,
        input: &ChaincodeInput,
    ) -> Result<Outcome, String> {
        let invalid = |error: String| format!("invalid invocation: {error}");
        if system::is_system(name) {
            return Ok(Outcome::Completed(refused_by_system(name, call)));
        }
        let chaincode = self.get(name).ok_or_else(|| {
            let channel = &call.proposal.channel.channel_id;
            invalid(format!(
                "[channel {channel}] failed to get chaincode container info for {name}: chaincode \
                 {name} not found"
            ))
        })?;
        let kind = chaincode.kind(simulation, input.is_init).map_err(invalid)?;
        match &chaincode.code {
            Code::BuiltIn => {
                contracts::invoke(simulation, call, name, &input.args).map(Outcome::Completed)
            }
            Code::Service(service) => service.invoke(self, simulation, call, kind, input),
            Code::System => Ok(Outcome::Completed(refused_by_system(name, call))),
        }
    }
}

impl Chaincode {
    /// The GX contracts under this name.
    pub(crate) fn built_in(name: &str, policy: SignaturePolicy) -> Self {
        Self::new(name, false, policy, Code::BuiltIn)
    }

    /// A system chaincode, which nobody's endorsement makes a transaction of.
    pub(crate) fn system(name: &str) -> Self {
        let nobody = SignaturePolicy::OutOf(1, Vec::new());
        let version = SYSTEM_VERSION.to_owned();
        Self { version, ..Self::new(name, false, nobody, Code::System) }
    }

    /// A chaincode that runs elsewhere.
    pub(crate) fn service(
        service: ChaincodeService,
        policy: SignaturePolicy,
        surroundings: Surroundings,
    ) -> Self {
        let (name, init_required) = (service.name.clone(), service.init_required);
        Self::new(&name, init_required, policy, Code::Service(Service::new(service, surroundings)))
    }

    /// With these collections.
    pub(crate) fn with_collections(self, collections: Collections) -> Self {
        Self { collections, ..self }
    }

    fn new(name: &str, init_required: bool, policy: SignaturePolicy, code: Code) -> Self {
        let (name, version) = (name.to_owned(), VERSION.to_owned());
        let collections = Collections::default();
        Self { name, version, init_required, policy, collections, code }
    }

    /// Waits until the chaincode may be called once more, where it runs elsewhere.
    pub(crate) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        match &self.code {
            Code::Service(service) => Some(service.admit().await),
            Code::BuiltIn | Code::System => None,
        }
    }

    /// Whether every peer that runs it gets the same, so that running it once will do.
    pub(crate) fn is_alike_everywhere(&self) -> bool {
        matches!(self.code, Code::BuiltIn)
    }

    /// Whether this call initialises the chaincode; where it must be initialised, that is the
    /// first call, once.
    fn kind(&self, simulation: &mut Simulation, is_init: bool) -> Result<Kind, String> {
        let name = &self.name;
        let is_due = self.init_required && {
            let done = simulation.get(name, INITIALIZED_KEY).map_err(|error| error.to_string())?;
            done.as_deref() != Some(self.version.as_bytes())
        };
        match (is_init, is_due) {
            (false, false) => Ok(Kind::Transaction),
            (false, true) => Err(format!(
                "chaincode '{name}' has not been initialized for this version, must call as init \
                 first"
            )),
            (true, false) if self.init_required => {
                Err(format!("chaincode '{name}' is already initialized but called as init"))
            }
            (true, false) => Err(format!(
                "chaincode '{name}' does not require initialization but called as init"
            )),
            (true, true) => {
                let version = self.version.clone().into_bytes();
                let set = simulation.put(name, INITIALIZED_KEY, version);
                set.map(|()| Kind::Init).map_err(|error| error.to_string())
            }
        }
    }
}

fn refused_by_system(name: &str, call: &Call<'_>) -> Answer {
    Answer {
        status: system::REFUSED,
        message: system::refusal_to_chaincodes(name, &call.proposal.chaincode),
        payload: Vec::new(),
        event: None,
    }
}
