//! The configuration of a ledger client, and its limits. Made from a connection profile; read by
//! `Ledger` and its peers.

use std::time::Duration;

use gx_fabric_proto::{PemError, TlsPair};

/// The peers, channel and chaincode that the client uses.
#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// The peers, in the order in which they are tried. Peers of the reader's organisation are
    /// trusted.
    pub peers: Vec<PeerConfig>,
    /// The channel's name.
    pub channel: String,
    /// The chaincode's name.
    pub chaincode: String,
    /// The client certificate for peers that require one.
    pub client_tls: Option<ClientTls>,
    /// Whether peers at loopback or literal addresses are accepted.
    pub development: bool,
    /// Timeouts and other limits.
    pub limits: LedgerLimits,
}

/// One peer.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// `host:port`.
    pub endpoint: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// The certificate authorities of the peer's TLS certificate.
    pub tls_root_pem: String,
    /// The name in the TLS certificate, if it is not the host.
    pub server_name: Option<String>,
}

/// A TLS client certificate with its key.
#[derive(Clone)]
pub struct ClientTls {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key.
    pub private_key_pem: String,
}

impl ClientTls {
    /// Reads the certificate with its chain, and the key.
    pub(crate) fn pair(&self) -> Result<TlsPair, ConfigError> {
        TlsPair::read(&self.certificate_pem, &self.private_key_pem).map_err(ConfigError::ClientTls)
    }
}

/// Does not show the key.
impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// All limits of the client.
#[derive(Clone, Debug)]
pub struct LedgerLimits {
    /// Timeout of an evaluation, including all peers that are tried.
    pub evaluate_timeout: Duration,
    /// Timeout of an endorsement. It must exceed the 30 s that a peer gives a chaincode.
    pub endorse_timeout: Duration,
    /// Timeout of a submission.
    pub submit_timeout: Duration,
    /// Timeout of waiting for a commit status.
    pub commit_status_timeout: Duration,
    /// Timeout of reading a block that exists.
    pub block_timeout: Duration,
    /// Timeout of each of name resolution with TCP, and TLS.
    pub connect_timeout: Duration,
    /// Timeout of asking a peer for its newest block.
    pub height_timeout: Duration,
    /// Interval at which a follower asks the peers for their newest block.
    pub height_interval: Duration,
    /// Time for which a stream may be silent although a peer has the next block.
    pub silence_deadline: Duration,
    /// The first pause before a follower connects again; later pauses double.
    pub backoff_first: Duration,
    /// Limit of the pause before a follower connects again.
    pub backoff_cap: Duration,
    /// Number of failures in a row that open a peer's circuit breaker.
    pub breaker_failures: u32,
    /// Time for which an open circuit breaker stops calls to its peer.
    pub breaker_open: Duration,
    /// Time for which a peer with a wrong chain is set aside at first; it doubles each time.
    pub set_aside_first: Duration,
    /// Limit of the time for which a peer is set aside.
    pub set_aside_cap: Duration,
    /// Interval at which a follower compares the last block with all our peers.
    pub compare_interval: Duration,
    /// Number of blocks that a follower reads ahead of its consumer.
    pub read_ahead_blocks: usize,
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self {
            evaluate_timeout: Duration::from_secs(10),
            endorse_timeout: Duration::from_secs(40),
            submit_timeout: Duration::from_secs(5),
            commit_status_timeout: Duration::from_secs(60),
            block_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            height_timeout: Duration::from_secs(2),
            height_interval: Duration::from_secs(1),
            silence_deadline: Duration::from_secs(3),
            backoff_first: Duration::from_millis(100),
            backoff_cap: Duration::from_secs(3),
            breaker_failures: 5,
            breaker_open: Duration::from_secs(2),
            set_aside_first: Duration::from_secs(1),
            set_aside_cap: Duration::from_secs(60),
            compare_interval: Duration::from_secs(60),
            read_ahead_blocks: 16,
        }
    }
}

/// Why a configuration cannot be used. It prevents the start, as a [`ConfigError::finding`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There are no peers.
    #[error(
        "no peer is configured; add one to the connection profile, or set FABRIC_PEER_ENDPOINT"
    )]
    NoPeers,
    /// No peer belongs to the organisation of the identity.
    #[error(
        "no configured peer belongs to {msp_id}, the organisation of the identity; add a peer of \
         {msp_id} to the connection profile"
    )]
    NoOwnPeer {
        /// The identity's organisation.
        msp_id: String,
    },
    /// The channel or the chaincode has no name.
    #[error("the {0} has no name; name it in the connection profile")]
    Unnamed(&'static str),
    /// An endpoint is not `host:port`.
    #[error("the peer endpoint {endpoint:?} is malformed; write it as host:port")]
    Endpoint {
        /// The endpoint as configured.
        endpoint: String,
    },
    /// An endpoint is an IP address, which is allowed only in development.
    #[error("the peer endpoint {endpoint:?} is an address; outside development give its name")]
    LiteralAddress {
        /// The endpoint as configured.
        endpoint: String,
    },
    /// The certificate authority of a peer cannot be read.
    #[error(
        "the TLS certificate authority of peer {endpoint} cannot be read: {reason}; check \
         `tlsCACerts` in the connection profile"
    )]
    TlsRoot {
        /// The peer's endpoint.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file of a certificate authority has a private key.
    #[error(
        "the file of the TLS certificate authority of peer {endpoint} holds a private key; keep \
         the certificate alone in it"
    )]
    TlsRootHoldsKey {
        /// The peer's endpoint.
        endpoint: String,
    },
    /// The TLS client certificate or its key cannot be used.
    #[error("the TLS client certificate cannot be used: {0}; replace its files")]
    ClientTls(PemError),
    /// The TLS settings of a peer contradict each other.
    #[error(
        "the TLS settings of peer {endpoint} are unusable: {reason}; check its `tlsCACerts` and \
         `grpcOptions` in the connection profile"
    )]
    Tls {
        /// The peer's endpoint.
        endpoint: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A limit is zero.
    #[error("the limit {0} is zero; set it above zero, or leave it out")]
    ZeroLimit(&'static str),
}

impl LedgerConfig {
    /// Checks everything but the settings of each peer, which `Peer::new` checks.
    pub(crate) fn check(&self, own_msp_id: &str) -> Result<(), ConfigError> {
        if self.channel.is_empty() {
            return Err(ConfigError::Unnamed("channel"));
        }
        if self.chaincode.is_empty() {
            return Err(ConfigError::Unnamed("chaincode"));
        }
        if self.peers.is_empty() {
            return Err(ConfigError::NoPeers);
        }
        if !self.peers.iter().any(|peer| peer.msp_id == own_msp_id) {
            return Err(ConfigError::NoOwnPeer { msp_id: own_msp_id.to_owned() });
        }
        self.limits.check()
    }
}

impl LedgerLimits {
    fn check(&self) -> Result<(), ConfigError> {
        let durations = [
            ("evaluate_timeout", self.evaluate_timeout),
            ("endorse_timeout", self.endorse_timeout),
            ("submit_timeout", self.submit_timeout),
            ("commit_status_timeout", self.commit_status_timeout),
            ("block_timeout", self.block_timeout),
            ("connect_timeout", self.connect_timeout),
            ("height_timeout", self.height_timeout),
            ("height_interval", self.height_interval),
            ("silence_deadline", self.silence_deadline),
            ("backoff_first", self.backoff_first),
            ("backoff_cap", self.backoff_cap),
            ("breaker_open", self.breaker_open),
            ("set_aside_first", self.set_aside_first),
            ("set_aside_cap", self.set_aside_cap),
            ("compare_interval", self.compare_interval),
        ];
        if let Some((name, _)) = durations.iter().find(|(_, limit)| limit.is_zero()) {
            return Err(ConfigError::ZeroLimit(name));
        }
        if self.breaker_failures == 0 {
            return Err(ConfigError::ZeroLimit("breaker_failures"));
        }
        if self.read_ahead_blocks == 0 {
            return Err(ConfigError::ZeroLimit("read_ahead_blocks"));
        }
        Ok(())
    }
}
