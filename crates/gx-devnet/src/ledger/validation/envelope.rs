//! The checks of an envelope that do not need the state. The orderer calls [`Validator::validate`]
//! for each envelope that it accepts.
//!
//! They verify signatures, which takes time. They run when the envelope is submitted, on the
//! threads of the callers, to relieve the thread that commits.

use std::sync::Arc;

use gx_fabric_proto::common::{
    ChannelHeader, Envelope, Header, HeaderType, Payload, SignatureHeader,
};
use gx_fabric_proto::kvrwset::{HashedRwSet, KvrwSet};
use gx_fabric_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, Endorsement, ProposalResponsePayload, Transaction,
    TransactionAction, TxValidationCode,
};
use gx_fabric_proto::rwset::{CollectionHashedReadWriteSet, TxReadWriteSet};
use gx_fabric_proto::transaction_id;
use prost::Message;
use sha2::{Digest, Sha256};

use super::Definitions;
use super::endorsement::Endorsed;
use super::read_write_set::{CollectionSet, NamespaceSet};
use crate::msp::{Identity, TrustedRoots};

/// An envelope with the result of the checks that do not depend on the state.
#[derive(Clone, Debug)]
pub(crate) struct Validated {
    pub(crate) bytes: Vec<u8>,
    /// The transaction id; may be empty in a malformed envelope.
    pub(crate) tx_id: String,
    pub(crate) validity: Result<Endorsed, TxValidationCode>,
}

impl Validated {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// An envelope with decoded headers.
pub(crate) struct Opened {
    pub(crate) envelope: Envelope,
    pub(crate) channel: ChannelHeader,
    pub(crate) signature: SignatureHeader,
    header: Header,
    data: Vec<u8>,
}

impl Opened {
    /// Returns the decoded envelope, or `None` if it has no readable headers.
    pub(crate) fn from_envelope(envelope: Envelope) -> Option<Self> {
        let payload = Payload::decode(envelope.payload.as_slice()).ok()?;
        let header = payload.header?;
        Some(Self {
            channel: ChannelHeader::decode(header.channel_header.as_slice()).ok()?,
            signature: SignatureHeader::decode(header.signature_header.as_slice()).ok()?,
            envelope,
            header,
            data: payload.data,
        })
    }
}

/// Checks the envelopes of a channel.
pub(crate) struct Validator {
    channel: String,
    definitions: Definitions,
    msp: Arc<TrustedRoots>,
}

impl Validator {
    pub(crate) fn new(channel: &str, definitions: Definitions, msp: Arc<TrustedRoots>) -> Self {
        Self { channel: channel.to_owned(), definitions, msp }
    }

    /// Checks an envelope as a peer does before the state decides. The creator's signature is not
    /// verified again, because the orderer refuses envelopes without a valid one. An envelope that
    /// fails is ordered all the same; the code of its failure becomes its validation code.
    pub(crate) fn validate(&self, opened: Opened) -> Validated {
        let validity = self
            .check_headers(&opened)
            .and_then(|()| self.check_transaction(&opened.header.channel_header, &opened.data));
        Validated { bytes: opened.envelope.encode_to_vec(), tx_id: opened.channel.tx_id, validity }
    }

    fn check_headers(&self, opened: &Opened) -> Result<(), TxValidationCode> {
        let Opened { channel, signature, .. } = opened;
        if channel.epoch != 0 || signature.nonce.is_empty() || signature.creator.is_empty() {
            return Err(TxValidationCode::BadCommonHeader);
        }
        if channel.r#type != i32::from(HeaderType::EndorserTransaction) {
            return Err(TxValidationCode::UnsupportedTxPayload);
        }
        if channel.tx_id != transaction_id(&signature.nonce, &signature.creator) {
            return Err(TxValidationCode::BadProposalTxid);
        }
        if channel.channel_id != self.channel {
            return Err(TxValidationCode::TargetChainNotFound);
        }
        Ok(())
    }

    /// Checks the endorsed action and returns its reads, writes and signers.
    fn check_transaction(
        &self,
        channel_header: &[u8],
        data: &[u8],
    ) -> Result<Endorsed, TxValidationCode> {
        let invalid = TxValidationCode::InvalidEndorserTransaction;
        let transaction = Transaction::decode(data).map_err(|_| invalid)?;
        let [action] = transaction.actions.as_slice() else { return Err(invalid) };
        let (endorsed, response) = endorsed_action(channel_header, action).ok_or(invalid)?;
        let action = ChaincodeAction::decode(response.extension.as_slice())
            .map_err(|_| TxValidationCode::BadResponsePayload)?;
        let named = action.chaincode_id.as_ref().map_or("", |id| id.name.as_str());
        let sets = self.read_write_sets(&action.results)?;
        let written = sets.iter().filter(|set| set.has_writes()).map(|set| set.namespace.as_str());
        let signers = self.signers(&endorsed);
        let mut unsatisfied = Vec::new();
        for namespace in std::iter::once(named).chain(written.filter(|written| *written != named)) {
            let definition = self.definitions.get(namespace);
            let definition = definition.ok_or(TxValidationCode::InvalidChaincode)?;
            let set = sets.iter().find(|set| set.namespace == namespace);
            let counts = set.is_none_or(NamespaceSet::needs_own_policy);
            if counts && !definition.policy.is_satisfied_by(&signers) {
                unsatisfied.push(namespace.to_owned());
            }
        }
        let chaincode = named.to_owned();
        let collections_endorsed = self.are_collections_endorsed(&sets, &signers);
        Ok(Endorsed { chaincode, sets, signers, unsatisfied, collections_endorsed })
    }

    /// Returns whether the signers satisfy the own policies of the written collections.
    fn are_collections_endorsed(&self, sets: &[NamespaceSet], signers: &[Arc<Identity>]) -> bool {
        sets.iter().all(|set| {
            let Some(definition) = self.definitions.get(&set.namespace) else { return false };
            set.collections.iter().filter(|changes| changes.is_written()).all(|changes| {
                let policy = definition.collections.get(&changes.name);
                let policy = policy.as_ref().and_then(|it| it.endorsement.as_ref());
                policy.is_none_or(|policy| policy.is_satisfied_by(signers))
            })
        })
    }

    /// Returns a collection's part of the write set. An undefined collection is an illegal write
    /// set.
    fn collection_set(
        &self,
        namespace: &str,
        set: CollectionHashedReadWriteSet,
    ) -> Result<CollectionSet, TxValidationCode> {
        let keys = HashedRwSet::decode(set.hashed_rwset.as_slice())
            .map_err(|_| TxValidationCode::BadRwset)?;
        let definition = self.definitions.get(namespace);
        let defined = definition.and_then(|it| it.collections.get(&set.collection_name));
        let defined = defined.ok_or(TxValidationCode::IllegalWriteset)?;
        Ok(CollectionSet {
            block_to_live: defined.block_to_live,
            has_own_policy: defined.endorsement.is_some(),
            name: set.collection_name,
            keys,
            private_hash: set.pvt_rwset_hash,
        })
    }

    /// Returns the endorsers with a valid signature. Invalid signatures are ignored, and a signer
    /// counts once.
    fn signers(&self, action: &ChaincodeActionPayload) -> Vec<Arc<Identity>> {
        let Some(action) = &action.action else { return Vec::new() };
        let mut signers: Vec<(&[u8], Arc<Identity>)> = Vec::new();
        for Endorsement { endorser, signature } in &action.endorsements {
            let known = signers.iter().any(|(signer, _)| signer == endorser);
            let Ok(identity) = self.msp.verify_identity(endorser) else { continue };
            let signed = [action.proposal_response_payload.as_slice(), endorser].concat();
            if !known && identity.has_signed(&signed, signature) {
                signers.push((endorser, identity));
            }
        }
        signers.into_iter().map(|(_, signer)| signer).collect()
    }

    /// Decodes the read and write sets. Fails for a write to an unknown chaincode or collection.
    fn read_write_sets(&self, results: &[u8]) -> Result<Vec<NamespaceSet>, TxValidationCode> {
        let bad = |_| TxValidationCode::BadRwset;
        let set = TxReadWriteSet::decode(results).map_err(bad)?;
        set.ns_rwset
            .into_iter()
            .map(|set| {
                let keys = KvrwSet::decode(set.rwset.as_slice()).map_err(bad)?;
                let hashed = set.collection_hashed_rwset.into_iter();
                let collections = hashed
                    .map(|it| self.collection_set(&set.namespace, it))
                    .collect::<Result<_, _>>()?;
                let set = NamespaceSet { namespace: set.namespace, keys, collections };
                if set.has_writes() && !self.definitions.contains_key(&set.namespace) {
                    return Err(TxValidationCode::IllegalWriteset);
                }
                Ok(set)
            })
            .collect()
    }
}

/// Returns the action, or `None` if it cannot be read or the endorsed response does not belong to
/// the proposal in the headers.
fn endorsed_action(
    channel_header: &[u8],
    action: &TransactionAction,
) -> Option<(ChaincodeActionPayload, ProposalResponsePayload)> {
    let payload = ChaincodeActionPayload::decode(action.payload.as_slice()).ok()?;
    let response = payload.action.as_ref()?.proposal_response_payload.as_slice();
    let response = ProposalResponsePayload::decode(response).ok()?;
    let expected = Sha256::new()
        .chain_update(channel_header)
        .chain_update(&action.header)
        .chain_update(&payload.chaincode_proposal_payload)
        .finalize();
    (response.proposal_hash == expected.as_slice()).then_some((payload, response))
}
