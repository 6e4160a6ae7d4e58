//! One peer's connection to a service: made when a transaction needs it, and made again when
//! a transaction finds it gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Surroundings;
use super::stream::{self, Stream};
use super::target::ChaincodeService;

/// How long a service may take to register once it is connected
/// (`chaincode.startuptimeout`).
const REGISTRATION_TIMEOUT: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(super) struct Connection {
    target: Arc<ChaincodeService>,
    surroundings: Surroundings,
    /// Attempts to connect that have failed.
    failures: AtomicU64,
    /// Held while connecting, so that there is one attempt at a time.
    launch: Mutex<Launch>,
}

#[derive(Debug, Default)]
struct Launch {
    stream: Option<Arc<Stream>>,
    /// What the service registered with last.
    id: Option<String>,
    last_error: String,
}

impl Connection {
    pub(super) fn new(target: Arc<ChaincodeService>, surroundings: Surroundings) -> Self {
        let launch = Mutex::default();
        Self { target, surroundings, failures: AtomicU64::new(0), launch }
    }

    /// The stream to the chaincode, which is dialled where there is none. Whoever comes while
    /// an attempt is under way shares its stream or its failure.
    pub(super) fn stream(&self) -> Result<Arc<Stream>, String> {
        let before = self.failures.load(Ordering::SeqCst);
        let mut launch = self.launch.lock().expect("no holder of this lock can panic");
        if let Some(stream) = launch.stream.as_ref().filter(|stream| stream.is_open()) {
            return Ok(Arc::clone(stream));
        }
        if self.failures.load(Ordering::SeqCst) != before {
            return Err(launch.last_error.clone());
        }
        match self.surroundings.runtime.block_on(self.launch()) {
            Ok(stream) => {
                launch.id = Some(stream.id.clone());
                launch.stream = Some(Arc::clone(&stream));
                Ok(stream)
            }
            Err(failed) => {
                let id = launch.id.as_ref().unwrap_or(&self.target.name);
                launch.last_error = format!("could not launch chaincode {id}: {}", failed.said(id));
                self.failures.fetch_add(1, Ordering::SeqCst);
                Err(launch.last_error.clone())
            }
        }
    }

    async fn launch(&self) -> Result<Arc<Stream>, Failed> {
        let stopping = &self.surroundings.stopping;
        let launched = async {
            let client = self.target.dial().await;
            let client = client
                .map_err(|error| Failed::Dial { address: self.target.address.clone(), error })?;
            let registered = stream::open(client, stopping.clone());
            match tokio::time::timeout(REGISTRATION_TIMEOUT, registered).await {
                Ok(stream) => stream.map_err(Failed::Stream),
                Err(_) => Err(Failed::Timeout),
            }
        };
        tokio::select! {
            launched = launched => launched,
            () = stopping.cancelled() => Err(Failed::Stream("the ledger is stopping".to_owned())),
        }
    }
}

/// Why there is no stream.
enum Failed {
    Dial { address: String, error: String },
    Stream(String),
    Timeout,
}

impl Failed {
    /// What a peer says.
    fn said(&self, id: &str) -> String {
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
