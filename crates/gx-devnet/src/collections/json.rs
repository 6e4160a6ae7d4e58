//! Parses definitions of collections in the JSON of Fabric's tools, for
//! [`super::Collections::from_json`].

use serde::Deserialize;

use super::Collection;
use crate::SignaturePolicy;
use crate::msp::CHANNEL_MSP_IDS;
use crate::policy::Principal;

/// The channel policy that a collection may name: a majority of the channel's organisations.
const CHANNEL_POLICY: &str = "/Channel/Application/Endorsement";

/// Why a text does not define collections.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectionsError {
    /// The text is not JSON in the expected form.
    #[error("not a definition of collections: {0}")]
    Syntax(String),
    /// A collection is invalid.
    #[error("collection {name:?}: {reason}")]
    Collection {
        /// The name of the collection.
        name: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    name: String,
    policy: String,
    #[serde(default)]
    required_peer_count: i32,
    #[serde(default = "one")]
    max_peer_count: i32,
    #[serde(default)]
    block_to_live: u64,
    #[serde(default)]
    member_only_read: bool,
    #[serde(default)]
    member_only_write: bool,
    endorsement_policy: Option<Endorsement>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Endorsement {
    signature_policy: String,
    channel_config_policy: String,
}

fn one() -> i32 {
    1
}

/// Returns the collections of the text.
pub(super) fn read(text: &str) -> Result<Vec<Collection>, CollectionsError> {
    let definitions: Vec<Definition> =
        serde_json::from_str(text).map_err(|error| CollectionsError::Syntax(error.to_string()))?;
    let mut collections: Vec<Collection> = Vec::new();
    for definition in definitions {
        let name = definition.name.clone();
        let wrong = |reason| CollectionsError::Collection { name: name.clone(), reason };
        let collection = definition.checked().map_err(wrong)?;
        if collections.iter().any(|known| known.name == collection.name) {
            return Err(wrong("it is defined twice".to_owned()));
        }
        collections.push(collection);
    }
    Ok(collections)
}

impl Definition {
    /// Returns the collection. The error says what to write instead.
    fn checked(self) -> Result<Collection, String> {
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !self.name.chars().all(named) || self.name.starts_with('_') || self.name.is_empty() {
            return Err(
                "a name has letters, digits, '_' and '-' and does not begin with one of the last \
                        two"
                .to_owned(),
            );
        }
        let required_peers = usize::try_from(self.required_peer_count)
            .map_err(|_| "requiredPeerCount is negative".to_owned())?;
        if self.max_peer_count < self.required_peer_count {
            let (max, required) = (self.max_peer_count, self.required_peer_count);
            return Err(format!(
                "maxPeerCount ({max}) is less than requiredPeerCount ({required})"
            ));
        }
        let policy: SignaturePolicy = self.policy.parse().map_err(|e| format!("policy is {e}"))?;
        let mut members = Vec::new();
        add_members(&policy, &mut members)?;
        let endorsement = self.endorsement_policy.unwrap_or_default().checked()?;
        Ok(Collection {
            name: self.name,
            members,
            required_peers,
            block_to_live: self.block_to_live,
            member_only_read: self.member_only_read,
            member_only_write: self.member_only_write,
            endorsement,
        })
    }
}

impl Endorsement {
    /// Returns the policy, or `None` if none is given and the chaincode's applies.
    fn checked(self) -> Result<Option<SignaturePolicy>, String> {
        match (self.signature_policy.as_str(), self.channel_config_policy.as_str()) {
            ("", "") => Ok(None),
            (text, "") => {
                let policy = text.parse().map_err(|e| format!("signaturePolicy is {e}"))?;
                Ok(Some(policy))
            }
            ("", "Endorsement" | CHANNEL_POLICY) => {
                Ok(Some(SignaturePolicy::majority_of_peers(CHANNEL_MSP_IDS)))
            }
            ("", other) => {
                Err(format!("there is no channel policy {other:?}; write {CHANNEL_POLICY}"))
            }
            _ => Err("give a signaturePolicy or a channelConfigPolicy, not both".to_owned()),
        }
    }
}

/// Adds all principals in the policy as members. Only OR is allowed.
fn add_members(policy: &SignaturePolicy, members: &mut Vec<Principal>) -> Result<(), String> {
    match policy {
        SignaturePolicy::SignedBy(principal) => {
            if !CHANNEL_MSP_IDS.contains(&principal.msp_id.as_str()) {
                return Err(format!("{} is not part of the channel", principal.msp_id));
            }
            members.push(principal.clone());
            Ok(())
        }
        SignaturePolicy::OutOf(1, rules) => {
            rules.iter().try_for_each(|rule| add_members(rule, members))
        }
        SignaturePolicy::OutOf(..) => {
            Err("policy lists the members and may only use OR".to_owned())
        }
    }
}
