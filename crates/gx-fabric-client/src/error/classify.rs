//! Classifies the answers of peers and orderers, for `LedgerError::from_status`. Codes are
//! misleading, so messages decide first.

use tonic::Code;

use super::cause::{Cause, cause_in};
use super::{EndorserDetail, OutcomeClass, Phase};

/// The class of a failed call, with the fields of [`super::LedgerError`] of the same names.
pub(super) struct Judgement {
    pub(super) class: OutcomeClass,
    pub(super) cause: Option<Cause>,
    pub(super) orderer_refused: bool,
}

/// The text that a gateway puts before the status of an orderer.
const ORDERER_ANSWER: &str = "received unsuccessful response from orderer: status=";

/// The text that a peer puts before the status and message of a contract.
const CHAINCODE_ANSWER: &str = "chaincode response ";

/// The orderer's statuses about the bytes themselves. Other statuses may pass.
const FINAL_ORDERER_STATUSES: [&str; 3] = ["BAD_REQUEST", "FORBIDDEN", "REQUEST_ENTITY_TOO_LARGE"];

/// Returns the class and cause of a failed call. The texts come first, the code last.
pub(super) fn judge(
    phase: Phase,
    code: Code,
    message: &str,
    details: &[EndorserDetail],
) -> Judgement {
    // An answer from behind a gateway may contain the reason, so all texts are searched.
    let texts = || std::iter::once(message).chain(details.iter().map(|d| d.message.as_str()));
    // A contract's message may quote a user's text, so only the text before it is searched.
    let own_words = || texts().map(|text| text.split(CHAINCODE_ANSWER).next().unwrap_or_default());
    let said = |words: &str| own_words().any(|text| text.contains(words));

    if phase == Phase::Submit && message.contains(ORDERER_ANSWER) {
        return judge_orderer(message);
    }
    if said("too many requests") {
        return Judgement { class: OutcomeClass::Unavailable, cause: None, orderer_refused: false };
    }
    let cause = cause_in(own_words);
    let class = if cause.is_some() {
        OutcomeClass::Misconfigured
    } else if said("ProposalResponsePayloads do not match") || said("duplicate transaction found") {
        OutcomeClass::Conflict
    } else if texts().any(|text| chaincode_status(text).is_some()) {
        OutcomeClass::Refused
    } else if said("no combination of peers") {
        OutcomeClass::Unavailable
    } else {
        by_code(phase, code, message)
    };
    Judgement { class, cause, orderer_refused: false }
}

/// Judges a Submit that an orderer answered with an error.
fn judge_orderer(message: &str) -> Judgement {
    let status = message.split(ORDERER_ANSWER).nth(1).unwrap_or_default();
    let orderer_refused = FINAL_ORDERER_STATUSES.iter().any(|name| status.starts_with(name));
    let class = if orderer_refused {
        OutcomeClass::Refused
    } else if status.starts_with("NOT_FOUND") {
        OutcomeClass::Misconfigured
    } else {
        OutcomeClass::Unavailable
    };
    Judgement { class, cause: None, orderer_refused }
}

/// Returns the class of a call whose texts match no rule.
fn by_code(phase: Phase, code: Code, message: &str) -> OutcomeClass {
    match code {
        Code::OutOfRange | Code::ResourceExhausted
            if message.contains("larger than max") || message.contains("too large") =>
        {
            OutcomeClass::Refused
        }
        Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::InvalidArgument
        | Code::FailedPrecondition => OutcomeClass::Misconfigured,
        // The gateway says this if no orderer answered.
        Code::Unavailable if message.contains("no orderers could successfully process") => {
            OutcomeClass::Unavailable
        }
        // Any other failure in these phases may have occurred after the envelope was ordered.
        _ if matches!(phase, Phase::Submit | Phase::CommitStatus) => OutcomeClass::Unknown,
        _ => OutcomeClass::Unavailable,
    }
}

/// Returns the status in "chaincode response 400, …", or `None` if the text has none. A status
/// below 400 is not an error.
pub(super) fn chaincode_status(text: &str) -> Option<i32> {
    let after = text.split(CHAINCODE_ANSWER).nth(1)?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|status| *status >= 400)
}
