//! Collections of private data: their members and their definition. Asked by the services for each
//! access to private data, by the endorser, and by the validation of transactions.

mod json;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::SignaturePolicy;
use crate::msp::{CHANNEL_MSP_IDS, Identity};
use crate::policy::{Principal, PrincipalRole};

pub use json::CollectionsError;

/// The prefix of the name of an organisation's own collection, which every chaincode has.
const IMPLICIT: &str = "_implicit_org_";

/// The collections in a chaincode's definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collections(Vec<Collection>);

/// A collection of private data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collection {
    pub(crate) name: String,
    /// The principals that are members. The peers of their organisations hold the data.
    members: Vec<Principal>,
    /// Number of peers, in addition to the endorsing one, that must hold the data before it is
    /// endorsed.
    pub(crate) required_peers: usize,
    /// Number of blocks for which the data are kept; 0 means for ever.
    pub(crate) block_to_live: u64,
    member_only_read: bool,
    member_only_write: bool,
    /// The endorsement policy that replaces the chaincode's. `None` if the chaincode's applies.
    pub(crate) endorsement: Option<SignaturePolicy>,
}

impl Collections {
    /// Parses the file for `peer lifecycle chaincode approveformyorg --collections-config`.
    ///
    /// # Errors
    /// The collection and what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, CollectionsError> {
        json::read(text).map(Self)
    }

    /// Returns the collection with this name, which may be an organisation's own, or `None` if it
    /// is not defined.
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

    /// Returns whether the peers of this organisation hold the data.
    pub(crate) fn is_held_by(&self, msp_id: &str) -> bool {
        self.members.iter().any(|member| member.msp_id == msp_id)
    }

    /// Returns whether this identity may read the data at a peer that holds them.
    pub(crate) fn admits_reader(&self, identity: &Identity) -> bool {
        !self.member_only_read || self.has_member(identity)
    }

    /// Returns whether this identity may write the data.
    pub(crate) fn admits_writer(&self, identity: &Identity) -> bool {
        !self.member_only_write || self.has_member(identity)
    }

    fn has_member(&self, identity: &Identity) -> bool {
        self.members.iter().any(|member| member.is(identity))
    }
}
