//! Validates transactions: first what an envelope shows by itself, then what the state decides. The
//! orderer does the first before it queues the envelope, the committer the second.

mod conflict;
mod endorsement;
mod envelope;
mod read_write_set;

use std::collections::BTreeMap;

use crate::collections::Collections;
use crate::policy::SignaturePolicy;

pub(crate) use conflict::conflict;
pub(crate) use endorsement::{ChangedPolicies, Endorsed};
pub(crate) use envelope::{Opened, Validated, Validator};
pub(crate) use read_write_set::{CollectionSet, NamespaceSet};

/// The definitions of the channel's chaincodes, by name.
pub(crate) type Definitions = BTreeMap<String, Definition>;

/// The part of a chaincode's definition by which its transactions are validated.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) policy: SignaturePolicy,
    pub(crate) collections: Collections,
}
