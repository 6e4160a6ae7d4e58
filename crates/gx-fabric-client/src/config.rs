//! What a ledger client must be told, and its limits.

use std::time::Duration;

/// The peers, the channel and the chaincode to talk to.
#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// Asked in this order; those of the reader's organisation are trusted.
    pub peers: Vec<PeerConfig>,
    /// The channel's name.
    pub channel: String,
    /// The chaincode's name.
    pub chaincode: String,
    /// The certificate to show to peers that ask for one.
    pub client_tls: Option<ClientTls>,
    /// Whether peers at loopback or literal addresses are accepted.
    pub development: bool,
    /// Timeouts and other bounds.
    pub limits: LedgerLimits,
}

/// One peer.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// `host:port`.
    pub endpoint: String,
    /// The peer's organisation.
    pub msp_id: String,
    /// The certificate authorities that may vouch for the peer's TLS certificate.
    pub tls_root_pem: String,
    /// The name that the TLS certificate must carry, if it is not the host.
    pub server_name: Option<String>,
}

/// A TLS client certificate with its key.
#[derive(Clone)]
pub struct ClientTls {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key.
    pub private_key_pem: String,
}

/// Never shows the key.
impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// Every bound of the client.
#[derive(Clone, Debug)]
pub struct LedgerLimits {
    /// The longest an evaluation may take, over all peers tried.
    pub evaluate_timeout: Duration,
    /// The same for an endorsement; above the 30 s that a peer gives a chaincode.
    pub endorse_timeout: Duration,
    /// The same for a submission.
    pub submit_timeout: Duration,
    /// The longest to wait for a commit status.
    pub commit_status_timeout: Duration,
    /// The longest to wait for a block that exists.
    pub block_timeout: Duration,
    /// The longest each of name resolution, TCP and TLS may take.
    pub connect_timeout: Duration,
    /// The longest a peer may take to name its newest block.
    pub height_timeout: Duration,
    /// How often a follower asks the peers for their newest block.
    pub height_interval: Duration,
    /// How long a stream may withhold a block that some peer has.
    pub silence_deadline: Duration,
    /// The first pause before a follower connects again; doubled each time.
    pub backoff_first: Duration,
    /// The longest such pause.
    pub backoff_cap: Duration,
    /// How many failures in a row open a peer's circuit breaker.
    pub breaker_failures: u32,
    /// How long an open breaker keeps calls from its peer.
    pub breaker_open: Duration,
    /// How many blocks a follower holds ahead of its consumer.
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
            read_ahead_blocks: 16,
        }
    }
}

/// Why a configuration cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There are no peers.
    #[error("no peer is configured")]
    NoPeers,
    /// None of the peers belongs to the organisation that signs.
    #[error("no configured peer belongs to {msp_id}, the organisation of the identity")]
    NoOwnPeer {
        /// The identity's organisation.
        msp_id: String,
    },
    /// A name is missing.
    #[error("the {0} has no name")]
    Unnamed(&'static str),
    /// An endpoint is not `host:port`.
    #[error("the peer endpoint {endpoint:?} is not host:port")]
    Endpoint {
        /// As configured.
        endpoint: String,
    },
    /// An endpoint is an address, outside development.
    #[error("the peer endpoint {endpoint:?} is an address; outside development give its name")]
    LiteralAddress {
        /// As configured.
        endpoint: String,
    },
    /// A certificate authority cannot be read.
    #[error("the TLS certificate authority of peer {endpoint} cannot be read: {reason}")]
    TlsRoot {
        /// The peer's endpoint.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS settings of a peer contradict each other.
    #[error("the TLS settings of peer {endpoint} are unusable: {reason}")]
    Tls {
        /// The peer's endpoint.
        endpoint: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A limit of zero would let nothing through.
    #[error("the limit {0} must be above zero")]
    ZeroLimit(&'static str),
}

impl LedgerConfig {
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
