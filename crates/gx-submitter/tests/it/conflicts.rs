//! Success is a VALID code in a block and nothing else.

use gx_devnet::TxValidationCode;

use crate::chain::{create, grant};
use crate::desk::Desk;

async fn codes(desk: &Desk) -> String {
    desk.chain
        .one(
            r#"SELECT string_agg(concat_ws(' ', purpose, state, "validationCode"), ', '
                                 ORDER BY "createdAt") FROM "LedgerAttempt""#,
        )
        .await
}

/// FAB-07: a read conflict is cured by a new proposal; the command commits.
#[tokio::test]
async fn a_read_conflict_is_retried_until_it_commits() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.force_validation_code(2, TxValidationCode::MvccReadConflict);
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.effects("UserCreated").await, (1, 1));
    let conflict = "EXECUTE INVALID MVCC_READ_CONFLICT";
    assert_eq!(codes(&desk).await, format!("{conflict}, {conflict}, EXECUTE VALID VALID"));
    let failures = desk.column(id, "failures").await;
    assert!(failures.contains(r#""CONFLICT": 2"#), "{failures}");
}

/// FAB-07: a policy failure that stays is stored and reported with its validation code; the
/// id is fenced on the ledger before the command is given up.
#[tokio::test]
async fn a_policy_failure_ends_dead_with_its_code() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.force_validation_code(2, TxValidationCode::EndorsementPolicyFailure);
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DEAD");
    let error = desk.column(id, "lastError").await;
    assert!(error.starts_with("ENDORSEMENT_POLICY_FAILURE in block "), "{error}");
    let failure = "EXECUTE INVALID ENDORSEMENT_POLICY_FAILURE";
    assert_eq!(codes(&desk).await, format!("{failure}, {failure}, CANCEL VALID VALID"));
    assert_eq!(desk.outcome(id).await["status"], "CANCELLED");
    // An envelope of it that turned up now would find the id fenced.
    let late = gx_model::BatchCommand::new(id, &create(&person));
    desk.chain.execute_batch(&[late]).await;
    desk.drain().await;
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
    assert_eq!(desk.status(id).await, "DEAD");
}

/// A creation that is given up takes its successors with it, also one that shared its failures
/// and was given up beside it.
#[tokio::test]
async fn a_creation_given_up_takes_what_was_given_up_with_it() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.force_validation_code(2, TxValidationCode::EndorsementPolicyFailure);
    desk.drain().await;
    assert_eq!(desk.status(created).await, "DEAD");
    assert_eq!(desk.status(granted).await, "REFUSED");
    assert_eq!(desk.outcome(granted).await["because"]["commandId"], created.to_string());
    assert_eq!(desk.effects("GenesisDistributed").await, (0, 0));
}
