//! The ledger client. Each process that uses a ledger makes one [`Ledger`] at its start.

mod confirming;
mod gateway;
mod reading;
mod silent_peer;

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use gx_ledger_api::Clock;
use rand::Rng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

pub use gateway::{CommitStatus, Endorsed, Rights};

use crate::config::{ClientTls, ConfigError, LedgerConfig, LedgerLimits};
use crate::error::{Cause, LedgerError, Phase};
use crate::identity::Identity;
use crate::outcome_class::OutcomeClass;
use crate::peer::{Peer, PeerState};
use crate::proposal::{NONCE_BYTES, SignedCall, SigningContext};

/// A ledger, reached through its peers. Clones share connections and circuit breakers.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    channel: String,
    chaincode: String,
    limits: LedgerLimits,
    reader: Identity,
    clock: Clock,
    rng: Mutex<StdRng>,
    /// The peers, those of the reader's organisation first; the first `own` of them are trusted.
    peers: Vec<Arc<Peer>>,
    own: usize,
    /// The index of the peer that gateway calls try first.
    preferred: AtomicUsize,
    tls_cert_hash: Vec<u8>,
}

impl Ledger {
    /// Checks the settings without connecting. `reader` signs evaluations and block requests. The
    /// caller must seed `rng`, which must be cryptographic. Must be called in a Tokio runtime.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that cannot be used.
    pub fn new(
        config: LedgerConfig,
        reader: Identity,
        clock: Clock,
        rng: StdRng,
    ) -> Result<Self, ConfigError> {
        config.check(reader.msp_id())?;
        let (own, others): (Vec<_>, Vec<_>) =
            config.peers.iter().cloned().partition(|peer| peer.msp_id == reader.msp_id());
        let own_count = own.len();
        let client_tls = config.client_tls.as_ref().map(ClientTls::pair).transpose()?;
        let peers = own
            .into_iter()
            .chain(others)
            .map(|peer| Peer::new(peer, &config, client_tls.as_ref()).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        // The hash of our TLS certificate, which binds each request to the connection.
        let tls_cert_hash = client_tls.map(|pair| Sha256::digest(pair.leaf().der()).to_vec());
        Ok(Self(Arc::new(Inner {
            channel: config.channel,
            chaincode: config.chaincode,
            limits: config.limits,
            reader,
            clock,
            rng: Mutex::new(rng),
            peers,
            own: own_count,
            preferred: AtomicUsize::new(0),
            tls_cert_hash: tls_cert_hash.unwrap_or_default(),
        })))
    }

    /// Returns the channel's name.
    pub fn channel(&self) -> &str {
        &self.0.channel
    }

    /// Returns the chaincode's name.
    pub fn chaincode(&self) -> &str {
        &self.0.chaincode
    }

    /// Returns the limits of this client.
    pub fn limits(&self) -> &LedgerLimits {
        &self.0.limits
    }

    /// Returns the state of each peer.
    pub fn peers(&self) -> Vec<PeerState> {
        self.0.peers.iter().map(|peer| peer.state()).collect()
    }

    /// Returns the peers of the reader's organisation.
    pub(crate) fn trusted(&self) -> &[Arc<Peer>] {
        &self.0.peers[..self.0.own]
    }

    /// Returns our first peer that is not set aside, or our first peer if all are.
    pub(crate) fn first_trusted(&self) -> &Arc<Peer> {
        let peers = self.trusted();
        let right = peers.iter().find(|peer| peer.wrong_chain().is_none());
        let first = right.or_else(|| peers.first());
        first.expect("a configuration has at least one trusted peer")
    }

    pub(crate) fn with_rng<T>(&self, use_rng: impl FnOnce(&mut StdRng) -> T) -> T {
        // The generator is valid at any moment, so a panic of another holder does no harm.
        use_rng(&mut self.0.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a signed proposal. Fails if the function has no contract or the certificate has
    /// expired.
    pub(crate) fn sign_call(
        &self,
        phase: Phase,
        signer: &Identity,
        function: &str,
        args: &[String],
    ) -> Result<SignedCall, LedgerError> {
        if !function.contains(':') {
            let reason = format!("the function {function:?} is not addressed as Contract:Function");
            return Err(LedgerError::local(phase, OutcomeClass::Misconfigured, reason));
        }
        let context = self.signing_context();
        if context.now > signer.not_after() {
            let reason = format!(
                "proposal client identity expired: the certificate of {} ended at {}",
                signer.subject(),
                signer.not_after()
            );
            return Err(LedgerError::local(phase, OutcomeClass::Misconfigured, reason)
                .because(Cause::CertificateExpired));
        }
        Ok(SignedCall::new(signer, &context, &self.0.chaincode, function, args))
    }

    /// Returns the time and a new nonce for one signature.
    pub(crate) fn signing_context(&self) -> SigningContext<'_> {
        let mut nonce = [0; NONCE_BYTES];
        self.with_rng(|rng| rng.fill_bytes(&mut nonce));
        SigningContext {
            channel: &self.0.channel,
            now: self.0.clock.now(),
            nonce,
            tls_cert_hash: &self.0.tls_cert_hash,
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("channel", &self.0.channel)
            .field("chaincode", &self.0.chaincode)
            .finish_non_exhaustive()
    }
}
