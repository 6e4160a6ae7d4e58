//! The connection of one peer to a service. Each transaction asks for its stream; the connection is
//! made if there is none or if it was lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ProcessContext;
use super::stream::{self, Stream};
use super::target::ChaincodeService;

/// Time limit for a service to register after it is connected (`chaincode.startuptimeout`).
const REGISTRATION_TIMEOUT: Duration = Duration::from_mins(5);

/// The last stream of one peer to one service, and how to open another.
#[derive(Debug)]
pub(super) struct Connection {
    target: Arc<ChaincodeService>,
    context: ProcessContext,
    /// Number of attempts to connect that have failed.
    failures: AtomicU64,
    /// Held while connecting, so that there is only one attempt at a time.
    launch: Mutex<Launch>,
}

#[derive(Debug, Default)]
struct Launch {
    stream: Option<Arc<Stream>>,
    /// The id with which the service registered last.
    id: Option<String>,
    /// The error of the last attempt that failed.
    last_error: String,
}

impl Connection {
    pub(super) fn new(target: Arc<ChaincodeService>, context: ProcessContext) -> Self {
        let launch = Mutex::default();
        Self { target, context, failures: AtomicU64::new(0), launch }
    }

    /// Returns the stream to the chaincode, and connects if there is none. Callers during an
    /// attempt share its stream or its error. The error is a peer's message; the next transaction
    /// tries again.
    pub(super) fn stream(&self) -> Result<Arc<Stream>, String> {
        let before = self.failures.load(Ordering::SeqCst);
        let mut launch = self.launch.lock().expect("no holder of this lock can panic");
        if let Some(stream) = launch.stream.as_ref().filter(|stream| stream.is_open()) {
            return Ok(Arc::clone(stream));
        }
        if self.failures.load(Ordering::SeqCst) != before {
            return Err(launch.last_error.clone());
        }
        match self.context.runtime.block_on(self.launch()) {
            Ok(stream) => {
                launch.id = Some(stream.id.clone());
                launch.stream = Some(Arc::clone(&stream));
                Ok(stream)
            }
            Err(failed) => {
                let id = launch.id.as_ref().unwrap_or(&self.target.name);
                launch.last_error = format!("could not launch chaincode {id}: {}", failed.text(id));
                self.failures.fetch_add(1, Ordering::SeqCst);
                Err(launch.last_error.clone())
            }
        }
    }

    /// Connects and waits for the registration.
    async fn launch(&self) -> Result<Arc<Stream>, NoStream> {
        let stopping = &self.context.stopping;
        let launched = async {
            let client = self.target.dial().await;
            let client = client
                .map_err(|error| NoStream::Dial { address: self.target.address.clone(), error })?;
            let registered = stream::open(client, stopping.clone());
            match tokio::time::timeout(REGISTRATION_TIMEOUT, registered).await {
                Ok(stream) => stream.map_err(NoStream::Stream),
                Err(_) => Err(NoStream::Timeout),
            }
        };
        tokio::select! {
            launched = launched => launched,
            () = stopping.cancelled() => Err(NoStream::Stream("the ledger is stopping".to_owned())),
        }
    }
}

/// Why there is no stream.
enum NoStream {
    Dial { address: String, error: String },
    Stream(String),
    Timeout,
}

impl NoStream {
    /// Returns the message of a peer.
    fn text(&self, id: &str) -> String {
        match self {
            Self::Dial { address, error } => format!(
                "connection to {id} failed: error cannot create connection for {id}: error creating \
                 grpc connection to {address}: failed to create new connection: {error}"
            ),
            Self::Stream(error) => format!(
                "connection to {id} failed: error handling chaincode stream for {id}: {error}"
            ),
            Self::Timeout => {
                format!("timeout expired while starting chaincode {id} for transaction")
            }
        }
    }
}
