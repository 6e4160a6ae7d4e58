//! The client itself.

mod gateway;
mod reading;
mod silent;

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use gx_model::Clock;
use rand::Rng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;

pub use gateway::{CommitStatus, Endorsed, Rights};

use crate::config::{ClientTls, ConfigError, LedgerConfig, LedgerLimits};
use crate::error::{Cause, LedgerError, OutcomeClass, Phase};
use crate::identity::Identity;
use crate::peer::{Peer, PeerState};
use crate::proposal::{NONCE_BYTES, SignedCall, SigningContext};

/// The ledger behind its peers. Clones share connections and circuit breakers.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    channel: String,
    chaincode: String,
    limits: LedgerLimits,
    reader: Identity,
    clock: Clock,
    rng: Mutex<StdRng>,
    /// The reader's organisation's peers first: `own` of them are trusted.
    peers: Vec<Arc<Peer>>,
    own: usize,
    preferred: AtomicUsize,
    tls_cert_hash: Vec<u8>,
}

impl Ledger {
    /// Checks the settings without connecting. `reader` signs evaluations and block
    /// requests; `rng` must be cryptographic and seeded by the caller. Needs a Tokio runtime.
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
        let peers = own
            .into_iter()
            .chain(others)
            .map(|peer| Peer::new(peer, &config).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let tls_cert_hash = config.client_tls.as_ref().map(certificate_hash).unwrap_or_default();
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
            tls_cert_hash,
        })))
    }

    /// The channel's name.
    pub fn channel(&self) -> &str {
        &self.0.channel
    }

    /// The chaincode's name.
    pub fn chaincode(&self) -> &str {
        &self.0.chaincode
    }

    /// The bounds that this client keeps.
    pub fn limits(&self) -> &LedgerLimits {
        &self.0.limits
    }

    /// How each peer fares.
    pub fn peers(&self) -> Vec<PeerState> {
        self.0.peers.iter().map(|peer| peer.state()).collect()
    }

    pub(crate) fn trusted(&self) -> &[Arc<Peer>] {
        &self.0.peers[..self.0.own]
    }

    pub(crate) fn first_trusted(&self) -> &Peer {
        self.trusted().first().expect("a configuration has at least one trusted peer")
    }

    pub(crate) fn with_rng<T>(&self, use_rng: impl FnOnce(&mut StdRng) -> T) -> T {
        // A generator is in a good state at every moment, whoever panicked beside it.
        use_rng(&mut self.0.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

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

/// What binds a request to the TLS connection: the hash of the client's certificate.
fn certificate_hash(client: &ClientTls) -> Vec<u8> {
    Pem::iter_from_buffer(client.certificate_pem.as_bytes())
        .find_map(Result::ok)
        .map(|block| Sha256::digest(&block.contents).to_vec())
        .unwrap_or_default()
}
