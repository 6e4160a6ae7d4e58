//! A chaincode that runs as a service: the ledger dials it, as a peer does, and speaks the
//! peer's side of the shim protocol with it.
//!
//! A transaction is simulated on the thread of its caller, which sends the call and then
//! serves the chaincode's requests until the answer comes. What arrives on the stream is
//! handed to these threads by a task of the runtime, see [`stream`].

mod connection;
mod errand;
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

use super::{Call, Chaincodes, Outcome};
use crate::ledger::Simulation;
use connection::Connection;
use errand::Errand;

pub use target::{ChaincodeService, ServiceTls};

/// Calls of one service at once; more wait. Each holds a thread until the service answers, so
/// that a service which does not answer would take every thread of the process.
const CALLS_AT_ONCE: usize = 128;

/// Where a service runs, and what connects us to it.
#[derive(Debug)]
pub(super) struct Service {
    target: Arc<ChaincodeService>,
    surroundings: Surroundings,
    /// Each endorsing peer has a stream of its own, so that they may simulate the same
    /// transaction at the same time.
    connections: Mutex<BTreeMap<usize, Arc<Connection>>>,
    calls: Arc<Semaphore>,
}

/// What a service needs of the process that it is part of.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) runtime: Handle,
    pub(crate) stopping: CancellationToken,
    /// How long a chaincode may take for one transaction.
    pub(crate) execute_timeout: Duration,
}

/// Whether a call initialises the chaincode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Init,
    Transaction,
}

impl Service {
    pub(super) fn new(target: ChaincodeService, surroundings: Surroundings) -> Self {
        let calls = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        Self { target: Arc::new(target), surroundings, connections: Mutex::default(), calls }
    }

    /// Waits for its turn; the turn ends with the permit.
    pub(super) async fn admit(&self) -> OwnedSemaphorePermit {
        let calls = Arc::clone(&self.calls);
        calls.acquire_owned().await.expect("nothing closes the semaphore of a service")
    }

    /// Has the chaincode carry out one call. The error is in the words of a peer.
    pub(super) fn invoke(
        &self,
        chaincodes: &Chaincodes,
        simulation: &mut Simulation,
        call: &Call<'_>,
        kind: Kind,
        input: &ChaincodeInput,
    ) -> Result<Outcome, String> {
        let stream = self.connection(call.peer).stream()?;
        let errand = Errand { chaincodes, call, namespace: &self.target.name, kind };
        errand
            .run(&stream, simulation, input, self.surroundings.execute_timeout)
            .map_err(|error| format!("error sending: {error}"))
    }

    fn connection(&self, peer: usize) -> Arc<Connection> {
        let mut connections = self.connections.lock().expect("no holder of this lock can panic");
        let connection = connections.entry(peer).or_insert_with(|| {
            Arc::new(Connection::new(Arc::clone(&self.target), self.surroundings.clone()))
        });
        Arc::clone(connection)
    }
}
