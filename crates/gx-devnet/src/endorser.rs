//! Simulates proposals and signs the results.

use std::sync::Arc;

use gx_fabric_proto::common::{ChannelHeader, Envelope, Payload};
use gx_fabric_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeEvent, ChaincodeId,
    Endorsement, ProposalResponsePayload, Response, Transaction, TransactionAction,
};
use prost::Message;

use crate::SignaturePolicy;
use crate::access::to_time;
use crate::chaincode::{Answer, Call, Chaincode, Chaincodes};
use crate::faults::RawEvent;
use crate::ledger::{CollectionUse, Needs, Results, Simulation, StoreError};
use crate::msp::Identity;
use crate::node::{Node, Peer};
use crate::proposal::Unpacked;
use crate::system;

/// From this status on a chaincode's answer is an error and is not endorsed.
const ERROR_STATUS: i32 = 400;

/// A built-in contract that is given no more than this works for microseconds.
const QUICK_CALL_BYTES: usize = 4 * 1024;

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

impl Refusal {
    /// A chaincode has answered with an error.
    pub(crate) fn chaincode(status: i32, message: &str) -> Self {
        Self::Chaincode(format!("chaincode response {status}, {message}"))
    }

    /// The words.
    pub(crate) fn said(&self) -> &str {
        match self {
            Self::Filtered(said)
            | Self::Proposal(said)
            | Self::Peer(said)
            | Self::Chaincode(said) => said,
        }
    }
}

/// A simulated transaction.
pub(crate) struct Simulated {
    pub(crate) answer: Answer,
    pub(crate) chaincode: Arc<Chaincode>,
    results: Results,
}

impl Node {
    /// Checks a proposal and runs it on the newest committed state, as this peer.
    pub(crate) async fn simulate(
        self: &Arc<Self>,
        peer: &Peer,
        proposal: &Arc<Unpacked>,
    ) -> Result<Simulated, Refusal> {
        if self.is_quick(proposal) {
            return self.simulate_here(peer.place, proposal);
        }
        let permit = match self.chaincodes.get(&proposal.chaincode) {
            Some(chaincode) => chaincode.admit().await,
            None => None,
        };
        let (node, place) = (Arc::clone(self), peer.place);
        let proposal = Arc::clone(proposal);
        let simulation = tokio::task::spawn_blocking(move || {
            // Held by the thread: it works on when the client has gone.
            let _permit = permit;
            node.simulate_here(place, &proposal)
        });
        simulation.await.unwrap_or_else(|error| Err(in_simulation(&error)))
    }

    /// Whether a call ends before another thread would have taken it over.
    fn is_quick(&self, proposal: &Unpacked) -> bool {
        let chaincode = self.chaincodes.get(&proposal.chaincode);
        proposal.payload.len() <= QUICK_CALL_BYTES
            && chaincode.is_none_or(|chaincode| chaincode.is_alike_everywhere())
    }

    fn simulate_here(&self, peer: usize, proposal: &Unpacked) -> Result<Simulated, Refusal> {
        let creator = self.check_proposal(proposal)?;
        if system::is_system(&proposal.chaincode) {
            return self.query_system(peer, proposal, &creator);
        }
        let tx_id = &proposal.channel.tx_id;
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
            peer,
            msp_id: self.peers[peer].msp_id,
        };
        let answer = self.chaincodes.execute(&mut simulation, &call);
        let answer = answer.map_err(|e| in_simulation(&e))?;
        if answer.status >= ERROR_STATUS {
            return Err(Refusal::chaincode(answer.status, &answer.message));
        }
        let chaincode = Arc::clone(chaincode);
        let results = simulation.finish().map_err(|e| in_simulation(&e))?;
        self.check_dissemination(peer, proposal, &results)?;
        Ok(Simulated { answer, chaincode, results })
    }

    /// Whether so many other peers can have the private writes as their collections want.
    fn check_dissemination(
        &self,
        peer: usize,
        proposal: &Unpacked,
        results: &Results,
    ) -> Result<(), Refusal> {
        for part in results.needs.collections.iter().filter(|part| part.is_written) {
            let chaincode = self.chaincodes.get(&part.namespace);
            let Some(collection) = chaincode.and_then(|it| it.collections.get(&part.name)) else {
                continue;
            };
            let others = self.peers.iter().filter(|other| {
                other.place != peer
                    && other.faults.is_counted_on()
                    && collection.is_held_by(other.msp_id)
            });
            let (required, found) = (collection.required_peers, others.count());
            if found < required {
                let ChannelHeader { tx_id, channel_id, .. } = &proposal.channel;
                return Err(in_simulation(&format!(
                    "failed to distribute private collection, txID {tx_id}, channel {channel_id}: \
                     could not build private data dissemination plan for chaincode {} and \
                     collection {}: required to disseminate to at least {required} peers, but \
                     know of only {found} eligible peers",
                    part.namespace, part.name
                )));
            }
        }
        Ok(())
    }

    /// Keeps private writes here until the transaction that has their hashes is committed.
    pub(crate) async fn keep_private(
        self: &Arc<Self>,
        proposal: &Unpacked,
        simulated: &Simulated,
    ) -> Result<(), StoreError> {
        let Some(private) = simulated.results.private.clone() else { return Ok(()) };
        let (node, tx_id) = (Arc::clone(self), proposal.channel.tx_id.clone());
        let height = *self.height.borrow();
        let kept =
            tokio::task::spawn_blocking(move || node.store.put_transient(&tx_id, height, &private));
        kept.await.expect("writing to the store does not panic")
    }

    /// Everything that comes before the chaincode's own rules.
    fn check_proposal(&self, proposal: &Unpacked) -> Result<Arc<Identity>, Refusal> {
        proposal.check_filters(self).map_err(Refusal::Filtered)?;
        let creator = proposal.check(self).map_err(Refusal::Proposal)?;
        let tx_id = &proposal.channel.tx_id;
        if self.store.transaction(tx_id).map_err(|e| in_simulation(&e))?.is_some() {
            return Err(Refusal::Proposal(format!(
                "duplicate transaction found [{tx_id}]. Creator [{}]",
                hex::encode(&proposal.signature_header.creator)
            )));
        }
        Ok(creator)
    }

    /// A system chaincode's answer. These have policies of their own, in place of Writers.
    fn query_system(
        &self,
        peer: usize,
        proposal: &Unpacked,
        creator: &Identity,
    ) -> Result<Simulated, Refusal> {
        let msp_id = self.peers[peer].msp_id;
        let query = system::Query { node: self, msp_id, creator, args: &proposal.args };
        let payload = system::answer(&proposal.chaincode, &query)
            .map_err(|message| Refusal::chaincode(system::REFUSED, &message))?;
        let answer = Answer { status: system::OK, message: String::new(), payload, event: None };
        let chaincode = Arc::new(Chaincode::system(&proposal.chaincode));
        Ok(Simulated { answer, chaincode, results: Results::default() })
    }
}

impl Simulated {
    /// The policies that endorsements of this must satisfy: of the keys that are written and
    /// of the chaincodes that take part, the called one's where none does.
    pub(crate) fn policies(&self, chaincodes: &Chaincodes) -> Vec<SignaturePolicy> {
        let Needs { chaincodes: named, keys, collections } = &self.results.needs;
        let own = named.iter().filter_map(|name| chaincodes.get(name));
        let mut policies: Vec<_> = own.map(|chaincode| chaincode.policy.clone()).collect();
        policies.extend(keys.iter().cloned());
        for part in collections.iter().filter(|part| part.is_written) {
            let Some(chaincode) = chaincodes.get(&part.namespace) else { continue };
            let own = chaincode.collections.get(&part.name);
            let own = own.and_then(|collection| collection.endorsement.clone());
            policies.push(own.unwrap_or_else(|| chaincode.policy.clone()));
        }
        if policies.is_empty() {
            policies.push(self.chaincode.policy.clone());
        }
        policies
    }

    /// The collections that only their holders can endorse: those that are read, and with
    /// transient data, which nobody else shall see, those that are written.
    pub(crate) fn guarded(&self, with_transient: bool) -> Vec<&CollectionUse> {
        let parts = self.results.needs.collections.iter();
        parts.filter(|part| part.is_read || with_transient).collect()
    }

    /// What a peer signs: the results in answer to this proposal, with another event where a
    /// fault wants one.
    pub(crate) fn response(&self, proposal: &Unpacked, event: Option<&RawEvent>) -> Vec<u8> {
        let Self { answer, chaincode, results } = self;
        let event = match (event, &answer.event) {
            (Some(RawEvent { name, payload }), _) | (None, Some((name, payload))) => {
                Some((name.clone(), payload.clone()))
            }
            (None, None) => None,
        };
        let events = event.map(|(event_name, payload)| {
            let chaincode_id = chaincode.name.clone();
            let tx_id = proposal.channel.tx_id.clone();
            ChaincodeEvent { chaincode_id, tx_id, event_name, payload }.encode_to_vec()
        });
        let action = ChaincodeAction {
            results: results.public.clone(),
            events: events.unwrap_or_default(),
            response: Some(Response {
                status: answer.status,
                message: answer.message.clone(),
                payload: answer.payload.clone(),
            }),
            chaincode_id: Some(ChaincodeId {
                name: chaincode.name.clone(),
                version: chaincode.version.clone(),
                ..ChaincodeId::default()
            }),
        };
        ProposalResponsePayload {
            proposal_hash: proposal.hash(),
            extension: action.encode_to_vec(),
        }
        .encode_to_vec()
    }
}

impl Peer {
    /// This peer's signature over what it has simulated.
    pub(crate) fn endorse(&self, response: &[u8]) -> Endorsement {
        let endorser = self.signer.creator();
        let signed = [response, endorser].concat();
        let signature = self.signer.sign(&signed);
        self.identity.remember_signature(&signed, &signature);
        Endorsement { endorser: endorser.to_vec(), signature }
    }
}

/// The endorsed transaction, without the client's signature.
pub(crate) fn envelope(
    proposal: &Unpacked,
    response: Vec<u8>,
    endorsements: Vec<Endorsement>,
) -> Envelope {
    let action = ChaincodeActionPayload {
        chaincode_proposal_payload: proposal.payload.clone(),
        action: Some(ChaincodeEndorsedAction { proposal_response_payload: response, endorsements }),
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

fn in_simulation(error: &impl ToString) -> Refusal {
    Refusal::Peer(format!("error in simulation: {}", error.to_string()))
}
