//! Checks the definitions of the chaincodes with which a ledger is started. Called by
//! `build`.

use std::collections::BTreeSet;

use crate::{DevnetError, DevnetOptions};

/// The names of a peer's own chaincodes.
const SYSTEM_NAMES: [&str; 4] = ["_lifecycle", "cscc", "lscc", "qscc"];

/// Refuses invalid names, names of system chaincodes, names that two services have, and policies
/// and collections for a chaincode that is not deployed or cannot have them. A service may have
/// the name of the GX contracts; it then replaces them. The error prevents the start.
pub(crate) fn check(options: &DevnetOptions) -> Result<(), DevnetError> {
    check_name(&options.chaincode)?;
    let mut names = BTreeSet::new();
    for service in &options.services {
        check_name(&service.name)?;
        if !names.insert(service.name.as_str()) {
            return Err(wrong(format!("{} is given twice", service.name), "leave one out"));
        }
    }
    if let Some(name) = options.collections.keys().find(|name| !names.contains(name.as_str())) {
        let reason = format!("there are collections for {name}, but no such service");
        return Err(wrong(reason, "add the service, or leave them out"));
    }
    names.insert(&options.chaincode);
    for name in options.policies.keys() {
        if !names.contains(name.as_str()) {
            let known: Vec<_> = names.into_iter().collect();
            let reason = format!("there is a policy for {name}, but no such chaincode");
            return Err(wrong(reason, &format!("name one of {}", known.join(", "))));
        }
    }
    Ok(())
}

/// Refuses a name that a peer's lifecycle does not accept.
fn check_name(name: &str) -> Result<(), DevnetError> {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    if SYSTEM_NAMES.contains(&name) {
        return Err(wrong(format!("{name} is the name of a system chaincode"), "choose another"));
    }
    if !name.split(['-', '_']).all(is_part) {
        let reason = format!("{name:?} is not a valid chaincode name");
        return Err(wrong(reason, "use letters and digits, with single - or _ between"));
    }
    Ok(())
}

fn wrong(reason: String, remedy: &str) -> DevnetError {
    DevnetError::Chaincode { reason, remedy: remedy.to_owned() }
}
