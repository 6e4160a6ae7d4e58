//! Calls to the gateway: evaluate, endorse, submit, commit status.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gx_fabric_proto::common::Envelope;
use gx_fabric_proto::gateway::gateway_client::GatewayClient;
use gx_fabric_proto::gateway::{
    CommitStatusRequest, EndorseRequest, EvaluateRequest, SignedCommitStatusRequest, SubmitRequest,
};
use prost::Message;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::Ledger;
use crate::block::ValidationCode;
use crate::error::{Cause, LedgerError, OutcomeClass, Phase};
use crate::identity::Identity;

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
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(self.name_silent(error).await),
        };
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

    /// Finds out what an identity may do, by doing it without effect: `query` is evaluated,
    /// then endorsed but not submitted (a peer asks for the same right as for a
    /// submission), and the newest block is asked for.
    pub async fn rights(&self, signer: &Identity, query: &str) -> Rights {
        let evaluate = self.may_evaluate(signer, query).await;
        let submit = self.may_submit(signer, query).await;
        let blocks = self.may_read_blocks(signer).await;
        Rights { evaluate, submit, blocks }
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
                // Without a connection nothing was sent, and the next peer may be well; one
                // that has not joined the channel, or does not know of the chaincode yet,
                // passes nothing on either.
                Err(error)
                    if error.class == OutcomeClass::Unavailable
                        || error.phase == Phase::Connect
                        || matches!(error.cause, Some(Cause::NoChannel | Cause::NoChaincode)) =>
                {
                    failure = Some(error);
                }
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
