//! Only a VALID code in a block is a success.

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
    // No envelope was valid in between, so no command is to blame.
    assert_eq!(desk.column(id, "failures").await, "{}");
}

/// FAB-07: a lasting endorsement policy failure is stored and reported with its validation code;
/// the id is cancelled on the ledger before the command is given up.
#[tokio::test]
async fn a_policy_failure_ends_dead_with_its_code() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let (faults, holds) = (desk.chain.devnet.faults(), person.id.to_string());
    faults.spoil_what_holds(&holds, TxValidationCode::EndorsementPolicyFailure);
    desk.until_dead(id).await;
    let error = desk.column(id, "lastError").await;
    assert!(error.starts_with("ENDORSEMENT_POLICY_FAILURE in block "), "{error}");
    // A valid witness shows each time that the failure is the command's own, except the first time,
    // when any command might have caused it.
    let failure = "EXECUTE INVALID ENDORSEMENT_POLICY_FAILURE";
    let shown = format!("{failure}, EXECUTE VALID VALID");
    let expected = format!("{failure}, {shown}, {shown}, CANCEL VALID VALID");
    assert_eq!(codes(&desk).await, expected);
    assert_eq!(desk.outcome(id).await["status"], "CANCELLED");
    // If an envelope with the command appeared now, it would find the id cancelled.
    faults.clear();
    let late = gx_model::BatchCommand::new(id, &create(&person));
    desk.chain.execute_batch(&[late]).await;
    desk.drain().await;
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
    assert_eq!(desk.status(id).await, "DEAD");
}

/// A creation that is given up takes the commands behind it with it, also one that shared its
/// failures.
#[tokio::test]
async fn a_creation_that_is_given_up_takes_the_commands_that_failed_with_it() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    let (faults, holds) = (desk.chain.devnet.faults(), person.id.to_string());
    faults.spoil_what_holds(&holds, TxValidationCode::EndorsementPolicyFailure);
    desk.until_dead(created).await;
    assert_eq!(desk.status(granted).await, "REFUSED");
    assert_eq!(desk.outcome(granted).await["because"]["commandId"], created.to_string());
    assert_eq!(desk.effects("GenesisDistributed").await, (0, 0));
}
