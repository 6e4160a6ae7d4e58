//! A chaincode that runs as a service. The ledger connects to it, as a peer does, and speaks the
//! peer's side of the shim protocol. `Chaincodes::invoke` calls [`Service::invoke`].
//!
//! A transaction is simulated on the thread of its caller, which sends the call and then serves the
//! chaincode's requests until the answer arrives. A task of the runtime receives the messages of
//! the stream and passes them to these threads, see [`stream`].

mod connection;
mod execution;
mod queries;
mod requests;
mod stream;
mod target;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gx_fabric_proto::protos::ChaincodeInput;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Call, CallOutcome, Chaincodes};
use crate::ledger::Simulation;
use connection::Connection;

pub use target::{ChaincodeService, ServiceTls};

/// Limit of concurrent calls of one service; others wait. Each call blocks a thread until the
/// service answers, so a service that does not answer could otherwise use up all threads of the
/// process.
const CALLS_AT_ONCE: usize = 128;

/// A service and the connections to it.
#[derive(Debug)]
pub(super) struct Service {
    target: Arc<ChaincodeService>,
    context: ProcessContext,
    /// One stream for each endorsing peer, so that several peers can simulate the same transaction
    /// at the same time.
    connections: Mutex<BTreeMap<usize, Arc<Connection>>>,
    calls: Arc<Semaphore>,
}

/// The parts of the process that a service uses.
#[derive(Clone, Debug)]
pub(crate) struct ProcessContext {
    pub(crate) runtime: Handle,
    pub(crate) stopping: CancellationToken,
    /// Time limit of a chaincode for one transaction.
    pub(crate) execute_timeout: Duration,
}

/// Whether a call initialises the chaincode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Init,
    Transaction,
}

/// A chaincode call to execute.
struct Execution<'a> {
    chaincodes: &'a Chaincodes,
    call: &'a Call<'a>,
    /// The name of the chaincode that is called.
    namespace: &'a str,
    kind: CallKind,
}

impl Service {
    pub(super) fn new(target: ChaincodeService, context: ProcessContext) -> Self {
        let calls = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        Self { target: Arc::new(target), context, connections: Mutex::default(), calls }
    }

    /// Waits until another call may begin. Dropping the permit ends the call.
    pub(super) async fn admit(&self) -> OwnedSemaphorePermit {
        let calls = Arc::clone(&self.calls);
        calls.acquire_owned().await.expect("nothing closes the semaphore of a service")
    }

    /// Executes one call. The error is a peer's message: there is no stream, or the call failed on
    /// it.
    pub(super) fn invoke(
        &self,
        chaincodes: &Chaincodes,
        simulation: &mut Simulation,
        call: &Call<'_>,
        kind: CallKind,
        input: &ChaincodeInput,
    ) -> Result<CallOutcome, String> {
        let stream = self.connection(call.peer).stream()?;
        let execution = Execution { chaincodes, call, namespace: &self.target.name, kind };
        execution
            .run(&stream, simulation, input, self.context.execute_timeout)
            .map_err(|error| format!("error sending: {error}"))
    }

    /// Returns the connection of this peer.
    fn connection(&self, peer: usize) -> Arc<Connection> {
        let mut connections = self.connections.lock().expect("no holder of this lock can panic");
        let connection = connections.entry(peer).or_insert_with(|| {
            Arc::new(Connection::new(Arc::clone(&self.target), self.context.clone()))
        });
        Arc::clone(connection)
    }
}
