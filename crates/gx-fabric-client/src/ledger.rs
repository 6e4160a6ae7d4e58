//! The client itself.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gx_fabric_proto::common::Envelope;
use gx_fabric_proto::gateway::gateway_client::GatewayClient;
use gx_fabric_proto::gateway::{
    CommitStatusRequest, EndorseRequest, EvaluateRequest, SignedCommitStatusRequest, SubmitRequest,
};
use gx_fabric_proto::orderer::SeekPosition;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_model::Clock;
use prost::Message;
use rand::Rng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Response, Status};
use x509_parser::pem::Pem;

use crate::block::{Block, BlockId, ValidationCode};
use crate::chain::ChainError;
use crate::config::{ClientTls, ConfigError, LedgerConfig, LedgerLimits};
use crate::deliver::{self, BlockStream, StreamError};
use crate::error::{LedgerError, OutcomeClass, Phase};
use crate::follow::Follower;
use crate::heights::PeerHeight;
use crate::identity::Identity;
use crate::peer::{Peer, PeerState};
use crate::proposal::{NONCE_BYTES, SignedCall, SigningContext, seek_envelope};

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

/// A transaction that is endorsed and signed, and not yet submitted.
#[derive(Clone, Debug)]
pub struct Endorsed {
    /// Its id.
    pub tx_id: String,
    /// The bytes to submit, as often as needed.
    pub envelope: Vec<u8>,
    /// The chaincode's status, below 400.
    pub response_status: i32,
    /// What the chaincode answered.
    pub response_payload: Vec<u8>,
}

/// How a transaction was judged, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// Only VALID is success.
    pub code: ValidationCode,
    /// The block that holds it.
    pub block: u64,
}

/// What an identity may do in the channel, or why not.
#[derive(Clone, Debug)]
pub struct Rights {
    /// Ask the chaincode.
    pub evaluate: Result<(), LedgerError>,
    /// Propose transactions.
    pub submit: Result<(), LedgerError>,
    /// Read blocks.
    pub blocks: Result<(), LedgerError>,
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

    /// Runs a function on one peer without a transaction, signed by the reader.
    pub async fn evaluate(&self, function: &str, args: &[String]) -> Result<Vec<u8>, LedgerError> {
        self.evaluate_as(&self.0.reader, function, args).await
    }

    /// Runs a function on one peer without a transaction.
    pub async fn evaluate_as(
        &self,
        signer: &Identity,
        function: &str,
        args: &[String],
    ) -> Result<Vec<u8>, LedgerError> {
        let call = self.sign_call(Phase::Evaluate, signer, function, args)?;
        let request = EvaluateRequest {
            transaction_id: call.tx_id,
            channel_id: self.0.channel.clone(),
            proposed_transaction: Some(call.proposal),
            target_organizations: Vec::new(),
        };
        let answer = self
            .call(Phase::Evaluate, self.0.limits.evaluate_timeout, |mut gateway| {
                let request = request.clone();
                async move { gateway.evaluate(request).await }
            })
            .await?;
        let result = answer.result.ok_or_else(|| {
            LedgerError::local(
                Phase::Evaluate,
                OutcomeClass::Unavailable,
                "an answer without a result",
            )
        })?;
        Ok(result.payload)
    }

    /// Has a call endorsed and signs the transaction. On an error there is no transaction.
    pub async fn endorse(
        &self,
        signer: &Identity,
        function: &str,
        args: &[String],
    ) -> Result<Endorsed, LedgerError> {
        let call = self.sign_call(Phase::Endorse, signer, function, args)?;
        let request = EndorseRequest {
            transaction_id: call.tx_id.clone(),
            channel_id: self.0.channel.clone(),
            proposed_transaction: Some(call.proposal.clone()),
            endorsing_organizations: Vec::new(),
        };
        let answer = self
            .call(Phase::Endorse, self.0.limits.endorse_timeout, |mut gateway| {
                let request = request.clone();
                async move { gateway.endorse(request).await }
            })
            .await?;
        let prepared = answer.prepared_transaction.unwrap_or_default();
        let (envelope, response) = call.seal(signer, prepared).map_err(|error| {
            LedgerError::local(Phase::Endorse, OutcomeClass::Misconfigured, error.to_string())
        })?;
        Ok(Endorsed {
            tx_id: call.tx_id,
            envelope,
            response_status: response.status,
            response_payload: response.payload,
        })
    }

    /// Hands an endorsed envelope to the orderer. Success is no promise of a commit, and
    /// the same bytes may be handed in any number of times.
    pub async fn submit(&self, tx_id: &str, envelope: &[u8]) -> Result<(), LedgerError> {
        let envelope = Envelope::decode(envelope).map_err(|error| {
            let reason = format!("the bytes are no envelope: {error}");
            LedgerError::local(Phase::Submit, OutcomeClass::Misconfigured, reason)
        })?;
        let request = SubmitRequest {
            transaction_id: tx_id.to_owned(),
            channel_id: self.0.channel.clone(),
            prepared_transaction: Some(envelope),
        };
        self.call(Phase::Submit, self.0.limits.submit_timeout, |mut gateway| {
            let request = request.clone();
            async move { gateway.submit(request).await }
        })
        .await?;
        Ok(())
    }

    /// Waits for a transaction's validation code. For tools and tests: each waiting call
    /// takes one of a peer's few places, and the block stream says the same.
    pub async fn commit_status(
        &self,
        signer: &Identity,
        tx_id: &str,
    ) -> Result<CommitStatus, LedgerError> {
        let request = CommitStatusRequest {
            transaction_id: tx_id.to_owned(),
            channel_id: self.0.channel.clone(),
            identity: signer.creator().to_vec(),
        }
        .encode_to_vec();
        let signed = SignedCommitStatusRequest { signature: signer.sign(&request), request };
        let answer = self
            .call(Phase::CommitStatus, self.0.limits.commit_status_timeout, |mut gateway| {
                let signed = signed.clone();
                async move { gateway.commit_status(signed).await }
            })
            .await?;
        let code = u8::try_from(answer.result).map_err(|_| {
            let reason = format!("the unknown validation code {}", answer.result);
            LedgerError::local(Phase::CommitStatus, OutcomeClass::Unknown, reason)
        })?;
        Ok(CommitStatus { code: ValidationCode(code), block: answer.block_number })
    }

    /// The genesis block's number and hash: the chain's identity.
    pub async fn genesis(&self) -> Result<BlockId, StreamError> {
        Ok(self.block(0).await?.id())
    }

    /// Finds out what an identity may do, by doing it without effect: `query` is evaluated,
    /// then endorsed but not submitted (a peer asks for the same right as for a
    /// submission), and the newest block is asked for.
    pub async fn rights(&self, signer: &Identity, query: &str) -> Rights {
        let evaluate = self.evaluate_as(signer, query, &[]).await.map(|_| ());
        let submit = self.endorse(signer, query, &[]).await.map(|_| ());
        let deadline = Instant::now() + self.0.limits.height_timeout;
        let seek = self.seek(signer, deliver::newest());
        let blocks = deliver::height_of(self.first_trusted(), seek, deadline).await.map(|_| ());
        Rights { evaluate, submit, blocks }
    }

    /// Confirms that the peers serve the chain whose genesis block has this hash.
    pub async fn check_genesis(&self, expected: &[u8; 32]) -> Result<(), StreamError> {
        let BlockId { number, hash: found } = self.genesis().await?;
        if &found == expected {
            return Ok(());
        }
        Err(ChainError::OtherChain { number, expected: *expected, found }.into())
    }

    /// One block that exists, from the first trusted peer that has it.
    pub async fn block(&self, number: u64) -> Result<Block, StreamError> {
        let mut failure = None;
        for peer in self.trusted() {
            match self.block_from(peer, number).await {
                Ok(block) => return Ok(block),
                Err(error @ StreamError::Chain(_)) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a configuration has at least one trusted peer"))
    }

    /// Every peer's commit hash of a block, to compare them across organisations: validity
    /// is a peer's own judgement, and nothing signed covers it.
    pub async fn commit_hashes(
        &self,
        number: u64,
    ) -> Vec<(String, Result<Option<Vec<u8>>, StreamError>)> {
        let mut answers = Vec::with_capacity(self.0.peers.len());
        for peer in &self.0.peers {
            let block = self.block_from(peer, number).await;
            answers.push((peer.endpoint().to_owned(), block.map(|block| block.commit_hash)));
        }
        answers
    }

    /// How far every peer is; all are asked at once.
    pub async fn heights(&self) -> Vec<PeerHeight> {
        let deadline = Instant::now() + self.0.limits.height_timeout;
        let mut questions = JoinSet::new();
        for (index, peer) in self.0.peers.iter().enumerate() {
            let seek = self.seek(&self.0.reader, deliver::newest());
            let peer = Arc::clone(peer);
            questions.spawn(async move {
                let height = deliver::height_of(&peer, seek, deadline).await;
                (index, PeerHeight { peer: peer.endpoint().to_owned(), height })
            });
        }
        let mut answers = questions.join_all().await;
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, height)| height).collect()
    }

    /// The blocks from a number on, as the first trusted peer delivers them, unverified
    /// against each other.
    pub fn blocks(&self, from: u64) -> BlockStream {
        self.open(self.first_trusted(), from)
    }

    /// Follows the chain after a known block, through outages, verified.
    pub fn follow(&self, from: BlockId) -> Follower {
        Follower::start(self.clone(), from)
    }

    pub(crate) fn open(&self, peer: &Peer, from: u64) -> BlockStream {
        BlockStream::open(peer, self.seek(&self.0.reader, deliver::from(from)))
    }

    pub(crate) fn trusted(&self) -> &[Arc<Peer>] {
        &self.0.peers[..self.0.own]
    }

    fn first_trusted(&self) -> &Peer {
        self.trusted().first().expect("a configuration has at least one trusted peer")
    }

    pub(crate) fn with_rng<T>(&self, use_rng: impl FnOnce(&mut StdRng) -> T) -> T {
        // A generator is in a good state at every moment, whoever panicked beside it.
        use_rng(&mut self.0.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn block_from(&self, peer: &Peer, number: u64) -> Result<Block, StreamError> {
        let deadline = Instant::now() + self.0.limits.block_timeout;
        let mut stream = BlockStream::open(peer, self.seek(&self.0.reader, deliver::one(number)));
        let answer = tokio::time::timeout_at(deadline, stream.next()).await.map_err(|_| {
            peer.renew();
            LedgerError::timed_out(Phase::Stream).at(peer.endpoint())
        })?;
        match answer? {
            Some(block) if block.number == number => Ok(block),
            Some(block) => Err(ChainError::Gap { expected: number, found: block.number }.into()),
            None => Err(LedgerError::local(
                Phase::Stream,
                OutcomeClass::Unavailable,
                "the stream ended before the block",
            )
            .at(peer.endpoint())
            .into()),
        }
    }

    fn seek(
        &self,
        signer: &Identity,
        (start, stop, behavior): (SeekPosition, SeekPosition, SeekBehavior),
    ) -> Envelope {
        seek_envelope(signer, &self.signing_context(), start, stop, behavior)
    }

    fn sign_call(
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
            return Err(LedgerError::local(phase, OutcomeClass::Misconfigured, reason));
        }
        Ok(SignedCall::new(signer, &context, &self.0.chaincode, function, args))
    }

    fn signing_context(&self) -> SigningContext<'_> {
        let mut nonce = [0; NONCE_BYTES];
        self.with_rng(|rng| rng.fill_bytes(&mut nonce));
        SigningContext {
            channel: &self.0.channel,
            now: self.0.clock.now(),
            nonce,
            tls_cert_hash: &self.0.tls_cert_hash,
        }
    }

    /// Calls the gateway of the peer that answered last; where that cannot serve, the
    /// next one, within the same time.
    async fn call<T, F>(
        &self,
        phase: Phase,
        timeout: Duration,
        call: impl Fn(GatewayClient<Channel>) -> F,
    ) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + timeout;
        let peers = self.trusted();
        let first = self.0.preferred.load(Ordering::Relaxed);
        let mut failure = None;
        for step in 0..peers.len() {
            let index = (first + step) % peers.len();
            let peer = &peers[index];
            if !peer.admit() {
                continue;
            }
            match peer.call(phase, deadline, &call).await {
                Ok(answer) => {
                    self.0.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) if error.class == OutcomeClass::Unavailable => failure = Some(error),
                Err(error) => {
                    if error.class == OutcomeClass::Unknown {
                        self.0.preferred.store((index + 1) % peers.len(), Ordering::Relaxed);
                    }
                    return Err(error);
                }
            }
            if Instant::now() >= deadline {
                self.0.preferred.store((index + 1) % peers.len(), Ordering::Relaxed);
                break;
            }
        }
        Err(failure.unwrap_or_else(|| self.every_breaker_open()))
    }

    fn every_breaker_open(&self) -> LedgerError {
        let reasons: Vec<String> = self
            .peers()
            .iter()
            .filter_map(|peer| Some(format!("{}: {}", peer.endpoint, peer.last_error.as_ref()?)))
            .collect();
        LedgerError::local(
            Phase::Connect,
            OutcomeClass::Unavailable,
            format!("every peer's circuit breaker is open; {}", reasons.join("; ")),
        )
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
