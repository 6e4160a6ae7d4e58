//! Whose endorsements a transaction's writes need: a key can have a policy of its own, which
//! then stands in the place of its chaincode's.

use std::collections::BTreeSet;
use std::sync::Arc;

use gx_fabric_proto::common::SignaturePolicyEnvelope;
use gx_fabric_proto::kvrwset::KvrwSet;
use prost::Message;

use super::mvcc::NamespaceSet;
use super::simulation::Metadata;
use super::simulation_private::CollectionUse;
use super::store::{Batch, StoreError};
use crate::SignaturePolicy;
use crate::msp::Identity;

/// The entry of a key's metadata that holds its policy.
const VALIDATION_PARAMETER: &str = "VALIDATION_PARAMETER";

/// What a transaction did, and who stands for it.
#[derive(Clone, Debug)]
pub(super) struct Endorsed {
    /// The chaincode that was called.
    pub(super) chaincode: String,
    pub(super) sets: Vec<NamespaceSet>,
    pub(super) signers: Vec<Arc<Identity>>,
    /// The chaincodes whose own policies these signers do not satisfy.
    pub(super) unsatisfied: Vec<String>,
    /// Whether they satisfy the policies that written collections have of their own.
    pub(super) collections_endorsed: bool,
}

/// The keys whose policies a block has changed so far: nobody can have endorsed by the new
/// ones yet, and the old ones are gone.
#[derive(Default)]
pub(super) struct ChangedPolicies(BTreeSet<(String, String)>);

/// What writes need, as the gateway plans for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Chaincodes whose own policies count.
    pub(crate) chaincodes: Vec<String>,
    pub(crate) keys: Vec<SignaturePolicy>,
    /// Whose collections count, which only the registry of chaincodes can tell.
    pub(crate) collections: Vec<CollectionUse>,
}

/// The policy in a key's metadata; none where its chaincode's counts. The error is one that
/// nobody can satisfy.
pub(super) fn key_policy(metadata: &Metadata) -> Option<Result<SignaturePolicy, BadPolicy>> {
    let bytes = metadata.get(VALIDATION_PARAMETER).filter(|bytes| !bytes.is_empty())?;
    let envelope = SignaturePolicyEnvelope::decode(bytes.as_slice()).ok();
    Some(envelope.and_then(|it| SignaturePolicy::from_envelope(&it)).ok_or(BadPolicy))
}

/// A policy that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPolicy;

impl Endorsed {
    /// Whether the signers satisfy the policies of everything that was written.
    pub(super) fn is_enough(
        &self,
        state: &Batch<'_>,
        changed: &ChangedPolicies,
    ) -> Result<bool, StoreError> {
        if !self.collections_endorsed {
            return Ok(false);
        }
        if !state.has_metadata()? {
            return Ok(self.unsatisfied.is_empty());
        }
        let mut own_policies: BTreeSet<&str> = BTreeSet::new();
        if !self.sets.iter().any(|set| set.namespace == self.chaincode && set.has_writes()) {
            own_policies.insert(&self.chaincode);
        }
        for set in &self.sets {
            if set.collections.iter().any(|it| it.is_written() && !it.has_own_policy) {
                own_policies.insert(&set.namespace);
            }
            for key in written(&set.keys) {
                if changed.0.contains(&(set.namespace.clone(), key.to_owned())) {
                    return Ok(false);
                }
                match key_policy(&state.metadata(&set.namespace, key)?) {
                    None => {
                        own_policies.insert(&set.namespace);
                    }
                    Some(Ok(policy)) if policy.is_satisfied_by(&self.signers) => {}
                    Some(_) => return Ok(false),
                }
            }
        }
        Ok(!self.unsatisfied.iter().any(|name| own_policies.contains(name.as_str())))
    }
}

impl ChangedPolicies {
    /// Remembers what an endorsed transaction does to the policies of keys.
    pub(super) fn add(&mut self, sets: &[NamespaceSet]) {
        for set in sets {
            let keys = set.keys.metadata_writes.iter().map(|write| write.key.clone());
            self.0.extend(keys.map(|key| (set.namespace.clone(), key)));
        }
    }
}

fn written(set: &KvrwSet) -> impl Iterator<Item = &str> {
    let values = set.writes.iter().map(|write| write.key.as_str());
    values.chain(set.metadata_writes.iter().map(|write| write.key.as_str()))
}
