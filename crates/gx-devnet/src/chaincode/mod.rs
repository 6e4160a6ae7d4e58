//! The chaincodes of the channel and their calls. The endorser calls [`Chaincodes::execute`] for
//! each proposal; a service calls back to invoke another chaincode.

mod contracts;
mod service;
mod system;

use std::collections::BTreeMap;
use std::sync::Arc;

use gx_fabric_proto::protos::ChaincodeInput;
use gx_ledger_api::Contract;
use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;

use crate::SignaturePolicy;
use crate::collections::Collections;
use crate::ledger::{Definition, Definitions, Simulation};
use crate::msp::Identity;
use crate::proposal::Unpacked;
use service::{CallKind, Service};

pub(crate) use service::ProcessContext;
pub use service::{ChaincodeService, ServiceTls};
pub(crate) use system::{CSCC, QSCC, REFUSED, is_system};

/// The version of every deployed chaincode.
const VERSION: &str = "1.0";
/// The version of every system chaincode.
const SYSTEM_VERSION: &str = "syscc";
/// The key that records for which version a chaincode was initialised. No key of a chaincode can
/// begin with it.
const INITIALIZED_KEY: &str = "\0\u{10ffff}initialized";

/// The deployed chaincodes of the channel, by name.
#[derive(Debug)]
pub(crate) struct Chaincodes(BTreeMap<String, Arc<Chaincode>>);

/// The definition of a chaincode. Its name is its namespace in the state.
#[derive(Debug)]
pub(crate) struct Chaincode {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Whether the first transaction must initialise it.
    init_required: bool,
    /// The endorsement policy of its transactions.
    pub(crate) policy: SignaturePolicy,
    /// Its collections of private data.
    pub(crate) collections: Collections,
    code: Code,
}

/// The implementation of a chaincode.
#[derive(Debug)]
enum Code {
    /// A contract that runs in this process.
    BuiltIn(Arc<dyn Contract>),
    /// A process that speaks the shim protocol.
    Service(Service),
    /// The peer itself; it answers only clients.
    System,
}

/// A transaction that is being simulated.
pub(crate) struct Call<'a> {
    pub(crate) proposal: &'a Unpacked,
    pub(crate) creator: &'a Identity,
    pub(crate) timestamp: OffsetDateTime,
    /// The index of the peer that simulates. Each peer has its own connections to a service.
    pub(crate) peer: usize,
    /// The organisation of that peer, which may hold private data.
    pub(crate) msp_id: &'a str,
}

/// The answer of a chaincode, without its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChaincodeAnswer {
    pub(crate) status: i32,
    pub(crate) message: String,
    pub(crate) payload: Vec<u8>,
    /// The name and payload of the one event.
    pub(crate) event: Option<(String, Vec<u8>)>,
}

/// The end of a chaincode call.
#[derive(Debug)]
enum CallOutcome {
    Completed(ChaincodeAnswer),
    /// The chaincode ended the call with this error message.
    Failed(Vec<u8>),
}

impl Chaincodes {
    pub(crate) fn new(chaincodes: impl IntoIterator<Item = Chaincode>) -> Self {
        let chaincodes = chaincodes.into_iter();
        Self(chaincodes.map(|chaincode| (chaincode.name.clone(), Arc::new(chaincode))).collect())
    }

    /// Returns the definitions by which transactions are validated.
    pub(crate) fn definitions(&self) -> Definitions {
        let definition = |it: &Chaincode| Definition {
            policy: it.policy.clone(),
            collections: it.collections.clone(),
        };
        self.0.iter().map(|(name, it)| (name.clone(), definition(it))).collect()
    }

    /// Returns the chaincode with this name, or `None` if it is not deployed.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Chaincode>> {
        self.0.get(name)
    }

    /// Calls the chaincode that the proposal names. An error is the peer's and not an answer of the
    /// chaincode; the proposal is then not endorsed.
    pub(crate) fn execute(
        &self,
        simulation: &mut Simulation,
        call: &Call<'_>,
    ) -> Result<ChaincodeAnswer, String> {
        let Unpacked { chaincode, channel, args, is_init, .. } = call.proposal;
        let input =
            ChaincodeInput { args: args.clone(), is_init: *is_init, ..ChaincodeInput::default() };
        let outcome = self.invoke(simulation, call, chaincode, &input);
        match outcome {
            Ok(CallOutcome::Completed(answer)) => Ok(answer),
            Ok(CallOutcome::Failed(text)) => Err(format!(
                "transaction returned with failure: {}",
                String::from_utf8_lossy(&text)
            )),
            Err(error) => Err(format!("failed to execute transaction {}: {error}", channel.tx_id)),
        }
    }

    /// Calls a chaincode for a client or for another chaincode. Its reads and writes are recorded
    /// in the simulation, in the namespace of its name. The error is a peer's message.
    fn invoke(
        &self,
        simulation: &mut Simulation,
        call: &Call<'_>,
        name: &str,
        input: &ChaincodeInput,
    ) -> Result<CallOutcome, String> {
        let invalid = |error: String| format!("invalid invocation: {error}");
        if is_system(name) {
            return Ok(CallOutcome::Completed(refused_by_system(name, call)));
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
            Code::BuiltIn(contract) => {
                contracts::invoke(contract.as_ref(), simulation, call, name, &input.args)
                    .map(CallOutcome::Completed)
            }
            Code::Service(service) => service.invoke(self, simulation, call, kind, input),
            Code::System => Ok(CallOutcome::Completed(refused_by_system(name, call))),
        }
    }
}

impl Chaincode {
    /// Returns a contract under this name.
    pub(crate) fn built_in(
        name: &str,
        policy: SignaturePolicy,
        contract: Arc<dyn Contract>,
    ) -> Self {
        Self::new(name, false, policy, Code::BuiltIn(contract))
    }

    /// Returns a system chaincode. Its policy cannot be satisfied, so it never has a transaction.
    pub(crate) fn system(name: &str) -> Self {
        let nobody = SignaturePolicy::OutOf(1, Vec::new());
        let version = SYSTEM_VERSION.to_owned();
        Self { version, ..Self::new(name, false, nobody, Code::System) }
    }

    /// Returns a chaincode that runs as a service.
    pub(crate) fn service(
        service: ChaincodeService,
        policy: SignaturePolicy,
        context: ProcessContext,
    ) -> Self {
        let (name, init_required) = (service.name.clone(), service.init_required);
        Self::new(&name, init_required, policy, Code::Service(Service::new(service, context)))
    }

    /// Returns this chaincode with these collections.
    pub(crate) fn with_collections(self, collections: Collections) -> Self {
        Self { collections, ..self }
    }

    fn new(name: &str, init_required: bool, policy: SignaturePolicy, code: Code) -> Self {
        let (name, version) = (name.to_owned(), VERSION.to_owned());
        let collections = Collections::default();
        Self { name, version, init_required, policy, collections, code }
    }

    /// Waits until the chaincode may be called; dropping the permit ends the call. `None` if the
    /// chaincode has no limit; only services have one.
    pub(crate) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        match &self.code {
            Code::Service(service) => Some(service.admit().await),
            Code::BuiltIn(_) | Code::System => None,
        }
    }

    /// Returns whether the result is the same on every peer, so that one simulation is enough.
    pub(crate) fn is_alike_everywhere(&self) -> bool {
        matches!(self.code, Code::BuiltIn(_))
    }

    /// Returns whether this call initialises the chaincode. If it must be initialised, the first
    /// call must do it, and only that one may; the error refuses another call.
    fn kind(&self, simulation: &mut Simulation, is_init: bool) -> Result<CallKind, String> {
        let name = &self.name;
        let is_due = self.init_required && {
            let done = simulation.get(name, INITIALIZED_KEY).map_err(|error| error.to_string())?;
            done.as_deref() != Some(self.version.as_bytes())
        };
        match (is_init, is_due) {
            (false, false) => Ok(CallKind::Transaction),
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
                set.map(|()| CallKind::Init).map_err(|error| error.to_string())
            }
        }
    }
}

/// Returns the refusal of a system chaincode that another chaincode calls.
fn refused_by_system(name: &str, call: &Call<'_>) -> ChaincodeAnswer {
    ChaincodeAnswer {
        status: REFUSED,
        message: system::refusal_to_chaincodes(name, &call.proposal.chaincode),
        payload: Vec::new(),
        event: None,
    }
}
