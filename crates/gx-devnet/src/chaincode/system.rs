//! The names of the system chaincodes, and their answer to other chaincodes. The endorser passes
//! the queries of clients to `system::answer` instead of a simulation.

/// The system chaincode that answers queries about the chain.
pub(crate) const QSCC: &str = "qscc";
/// The system chaincode that answers queries about channels.
pub(crate) const CSCC: &str = "cscc";

/// The status of refused queries.
pub(crate) const REFUSED: i32 = 500;

/// Returns whether this is the name of a system chaincode.
pub(crate) fn is_system(chaincode: &str) -> bool {
    [QSCC, CSCC].contains(&chaincode)
}

/// Returns the error of a system chaincode that another chaincode calls.
pub(super) fn refusal_to_chaincodes(chaincode: &str, called_by_client: &str) -> String {
    let reason = if chaincode == QSCC { " because of potential for deadlocks" } else { "" };
    let name = chaincode.to_uppercase();
    format!(
        "Rejecting invoke of {name} from another chaincode{reason}, original invocation for \
         '{called_by_client}'"
    )
}
