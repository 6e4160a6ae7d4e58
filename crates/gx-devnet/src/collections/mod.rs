//! Collections of private data: whose they are, and how they are defined.

mod json;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::SignaturePolicy;
use crate::msp::{CHANNEL_MSP_IDS, Identity};
use crate::policy::{Principal, PrincipalRole};

pub use json::CollectionsError;

/// The name of an organisation's own collection, which every chaincode has, begins so.
const IMPLICIT: &str = "_implicit_org_";

/// The collections that a chaincode's definition names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collections(Vec<Collection>);

/// A collection of private data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collection {
    pub(crate) name: String,
    /// Whoever is one of these is a member, and their organisations' peers hold the data.
    members: Vec<Principal>,
    /// Peers beside the endorsing one that must hold the data before it is endorsed.
    pub(crate) required_peers: usize,
    /// In blocks; 0 keeps for ever.
    pub(crate) block_to_live: u64,
    member_only_read: bool,
    member_only_write: bool,
    /// In place of the chaincode's own policy.
    pub(crate) endorsement: Option<SignaturePolicy>,
}

impl Collections {
    /// Reads the file that `peer lifecycle chaincode approveformyorg --collections-config`
    /// takes.
    ///
    /// # Errors
    /// Says what is wrong with which collection.
    pub fn from_json(text: &str) -> Result<Self, CollectionsError> {
        json::read(text).map(Self)
    }

    /// A collection that is defined, or an organisation's own.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'_, Collection>> {
        if let Some(defined) = self.0.iter().find(|collection| collection.name == name) {
            return Some(Cow::Borrowed(defined));
        }
        let msp_id = name.strip_prefix(IMPLICIT)?;
        CHANNEL_MSP_IDS.contains(&msp_id).then(|| Cow::Owned(Collection::implicit(msp_id)))
    }
}

impl Collection {
    fn implicit(msp_id: &str) -> Self {
        let by = |role| Principal { msp_id: msp_id.to_owned(), role };
        Self {
            name: format!("{IMPLICIT}{msp_id}"),
            members: vec![by(PrincipalRole::Member)],
            required_peers: 0,
            block_to_live: 0,
            member_only_read: false,
            member_only_write: false,
            endorsement: Some(SignaturePolicy::SignedBy(by(PrincipalRole::Peer))),
        }
    }

    /// Whether the peers of this organisation hold the data.
    pub(crate) fn is_held_by(&self, msp_id: &str) -> bool {
        self.members.iter().any(|member| member.msp_id == msp_id)
    }

    /// Whether this identity may read, where its peer holds the data.
    pub(crate) fn admits_reader(&self, identity: &Identity) -> bool {
        !self.member_only_read || self.has_member(identity)
    }

    /// Whether this identity may write.
    pub(crate) fn admits_writer(&self, identity: &Identity) -> bool {
        !self.member_only_write || self.has_member(identity)
    }

    fn has_member(&self, identity: &Identity) -> bool {
        self.members.iter().any(|member| member.is(identity))
    }
}
