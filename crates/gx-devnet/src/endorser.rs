//! Simulates proposals and signs the results. Called by a peer's gateway for each Evaluate, and for
//! each peer that an Endorse asks.

use std::sync::Arc;

use gx_fabric_proto::common::{ChannelHeader, Envelope, Payload};
use gx_fabric_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ChaincodeEndorsedAction, ChaincodeEvent, ChaincodeId,
    Endorsement, ProposalResponsePayload, Response, Transaction, TransactionAction,
};
use prost::Message;

use crate::SignaturePolicy;
use crate::chaincode::{Call, Chaincode, ChaincodeAnswer, Chaincodes, REFUSED, is_system};
use crate::channel_policies::to_time;
use crate::faults::RawEvent;
use crate::ledger::{CollectionUse, Needs, Results, Simulation, StoreError};
use crate::msp::Identity;
use crate::node::{Node, Peer};
use crate::proposal::Unpacked;
use crate::system;

/// The lowest status of a chaincode's answer that is an error and is not endorsed.
const ERROR_STATUS: i32 = 400;

/// Limit of the payload of a quick call: the built-in contracts take microseconds for it.
const QUICK_CALL_BYTES: usize = 4 * 1024;

/// Why a peer does not endorse. Each kind has another status code for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndorseRefusal {
    /// Refused by a filter, before the proposal was validated.
    Filtered(String),
    /// The proposal is not valid.
    Proposal(String),
    /// The peer failed.
    Peer(String),
    /// The chaincode answered with an error.
    Chaincode(String),
}

impl EndorseRefusal {
    /// Returns the refusal for an error of a chaincode.
    pub(crate) fn chaincode(status: i32, message: &str) -> Self {
        Self::Chaincode(format!("chaincode response {status}, {message}"))
    }

    /// Returns the message.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Filtered(message)
            | Self::Proposal(message)
            | Self::Peer(message)
            | Self::Chaincode(message) => message,
        }
    }
}

/// The result of a simulation.
pub(crate) struct Simulated {
    pub(crate) answer: ChaincodeAnswer,
    pub(crate) chaincode: Arc<Chaincode>,
    results: Results,
}

impl Node {
    /// Checks a proposal and simulates it on the newest committed state, as this peer. The refusal
    /// becomes the answer of the gateway, or makes it ask another peer.
    pub(crate) async fn simulate(
        self: &Arc<Self>,
        peer: &Peer,
        proposal: &Arc<Unpacked>,
    ) -> Result<Simulated, EndorseRefusal> {
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
            // The thread holds the permit, because it goes on even if the client has disconnected.
            let _permit = permit;
            node.simulate_here(place, &proposal)
        });
        simulation.await.unwrap_or_else(|error| Err(in_simulation(&error)))
    }

    /// Returns whether a call takes less time than moving it to another thread.
    fn is_quick(&self, proposal: &Unpacked) -> bool {
        let chaincode = self.chaincodes.get(&proposal.chaincode);
        proposal.payload.len() <= QUICK_CALL_BYTES
            && chaincode.is_none_or(|chaincode| chaincode.is_alike_everywhere())
    }

    /// Simulates on this thread.
    fn simulate_here(&self, peer: usize, proposal: &Unpacked) -> Result<Simulated, EndorseRefusal> {
        let creator = self.check_proposal(proposal)?;
        if is_system(&proposal.chaincode) {
            return self.query_system(peer, proposal, &creator);
        }
        let tx_id = &proposal.channel.tx_id;
        proposal.check_policy(&creator).map_err(EndorseRefusal::Proposal)?;
        let chaincode = self.chaincodes.get(&proposal.chaincode).ok_or_else(|| {
            let (name, channel) = (&proposal.chaincode, &self.channel);
            EndorseRefusal::Peer(format!(
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
            return Err(EndorseRefusal::chaincode(answer.status, &answer.message));
        }
        let chaincode = Arc::clone(chaincode);
        let results = simulation.finish().map_err(|e| in_simulation(&e))?;
        self.check_dissemination(peer, proposal, &results)?;
        Ok(Simulated { answer, chaincode, results })
    }

    /// Checks that enough other peers can hold the private writes, as their collections require.
    fn check_dissemination(
        &self,
        peer: usize,
        proposal: &Unpacked,
        results: &Results,
    ) -> Result<(), EndorseRefusal> {
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

    /// Stores private writes here until the transaction that has their hashes is committed. After
    /// an error the Endorse fails.
    pub(crate) async fn store_private(
        self: &Arc<Self>,
        proposal: &Unpacked,
        simulated: &Simulated,
    ) -> Result<(), StoreError> {
        let Some(private) = simulated.results.private.clone() else { return Ok(()) };
        let (node, tx_id) = (Arc::clone(self), proposal.channel.tx_id.clone());
        let height = *self.height.borrow();
        let storing =
            tokio::task::spawn_blocking(move || node.store.put_transient(&tx_id, height, &private));
        storing.await.expect("writing to the store does not panic")
    }

    /// Makes all checks of a proposal that precede the chaincode's own rules, and returns its
    /// creator.
    fn check_proposal(&self, proposal: &Unpacked) -> Result<Arc<Identity>, EndorseRefusal> {
        self.check_filters(proposal).map_err(EndorseRefusal::Filtered)?;
        let creator = self.validate_proposal(proposal).map_err(EndorseRefusal::Proposal)?;
        let tx_id = &proposal.channel.tx_id;
        if self.store.transaction(tx_id).map_err(|e| in_simulation(&e))?.is_some() {
            return Err(EndorseRefusal::Proposal(format!(
                "duplicate transaction found [{tx_id}]. Creator [{}]",
                hex::encode(&proposal.signature_header.creator)
            )));
        }
        Ok(creator)
    }

    /// Returns a system chaincode's answer. System chaincodes have their own policies instead of
    /// Writers.
    fn query_system(
        &self,
        peer: usize,
        proposal: &Unpacked,
        creator: &Identity,
    ) -> Result<Simulated, EndorseRefusal> {
        let msp_id = self.peers[peer].msp_id;
        let query = system::Query { node: self, msp_id, creator, args: &proposal.args };
        let payload = system::answer(&proposal.chaincode, &query)
            .map_err(|message| EndorseRefusal::chaincode(REFUSED, &message))?;
        let answer =
            ChaincodeAnswer { status: system::OK, message: String::new(), payload, event: None };
        let chaincode = Arc::new(Chaincode::system(&proposal.chaincode));
        Ok(Simulated { answer, chaincode, results: Results::default() })
    }
}

impl Simulated {
    /// Returns the policies that the endorsements must satisfy: those of the written keys and of
    /// the chaincodes that take part. If there is none, the policy of the called chaincode applies.
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

    /// Returns the collections that only their holders can endorse: every collection that is read
    /// and, if the proposal has transient data, every collection that is written. Only holders may
    /// see transient data.
    pub(crate) fn guarded(&self, with_transient: bool) -> Vec<&CollectionUse> {
        let parts = self.results.needs.collections.iter();
        parts.filter(|part| part.is_read || with_transient).collect()
    }

    /// Returns the bytes that a peer signs: the results as the answer to this proposal. `event`
    /// replaces the chaincode's event, if a fault sets one.
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
    /// Returns this peer's signature over the response.
    pub(crate) fn endorse(&self, response: &[u8]) -> Endorsement {
        let endorser = self.signer.creator();
        let signed = [response, endorser].concat();
        let signature = self.signer.sign(&signed);
        self.identity.remember_signature(&signed, &signature);
        Endorsement { endorser: endorser.to_vec(), signature }
    }
}

/// Returns the endorsed transaction, without the client's signature.
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

/// Returns the refusal for a failure of the peer.
fn in_simulation(error: &impl ToString) -> EndorseRefusal {
    EndorseRefusal::Peer(format!("error in simulation: {}", error.to_string()))
}
