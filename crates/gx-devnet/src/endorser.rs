//! Simulates proposals and signs the results.

use std::sync::Arc;

use gx_fabric_proto::common::{Envelope, Payload};
use gx_fabric_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeEvent, ChaincodeId,
    Endorsement, ProposalResponsePayload, Response, Transaction, TransactionAction,
};
use prost::Message;

use crate::access::to_time;
use crate::chaincode::{Answer, Call, Chaincode};
use crate::ledger::{Results, Simulation};
use crate::node::Node;
use crate::proposal::Unpacked;

/// From this status on a chaincode's answer is an error and is not endorsed.
const ERROR_STATUS: i32 = 400;

/// Why a peer does not endorse, by the place that refuses; clients see different codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Filtered out before it was looked at.
    Filtered(String),
    /// The proposal is not acceptable.
    Proposal(String),
    /// The peer failed.
    Peer(String),
    /// The chaincode's own answer.
    Chaincode(String),
}

/// A simulated transaction.
pub(crate) struct Simulated {
    pub(crate) answer: Answer,
    chaincode: Arc<Chaincode>,
    results: Results,
}

impl Node {
    /// Checks a proposal and runs it on the newest committed state.
    pub(crate) async fn simulate(
        self: &Arc<Self>,
        proposal: &Arc<Unpacked>,
    ) -> Result<Simulated, Refusal> {
        let node = Arc::clone(self);
        let proposal = Arc::clone(proposal);
        let simulation = tokio::task::spawn_blocking(move || node.simulate_here(&proposal));
        simulation.await.unwrap_or_else(|error| Err(in_simulation(&error)))
    }

    fn simulate_here(&self, proposal: &Unpacked) -> Result<Simulated, Refusal> {
        proposal.check_filters(self).map_err(Refusal::Filtered)?;
        let creator = proposal.check(self).map_err(Refusal::Proposal)?;
        let tx_id = &proposal.channel.tx_id;
        if self.store.transaction(tx_id).map_err(|e| in_simulation(&e))?.is_some() {
            return Err(Refusal::Proposal(format!(
                "duplicate transaction found [{tx_id}]. Creator [{}]",
                hex::encode(&proposal.signature_header.creator)
            )));
        }
        proposal.check_policy(&creator).map_err(Refusal::Proposal)?;
        let chaincode = self.chaincodes.get(&proposal.chaincode).ok_or_else(|| {
            let (name, channel) = (&proposal.chaincode, &self.channel);
            Refusal::Peer(format!(
                "make sure the chaincode {name} has been successfully defined on channel \
                 {channel} and try again: chaincode {name} not found"
            ))
        })?;
        let snapshot = self.store.snapshot().map_err(|e| in_simulation(&e))?;
        let mut simulation = Simulation::new(snapshot, tx_id);
        let timestamp = proposal.channel.timestamp.as_ref().and_then(to_time);
        let call = Call {
            proposal,
            creator: &creator,
            timestamp: timestamp.expect("the filters let no proposal pass without a timestamp"),
            peer: 0,
        };
        let answer = self.chaincodes.execute(&mut simulation, &call);
        let answer = answer.map_err(|e| in_simulation(&e))?;
        if answer.status >= ERROR_STATUS {
            return Err(chaincode_answer(answer.status, &answer.message));
        }
        let chaincode = Arc::clone(chaincode);
        Ok(Simulated { answer, chaincode, results: simulation.finish() })
    }

    /// Simulates a proposal and signs what came of it: an envelope without the client's
    /// signature.
    pub(crate) async fn endorse(
        self: &Arc<Self>,
        proposal: Arc<Unpacked>,
    ) -> Result<Envelope, Refusal> {
        let delay = self.faults.endorse_delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut simulated = self.simulate(&proposal).await?;
        if let Some((status, message)) = self.faults.take_endorsement_failure() {
            return Err(chaincode_answer(status, &message));
        }
        if let Some(event) = self.faults.take_event() {
            simulated.answer.event = Some((event.name, event.payload));
        }
        Ok(self.transaction(&proposal, simulated))
    }

    fn transaction(&self, proposal: &Unpacked, simulated: Simulated) -> Envelope {
        let Simulated { answer, chaincode, results } = simulated;
        let events = answer.event.map(|(event_name, payload)| {
            let chaincode_id = chaincode.name.clone();
            let tx_id = proposal.channel.tx_id.clone();
            ChaincodeEvent { chaincode_id, tx_id, event_name, payload }.encode_to_vec()
        });
        let action = ChaincodeAction {
            results: results.public,
            events: events.unwrap_or_default(),
            response: Some(Response {
                status: answer.status,
                message: answer.message,
                payload: answer.payload,
            }),
            chaincode_id: Some(ChaincodeId {
                name: chaincode.name.clone(),
                version: chaincode.version.clone(),
                ..ChaincodeId::default()
            }),
        };
        let response = ProposalResponsePayload {
            proposal_hash: proposal.hash(),
            extension: action.encode_to_vec(),
        }
        .encode_to_vec();
        let signed = [response.as_slice(), self.peer.creator()].concat();
        let endorsement = Endorsement {
            endorser: self.peer.creator().to_vec(),
            signature: self.peer.sign(&signed),
        };
        envelope(proposal, response, endorsement)
    }
}

fn envelope(proposal: &Unpacked, response: Vec<u8>, endorsement: Endorsement) -> Envelope {
    let action = ChaincodeActionPayload {
        chaincode_proposal_payload: proposal.payload.clone(),
        action: Some(ChaincodeEndorsedAction {
            proposal_response_payload: response,
            endorsements: vec![endorsement],
        }),
    };
    let transaction = Transaction {
        actions: vec![TransactionAction {
            header: proposal.header.signature_header.clone(),
            payload: action.encode_to_vec(),
        }],
    };
    let payload =
        Payload { header: Some(proposal.header.clone()), data: transaction.encode_to_vec() };
    Envelope { payload: payload.encode_to_vec(), signature: Vec::new() }
}

fn chaincode_answer(status: i32, message: &str) -> Refusal {
    Refusal::Chaincode(format!("chaincode response {status}, {message}"))
}

fn in_simulation(error: &impl ToString) -> Refusal {
    Refusal::Peer(format!("error in simulation: {}", error.to_string()))
}
