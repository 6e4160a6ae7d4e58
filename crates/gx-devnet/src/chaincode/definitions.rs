//! What must be right about the chaincodes that a ledger is started with.

use std::collections::BTreeSet;

use crate::{DevnetError, DevnetOptions};

/// Names that a peer keeps for itself.
const SYSTEM_NAMES: [&str; 4] = ["_lifecycle", "cscc", "lscc", "qscc"];

/// Refuses names that no chaincode can have, that two services have, and policies and
/// collections that belong to no chaincode which can have them. A service may take the name of the GX contracts, which it then replaces.
pub(crate) fn check(options: &DevnetOptions) -> Result<(), DevnetError> {
    let wrong = |reason: String| Err(DevnetError::Chaincode { reason });
    let mut names = BTreeSet::new();
    for service in &options.services {
        if !is_name(&service.name) {
            return wrong(format!(
                "{:?} is no chaincode's name; use letters and digits, with single - or _ between",
                service.name
            ));
        }
        if !names.insert(service.name.as_str()) {
            return wrong(format!("{} is given twice; leave one out", service.name));
        }
    }
    if let Some(name) = options.collections.keys().find(|name| !names.contains(name.as_str())) {
        return wrong(format!(
            "there are collections for {name}, but no such service; only services have private data"
        ));
    }
    names.insert(&options.chaincode);
    for name in options.policies.keys() {
        if !names.contains(name.as_str()) {
            let known: Vec<_> = names.into_iter().collect();
            return wrong(format!(
                "there is a policy for {name}, but no such chaincode; there are {}",
                known.join(", ")
            ));
        }
    }
    Ok(())
}

/// What a peer's lifecycle takes as a name.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    name.split(['-', '_']).all(is_part) && !SYSTEM_NAMES.contains(&name)
}
