//! Checks the endorsement policies of a transaction's writes at commit. A key can have its own
//! policy, which replaces that of its chaincode.

use std::collections::BTreeSet;
use std::sync::Arc;

use gx_fabric_proto::kvrwset::KvrwSet;

use super::read_write_set::NamespaceSet;
use crate::ledger::state::{Batch, StoreError, key_policy};
use crate::msp::Identity;

/// The reads and writes of a transaction, with its endorsers.
#[derive(Clone, Debug)]
pub(crate) struct Endorsed {
    /// The chaincode that was called.
    pub(crate) chaincode: String,
    pub(crate) sets: Vec<NamespaceSet>,
    pub(crate) signers: Vec<Arc<Identity>>,
    /// The chaincodes whose own policies these signers do not satisfy.
    pub(crate) unsatisfied: Vec<String>,
    /// Whether the signers satisfy the own policies of the written collections.
    pub(crate) collections_endorsed: bool,
}

/// The keys whose policies the block has changed so far. The old policies no longer apply, and no
/// endorser can know the new ones.
#[derive(Default)]
pub(crate) struct ChangedPolicies(BTreeSet<(String, String)>);

impl Endorsed {
    /// Returns whether the signers satisfy the policies of everything that was written. If not, the
    /// transaction is an `ENDORSEMENT_POLICY_FAILURE`.
    pub(crate) fn is_enough(
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
    /// Records the keys whose policies a transaction changes.
    pub(crate) fn add(&mut self, sets: &[NamespaceSet]) {
        for set in sets {
            let keys = set.keys.metadata_writes.iter().map(|write| write.key.clone());
            self.0.extend(keys.map(|key| (set.namespace.clone(), key)));
        }
    }
}

/// Returns the keys whose value or metadata a set writes.
fn written(set: &KvrwSet) -> impl Iterator<Item = &str> {
    let values = set.writes.iter().map(|write| write.key.as_str());
    values.chain(set.metadata_writes.iter().map(|write| write.key.as_str()))
}
