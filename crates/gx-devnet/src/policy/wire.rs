//! Policies as protobuf messages. The channel's configuration has them (`to_envelope`), and so have
//! keys of the state whose policy a chaincode sets (`from_envelope`, in `ledger::state`).

use gx_fabric_proto::common::msp_principal::Classification;
use gx_fabric_proto::common::msp_role::MspRoleType;
use gx_fabric_proto::common::signature_policy::{NOutOf, Type};
use gx_fabric_proto::common::{self, MspPrincipal, MspRole, SignaturePolicyEnvelope};
use prost::Message;

use super::{Principal, PrincipalRole, SignaturePolicy};

impl SignaturePolicy {
    /// Returns the policy as a message; each principal is listed once.
    pub(crate) fn to_envelope(&self) -> SignaturePolicyEnvelope {
        let mut principals = Vec::new();
        let rule = self.to_rule(&mut principals);
        let identities = principals.into_iter().map(Principal::into_message).collect();
        SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities }
    }

    /// Returns the policy of a message, or `None` if it is malformed or requires anything but
    /// roles. The caller refuses the chaincode's call or the transaction then.
    pub(crate) fn from_envelope(envelope: &SignaturePolicyEnvelope) -> Option<Self> {
        let principals: Option<Vec<_>> =
            envelope.identities.iter().map(Principal::from_message).collect();
        Self::from_rule(envelope.rule.as_ref()?, &principals?)
    }

    fn to_rule(&self, principals: &mut Vec<Principal>) -> common::SignaturePolicy {
        let rule = match self {
            Self::SignedBy(principal) => {
                let index = principals.iter().position(|known| known == principal);
                let index = index.unwrap_or_else(|| {
                    principals.push(principal.clone());
                    principals.len() - 1
                });
                Type::SignedBy(to_i32(index))
            }
            Self::OutOf(count, rules) => Type::NOutOf(NOutOf {
                n: to_i32(*count),
                rules: rules.iter().map(|rule| rule.to_rule(principals)).collect(),
            }),
        };
        common::SignaturePolicy { r#type: Some(rule) }
    }

    /// Returns a rule of a message, or `None` if it has no type or the index of no principal.
    fn from_rule(rule: &common::SignaturePolicy, principals: &[Principal]) -> Option<Self> {
        match rule.r#type.as_ref()? {
            Type::SignedBy(index) => {
                let principal = principals.get(usize::try_from(*index).ok()?)?;
                Some(Self::SignedBy(principal.clone()))
            }
            Type::NOutOf(NOutOf { n, rules }) => {
                let rules: Option<_> =
                    rules.iter().map(|rule| Self::from_rule(rule, principals)).collect();
                Some(Self::OutOf(usize::try_from(*n).ok()?, rules?))
            }
        }
    }
}

impl Principal {
    fn into_message(self) -> MspPrincipal {
        let role = match self.role {
            PrincipalRole::Member => MspRoleType::Member,
            PrincipalRole::Admin => MspRoleType::Admin,
            PrincipalRole::Client => MspRoleType::Client,
            PrincipalRole::Peer => MspRoleType::Peer,
            PrincipalRole::Orderer => MspRoleType::Orderer,
        };
        let role = MspRole { msp_identifier: self.msp_id, role: role.into() };
        MspPrincipal {
            principal_classification: Classification::Role.into(),
            principal: role.encode_to_vec(),
        }
    }

    /// Returns a principal, or `None` if it is not a role.
    fn from_message(message: &MspPrincipal) -> Option<Self> {
        if message.principal_classification() != Classification::Role {
            return None;
        }
        let role = MspRole::decode(message.principal.as_slice()).ok()?;
        let kind = match MspRoleType::try_from(role.role).ok()? {
            MspRoleType::Member => PrincipalRole::Member,
            MspRoleType::Admin => PrincipalRole::Admin,
            MspRoleType::Client => PrincipalRole::Client,
            MspRoleType::Peer => PrincipalRole::Peer,
            MspRoleType::Orderer => PrincipalRole::Orderer,
        };
        Some(Self { msp_id: role.msp_identifier, role: kind })
    }
}

fn to_i32(number: usize) -> i32 {
    i32::try_from(number).expect("a policy is shorter than 2^31 rules")
}
