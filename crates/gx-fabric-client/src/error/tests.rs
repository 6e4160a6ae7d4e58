use gx_fabric_proto::gateway::ErrorDetail;
use prost::Message;
use prost_types::Any;

use super::*;

/// One line of the table of recorded answers.
struct Seen {
    phase: Phase,
    code: Code,
    class: String,
    message: &'static str,
    detail: &'static str,
}

fn seen() -> Vec<Seen> {
    let lines = include_str!("seen.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let mut cell = || cells.next().unwrap_or_default();
            Seen {
                phase: named(
                    cell(),
                    &[
                        Phase::Evaluate,
                        Phase::Endorse,
                        Phase::Submit,
                        Phase::CommitStatus,
                        Phase::Stream,
                    ],
                ),
                code: named(cell(), &(0..=16).map(Code::from_i32).collect::<Vec<_>>()),
                class: cell().to_owned(),
                message: cell(),
                detail: cell(),
            }
        })
        .collect()
}

fn named<T: Copy + std::fmt::Debug>(name: &str, all: &[T]) -> T {
    let found = all.iter().find(|value| format!("{value:?}") == name);
    *found.unwrap_or_else(|| panic!("{name} is none of {all:?}"))
}

fn status(code: Code, message: &str, detail: &str) -> Status {
    let mut details = Vec::new();
    if !detail.is_empty() {
        let value = ErrorDetail {
            address: "peer0.org1:7051".to_owned(),
            msp_id: "Org1MSP".to_owned(),
            message: detail.to_owned(),
        };
        details
            .push(Any { type_url: ERROR_DETAIL_TYPE_URL.to_owned(), value: value.encode_to_vec() });
    }
    let rpc = google::rpc::Status { code: code.into(), message: message.to_owned(), details };
    Status::with_details(code, message, rpc.encode_to_vec().into())
}

#[test]
fn every_recorded_answer_has_its_class() {
    let table = seen();
    assert!(table.len() > 30, "the table was read");
    for Seen { phase, code, class, message, detail } in table {
        let error = LedgerError::from_status(phase, &status(code, message, detail));
        assert_eq!(format!("{:?}", error.class), class, "{phase:?} {code:?} {message} / {detail}");
        assert_eq!(error.phase, phase);
        assert_eq!(error.details.len(), usize::from(!detail.is_empty()));
    }
}

#[test]
fn only_an_orderers_status_about_the_bytes_is_final() {
    for (name, is_final) in [
        ("BAD_REQUEST", true),
        ("FORBIDDEN", true),
        ("REQUEST_ENTITY_TOO_LARGE", true),
        ("NOT_FOUND", false),
        ("INTERNAL_SERVER_ERROR", false),
        ("SERVICE_UNAVAILABLE", false),
    ] {
        let message = format!("received unsuccessful response from orderer: status={name}, info=…");
        let error = LedgerError::from_status(Phase::Submit, &status(Code::Aborted, &message, ""));
        assert_eq!(error.orderer_refused, is_final, "{name}");
    }
}

#[test]
fn an_error_has_the_message_of_each_endorser_and_a_hint() {
    let error = LedgerError::from_status(
        Phase::Endorse,
        &status(Code::Aborted, "failed to endorse transaction", "proposal client identity expired"),
    )
    .at("peer0.org1:7051");
    assert_eq!(
        error.to_string(),
        "endorse failed (misconfigured) at peer0.org1:7051: failed to endorse transaction; \
         Org1MSP peer0.org1:7051: proposal client identity expired \
         (the signer's certificate has expired; enrol it again)"
    );
    assert_eq!(error.chaincode_status(), None);

    let refused = status(Code::Aborted, "failed to endorse", "chaincode response 400, paused");
    let refused = LedgerError::from_status(Phase::Endorse, &refused);
    assert_eq!(refused.chaincode_status(), Some(400));
}
