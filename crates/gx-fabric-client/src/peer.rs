//! One peer: its connection, which can be replaced, and its circuit breaker. Made by `Ledger::new`;
//! used by gateway calls, streams and comparisons of chains.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gx_fabric_proto::gateway::gateway_client::GatewayClient;
use gx_fabric_proto::protos::deliver_client::DeliverClient;
use gx_fabric_proto::{MAX_MESSAGE_BYTES, PemError, TlsPair, certificates_in, certificates_pem};
use http::Uri;
use tokio::time::Instant;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Response, Status};
use tower::service_fn;

use crate::breaker::{Breaker, Circuit};
use crate::chain::ChainError;
use crate::config::{ConfigError, LedgerConfig, PeerConfig};
use crate::connect::dial;
use crate::error::{LedgerError, Phase};
use crate::outcome_class::OutcomeClass;
use crate::peer_record::PeerRecord;
use crate::telemetry::{count_failure, count_wrong_chain};

/// The state of a peer, as [`crate::Ledger::peers`] reports it.
#[derive(Clone, Debug)]
pub struct PeerState {
    /// `host:port`.
    pub endpoint: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// The state of the circuit breaker.
    pub breaker: Breaker,
    /// The last failure that the circuit breaker counted.
    pub last_error: Option<LedgerError>,
    /// The error of its chain, for which it is set aside.
    pub wrong_chain: Option<ChainError>,
}

/// A peer of any organisation, with its connection, its circuit breaker and its record.
pub(crate) struct Peer {
    config: PeerConfig,
    endpoint: Endpoint,
    connect_timeout: Duration,
    loopback_allowed: bool,
    channel: Mutex<Channel>,
    circuit: Mutex<Circuit>,
    record: Mutex<PeerRecord>,
}

impl Peer {
    /// Checks the settings. The connection is made by the first call. Must be called in a Tokio
    /// runtime.
    pub(crate) fn new(
        config: PeerConfig,
        ledger: &LedgerConfig,
        client_tls: Option<&TlsPair>,
    ) -> Result<Self, ConfigError> {
        let endpoint = tls_endpoint(&config, ledger, client_tls)?;
        let limits = &ledger.limits;
        let channel = connect_lazily(&endpoint, limits.connect_timeout, ledger.development);
        Ok(Self {
            config,
            endpoint,
            connect_timeout: limits.connect_timeout,
            loopback_allowed: ledger.development,
            channel: Mutex::new(channel),
            circuit: Mutex::new(Circuit::new(limits.breaker_failures, limits.breaker_open)),
            record: Mutex::new(PeerRecord::new(limits.set_aside_first, limits.set_aside_cap)),
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
            wrong_chain: self.wrong_chain(),
        }
    }

    /// Sets the peer aside for a while, because of the block that it showed instead of block
    /// `number`. The peer is asked again after each while; the same error is logged once.
    pub(crate) fn set_aside(&self, error: &ChainError, number: u64) {
        if self.wrong_chain().as_ref() != Some(error) {
            tracing::error!(
                peer = self.endpoint(), msp = self.msp_id(), block = number, error = %error,
                "{} shows a wrong block {number} and is set aside; check this peer, or remove it from the \
                 connection profile",
                self.endpoint()
            );
        }
        count_wrong_chain(self.endpoint(), error);
        lock(&self.record).set_aside(error.clone(), number, Instant::now());
    }

    /// Records that the peer showed a right block, and takes it back if that is enough.
    pub(crate) fn showed_right(&self, number: u64) {
        if lock(&self.record).showed_right(number) {
            tracing::info!(
                peer = self.endpoint(),
                msp = self.msp_id(),
                block = number,
                "{} shows the right chain again, at block {number}",
                self.endpoint()
            );
        }
    }

    /// Returns the error of the peer's chain, if there is one.
    pub(crate) fn wrong_chain(&self) -> Option<ChainError> {
        lock(&self.record).wrong().cloned()
    }

    /// Returns whether blocks may be requested from the peer: it is not set aside, or its time
    /// aside is over.
    pub(crate) fn may_be_asked(&self) -> bool {
        lock(&self.record).may_be_asked(Instant::now())
    }

    /// Returns whether the circuit breaker permits a gateway call now. If not, the next peer is
    /// tried.
    pub(crate) fn admit(&self) -> bool {
        lock(&self.circuit).admit(Instant::now())
    }

    /// Replaces the connection: the next call resolves the name and connects again. A frozen peer
    /// keeps its old connection open, so only a new one reaches the process that replaces it.
    pub(crate) fn renew(&self) {
        *lock(&self.channel) =
            connect_lazily(&self.endpoint, self.connect_timeout, self.loopback_allowed);
    }

    /// Replaces the last failure by the same failure with more details.
    pub(crate) fn remember(&self, error: &LedgerError) {
        lock(&self.circuit).remember(error);
    }

    pub(crate) fn deliver_client(&self) -> DeliverClient<Channel> {
        DeliverClient::new(lock(&self.channel).clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Makes one gateway call and records the outcome in the circuit breaker. A call that exceeds
    /// the deadline also replaces the connection.
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

/// Returns whether the circuit breaker counts an error: no server served the call. Errors that
/// depend on a user's content and timeouts of waiting for a commit do not count.
fn counts(error: &LedgerError) -> bool {
    match error.class {
        OutcomeClass::Unavailable => true,
        OutcomeClass::Unknown => error.phase != Phase::CommitStatus,
        OutcomeClass::Refused | OutcomeClass::Conflict | OutcomeClass::Misconfigured => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values are valid at any moment, so a panic of another holder does no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a connection that is made by its first call.
fn connect_lazily(endpoint: &Endpoint, timeout: Duration, loopback_allowed: bool) -> Channel {
    let connector = service_fn(move |uri: Uri| dial(uri, timeout, loopback_allowed));
    endpoint.connect_with_connector_lazy(connector)
}

/// Checks the endpoint and the TLS settings of a peer.
fn tls_endpoint(
    peer: &PeerConfig,
    ledger: &LedgerConfig,
    client_tls: Option<&TlsPair>,
) -> Result<Endpoint, ConfigError> {
    let host = host_of(&peer.endpoint)?;
    if !ledger.development && host.parse::<IpAddr>().is_ok() {
        return Err(ConfigError::LiteralAddress { endpoint: peer.endpoint.clone() });
    }
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(roots_of(peer)?))
        .domain_name(peer.server_name.as_deref().unwrap_or(host))
        .timeout(ledger.limits.connect_timeout);
    if let Some(client) = client_tls {
        tls = tls.identity(Identity::from_pem(client.chain_pem(), client.key_pem()));
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

/// Returns the host of `host:port`, without the brackets of an IPv6 address.
pub(crate) fn host_of(endpoint: &str) -> Result<&str, ConfigError> {
    let malformed = || ConfigError::Endpoint { endpoint: endpoint.to_owned() };
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(malformed)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    match port.parse::<u16>() {
        Ok(1..) if !host.is_empty() => Ok(host),
        _ => Err(malformed()),
    }
}

/// Reads the certificate authorities of a peer. tonic ignores certificates that it cannot read, and
/// the error would then be hard to understand.
fn roots_of(peer: &PeerConfig) -> Result<String, ConfigError> {
    let endpoint = peer.endpoint.clone();
    match certificates_in(&peer.tls_root_pem) {
        Ok(roots) => Ok(certificates_pem(&roots)),
        Err(PemError::CertificateHoldsKey) => Err(ConfigError::TlsRootHoldsKey { endpoint }),
        Err(error) => Err(ConfigError::TlsRoot { endpoint, reason: error.to_string() }),
    }
}
