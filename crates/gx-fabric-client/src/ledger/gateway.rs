//! Calls to the gateway: evaluate, endorse, submit, commit status.
//!
//! The submitter endorses and submits; the projector evaluates to compare the read model with the
//! ledger. Each call tries our peers in turn until one serves it.

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
use crate::error::{Cause, LedgerError, Phase};
use crate::identity::Identity;
use crate::outcome_class::OutcomeClass;

/// A transaction that is endorsed and signed.
#[derive(Clone, Debug)]
pub struct Endorsed {
    /// The transaction id.
    pub tx_id: String,
    /// The bytes to submit. They may be submitted repeatedly.
    pub envelope: Vec<u8>,
    /// The chaincode's status; below 400.
    pub response_status: i32,
    /// The chaincode's payload.
    pub response_payload: Vec<u8>,
}

/// The validation of a transaction and its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// The validation code; only VALID is a success.
    pub code: ValidationCode,
    /// The number of the block that has the transaction.
    pub block: u64,
}

/// The rights of an identity in the channel, or why it lacks them.
#[derive(Clone, Debug)]
pub struct Rights {
    /// The right to evaluate.
    pub evaluate: Result<(), LedgerError>,
    /// The right to propose transactions.
    pub submit: Result<(), LedgerError>,
    /// The right to read blocks.
    pub blocks: Result<(), LedgerError>,
}

impl Ledger {
    /// Evaluates a function on one peer, signed by the reader.
    pub async fn evaluate(&self, function: &str, args: &[String]) -> Result<Vec<u8>, LedgerError> {
        self.evaluate_as(&self.0.reader, function, args).await
    }

    /// Evaluates a function on one peer.
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
                "the answer has no result",
            )
        })?;
        Ok(result.payload)
    }

    /// Collects the endorsements of a call and signs the transaction. After an error no transaction
    /// exists.
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

    /// Submits an endorsed envelope to the orderer. Success does not mean that it commits, and only
    /// some errors mean that it does not ([`LedgerError::class`]). The same bytes may be submitted
    /// any number of times.
    pub async fn submit(&self, tx_id: &str, envelope: &[u8]) -> Result<(), LedgerError> {
        let envelope = Envelope::decode(envelope).map_err(|error| {
            let reason = format!("the bytes are not an envelope: {error}");
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

    /// Waits for a transaction's validation code. For tools and tests: each waiting call uses one
    /// of the few that a peer serves at once, and the block stream has the same information.
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
            let reason = format!("unknown validation code {}", answer.result);
            LedgerError::local(Phase::CommitStatus, OutcomeClass::Unknown, reason)
        })?;
        Ok(CommitStatus { code: ValidationCode(code), block: answer.block_number })
    }

    /// Finds out the rights of an identity without any effect: evaluates `query`, endorses it
    /// without submitting (a peer requires the same right for both), and asks for the newest block.
    pub async fn rights(&self, signer: &Identity, query: &str) -> Rights {
        let evaluate = self.may_evaluate(signer, query).await;
        let submit = self.may_submit(signer, query).await;
        let blocks = self.may_read_blocks(signer).await;
        Rights { evaluate, submit, blocks }
    }

    /// Calls the gateway of the peer that answered last. If that peer cannot serve, calls the next
    /// one within the same time limit. Peers with a wrong chain are skipped, because their
    /// transactions may not reach the chain that is followed.
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
            if peer.wrong_chain().is_some() || !peer.admit() {
                continue;
            }
            match peer.call(phase, deadline, &call).await {
                Ok(answer) => {
                    self.0.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                // Without a connection nothing was sent, and the next peer may work. A peer that
                // has not joined the channel or does not have the chaincode yet has passed nothing
                // on either.
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
        Err(failure.unwrap_or_else(|| self.nobody_to_call()))
    }

    /// Returns the error of a call for which no peer could be asked.
    fn nobody_to_call(&self) -> LedgerError {
        let reasons: Vec<String> = self
            .peers()
            .iter()
            .filter_map(|peer| match (&peer.wrong_chain, &peer.last_error) {
                (Some(wrong), _) => Some(format!("{} shows a wrong chain: {wrong}", peer.endpoint)),
                (None, Some(error)) => Some(format!("{}: {error}", peer.endpoint)),
                (None, None) => None,
            })
            .collect();
        LedgerError::local(
            Phase::Connect,
            OutcomeClass::Unavailable,
            format!(
                "every peer's circuit breaker is open, or it is set aside; {}",
                reasons.join("; ")
            ),
        )
    }
}
