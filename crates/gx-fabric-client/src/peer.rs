//! One peer: its connection, which can be made anew, and its circuit breaker.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gx_fabric_proto::MAX_MESSAGE_BYTES;
use gx_fabric_proto::gateway::gateway_client::GatewayClient;
use gx_fabric_proto::protos::deliver_client::DeliverClient;
use http::Uri;
use tokio::time::Instant;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Response, Status};
use tower::service_fn;
use x509_parser::pem::Pem;

use crate::breaker::{Breaker, Circuit};
use crate::config::{ConfigError, LedgerConfig, PeerConfig};
use crate::connect::dial;
use crate::error::{LedgerError, OutcomeClass, Phase};
use crate::telemetry::count_failure;

/// How a peer fares, for people and health checks.
#[derive(Clone, Debug)]
pub struct PeerState {
    /// `host:port`.
    pub endpoint: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// Whether calls go through.
    pub breaker: Breaker,
    /// The last failure that the breaker counted.
    pub last_error: Option<LedgerError>,
}

pub(crate) struct Peer {
    config: PeerConfig,
    endpoint: Endpoint,
    connect_timeout: Duration,
    loopback_allowed: bool,
    channel: Mutex<Channel>,
    circuit: Mutex<Circuit>,
}

impl Peer {
    /// Checks the settings; connects only when a call needs it. Needs a Tokio runtime.
    pub(crate) fn new(config: PeerConfig, ledger: &LedgerConfig) -> Result<Self, ConfigError> {
        let endpoint = tls_endpoint(&config, ledger)?;
        let limits = &ledger.limits;
        let channel = connect_lazily(&endpoint, limits.connect_timeout, ledger.development);
        Ok(Self {
            config,
            endpoint,
            connect_timeout: limits.connect_timeout,
            loopback_allowed: ledger.development,
            channel: Mutex::new(channel),
            circuit: Mutex::new(Circuit::new(limits.breaker_failures, limits.breaker_open)),
        })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.config.endpoint
    }

    pub(crate) fn msp_id(&self) -> &str {
        &self.config.msp_id
    }

    pub(crate) fn state(&self) -> PeerState {
        let circuit = lock(&self.circuit);
        PeerState {
            endpoint: self.config.endpoint.clone(),
            msp_id: self.config.msp_id.clone(),
            breaker: circuit.state(Instant::now()),
            last_error: circuit.last_error().cloned(),
        }
    }

    pub(crate) fn admit(&self) -> bool {
        lock(&self.circuit).admit(Instant::now())
    }

    /// Forgets the connection: the next call resolves the name and connects anew. A frozen
    /// peer keeps its connection open, so that only a new one finds the peer's successor.
    pub(crate) fn renew(&self) {
        *lock(&self.channel) =
            connect_lazily(&self.endpoint, self.connect_timeout, self.loopback_allowed);
    }

    /// Keeps a failure that was already counted, now that more is known of it.
    pub(crate) fn remember(&self, error: &LedgerError) {
        lock(&self.circuit).remember(error);
    }

    pub(crate) fn deliver_client(&self) -> DeliverClient<Channel> {
        DeliverClient::new(lock(&self.channel).clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// One gateway call under the breaker's eye.
    pub(crate) async fn call<T, F>(
        &self,
        phase: Phase,
        deadline: Instant,
        call: impl FnOnce(GatewayClient<Channel>) -> F,
    ) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let client = GatewayClient::new(lock(&self.channel).clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let outcome = match tokio::time::timeout_at(deadline, call(client)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(LedgerError::from_status(phase, &status)),
            Err(_) => {
                self.renew();
                Err(LedgerError::timed_out(phase))
            }
        };
        let outcome = outcome.map_err(|error| error.at(&self.config.endpoint));
        match &outcome {
            Err(error) if counts(error) => lock(&self.circuit).failed(error, Instant::now()),
            _ => lock(&self.circuit).answered(),
        }
        if let Err(error) = &outcome {
            count_failure(error);
        }
        outcome
    }
}

/// Whether the breaker counts an error: nobody served the call. What a user sent never
/// does, and neither does waiting in vain for a commit.
fn counts(error: &LedgerError) -> bool {
    match error.class {
        OutcomeClass::Unavailable => true,
        OutcomeClass::Unknown => error.phase != Phase::CommitStatus,
        OutcomeClass::Refused | OutcomeClass::Conflict | OutcomeClass::Misconfigured => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both values are whole at every moment, so that a panic elsewhere cannot spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect_lazily(endpoint: &Endpoint, timeout: Duration, loopback_allowed: bool) -> Channel {
    let connector = service_fn(move |uri: Uri| dial(uri, timeout, loopback_allowed));
    endpoint.connect_with_connector_lazy(connector)
}

fn tls_endpoint(peer: &PeerConfig, ledger: &LedgerConfig) -> Result<Endpoint, ConfigError> {
    let host = host_of(&peer.endpoint)?;
    if !ledger.development && host.parse::<IpAddr>().is_ok() {
        return Err(ConfigError::LiteralAddress { endpoint: peer.endpoint.clone() });
    }
    check_roots(peer)?;
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&peer.tls_root_pem))
        .domain_name(peer.server_name.as_deref().unwrap_or(host))
        .timeout(ledger.limits.connect_timeout);
    if let Some(client) = &ledger.client_tls {
        tls = tls.identity(Identity::from_pem(&client.certificate_pem, &client.private_key_pem));
    }
    Endpoint::from_shared(format!("https://{}", peer.endpoint))
        .map_err(|_| ConfigError::Endpoint { endpoint: peer.endpoint.clone() })?
        .tls_config(tls)
        .map_err(|error| ConfigError::Tls {
            endpoint: peer.endpoint.clone(),
            reason: std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string),
        })
}

pub(crate) fn host_of(endpoint: &str) -> Result<&str, ConfigError> {
    let malformed = || ConfigError::Endpoint { endpoint: endpoint.to_owned() };
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(malformed)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    match port.parse::<u16>() {
        Ok(1..) if !host.is_empty() => Ok(host),
        _ => Err(malformed()),
    }
}

/// tonic passes over certificates that it cannot read, which would end in a puzzle later.
fn check_roots(peer: &PeerConfig) -> Result<(), ConfigError> {
    let unreadable =
        |reason: String| ConfigError::TlsRoot { endpoint: peer.endpoint.clone(), reason };
    let mut found = false;
    for block in Pem::iter_from_buffer(peer.tls_root_pem.as_bytes()) {
        let block = block.map_err(|error| unreadable(error.to_string()))?;
        block.parse_x509().map_err(|error| unreadable(error.to_string()))?;
        found = true;
    }
    if found { Ok(()) } else { Err(unreadable("it holds no certificate".to_owned())) }
}
