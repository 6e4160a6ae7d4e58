//! Signature policies: the endorsements that a transaction needs. The gateway chooses endorsers by
//! them, and validation checks the endorsements.

mod parse;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::msp::{Identity, NodeRole};

pub use parse::PolicyError;

/// A rule for the signatures that are required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignaturePolicy {
    /// One signature by this principal.
    SignedBy(Principal),
    /// At least this number of these rules.
    OutOf(usize, Vec<SignaturePolicy>),
}

/// A role in an organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    /// The organisation's MSP.
    pub msp_id: String,
    /// The role that the signer's organisational unit must give.
    pub role: PrincipalRole,
}

/// A role that a policy can require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrincipalRole {
    /// Any role.
    Member,
    /// An administrator.
    Admin,
    /// A client.
    Client,
    /// A peer.
    Peer,
    /// An orderer.
    Orderer,
}

impl SignaturePolicy {
    /// Returns the channel's default policy: a peer of more than half of these organisations.
    pub(crate) fn majority_of_peers<'a>(msp_ids: impl IntoIterator<Item = &'a str>) -> Self {
        let peers: Vec<_> = msp_ids
            .into_iter()
            .map(|msp_id| {
                let principal = Principal { msp_id: msp_id.to_owned(), role: PrincipalRole::Peer };
                Self::SignedBy(principal)
            })
            .collect();
        Self::OutOf(peers.len() / 2 + 1, peers)
    }

    /// Returns whether these different signers satisfy the policy. Each signer counts for one
    /// principal only.
    pub(crate) fn is_satisfied_by(&self, signers: &[Arc<Identity>]) -> bool {
        self.takes(signers, &mut vec![false; signers.len()])
    }

    /// Evaluates the policy as Fabric does: rules use up signers in order and never release one.
    fn takes(&self, signers: &[Arc<Identity>], used: &mut Vec<bool>) -> bool {
        match self {
            Self::SignedBy(principal) => {
                let mut places = signers.iter().zip(used.iter_mut());
                match places.find(|(signer, used)| !**used && principal.is(signer)) {
                    Some((_, used)) => {
                        *used = true;
                        true
                    }
                    None => false,
                }
            }
            Self::OutOf(count, rules) => {
                let satisfied = rules.iter().filter(|rule| {
                    let mut tried = used.clone();
                    let taken = rule.takes(signers, &mut tried);
                    if taken {
                        *used = tried;
                    }
                    taken
                });
                satisfied.count() >= *count
            }
        }
    }
}

impl Principal {
    pub(crate) fn is(&self, identity: &Identity) -> bool {
        self.msp_id == identity.msp_id
            && match (self.role, identity.role) {
                // A certificate without a role is not valid in its organisation.
                (_, None) => false,
                (PrincipalRole::Member, Some(_)) => true,
                (PrincipalRole::Admin, Some(role)) => role == NodeRole::Admin,
                (PrincipalRole::Client, Some(role)) => role == NodeRole::Client,
                (PrincipalRole::Peer, Some(role)) => role == NodeRole::Peer,
                (PrincipalRole::Orderer, Some(role)) => role == NodeRole::Orderer,
            }
    }
}

impl PrincipalRole {
    const ALL: [Self; 5] = [Self::Member, Self::Admin, Self::Client, Self::Peer, Self::Orderer];

    const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Client => "client",
            Self::Peer => "peer",
            Self::Orderer => "orderer",
        }
    }
}

/// Writes the policy in the language that [`str::parse`] reads.
impl fmt::Display for SignaturePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignedBy(Principal { msp_id, role }) => write!(f, "'{msp_id}.{}'", role.name()),
            Self::OutOf(count, rules) => {
                write!(f, "OutOf({count}")?;
                rules.iter().try_for_each(|rule| write!(f, ", {rule}"))?;
                write!(f, ")")
            }
        }
    }
}
