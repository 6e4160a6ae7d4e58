//! What blocks say of commands, with a submitter that sends when the test says so.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{BatchCommand, Clock, Command, CommandId};
use gx_outbox::{NewAttempt, NewCommand, Purpose, RetryPolicy, enqueue, store_attempt};
use gx_projector::Projector;
use serde_json::{Value, json};

use crate::people::Person;
use crate::world::{World, countries, rules};

/// Enqueues a command as a service would.
async fn want(world: &World, id: CommandId, command: &Command, of: Option<&Person>) {
    let new = NewCommand {
        command_id: id,
        command,
        profile_id: of.map(|person| person.profile_id.as_str()),
        requested_by: "a test",
        request_id: None,
    };
    enqueue(&mut world.conn().await, new, Clock::system().now()).await.unwrap();
}

/// Sends all that is due in one envelope, stored before it is sent, and projects its block.
async fn send_due(world: &World, projector: &mut Projector) -> String {
    let mut conn = world.conn().await;
    let now = Clock::system().now();
    let lease = gx_outbox::lease(&mut conn, "test", 64, now, now + Duration::from_secs(60));
    let lease = lease.await.unwrap();
    let due = gx_outbox::due_commands(&mut conn, &lease, now, 500).await.unwrap();
    assert!(!due.is_empty(), "nothing is due");
    let ids: Vec<String> = due.iter().map(|one| one.command_id.clone()).collect();
    assert!(gx_outbox::start(&mut conn, &lease, &ids, now).await.unwrap());
    let batch: Vec<_> = due
        .iter()
        .map(|one| {
            let command = Command::from_payload(one.kind.parse().unwrap(), &one.payload).unwrap();
            BatchCommand::new(one.command_id.parse().unwrap(), &command)
        })
        .collect();
    let signer = world.signer(due.iter().map(|one| one.signer).max().unwrap());
    let args = [serde_json::to_string(&batch).unwrap()];
    let endorsed = world.ledger.endorse(&signer, BatchCommand::EXECUTE, &args).await.unwrap();
    let touches: Vec<String> = due.iter().flat_map(|one| one.touches.clone()).collect();
    let attempt = NewAttempt {
        tx_id: &endorsed.tx_id,
        purpose: Purpose::Execute,
        genesis_hash: &world.ledger.genesis().await.unwrap().hash,
        envelope: &endorsed.envelope,
        command_ids: &ids,
        touches: &touches,
    };
    store_attempt(&mut conn, &lease, attempt, now, now).await.unwrap().unwrap();
    gx_outbox::release(&mut conn, &lease, now).await.unwrap();
    world.ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap();
    world.ledger.commit_status(&signer, &endorsed.tx_id).await.unwrap();
    world.catch_up(projector).await;
    endorsed.tx_id
}

/// Some columns of a command.
async fn row(world: &World, id: CommandId) -> Value {
    sqlx::query_scalar(
        r#"SELECT jsonb_build_object('status', status, 'attempts', attempts, 'txId', "txId",
               'prerequisite', prerequisite, 'failures', failures, 'giveUp', "giveUp" -> 'reason')
           FROM "OutboxCommand" WHERE "commandId" = $1"#,
    )
    .bind(id.to_string())
    .fetch_one(world.pool())
    .await
    .unwrap()
}

async fn attempt(world: &World, tx_id: &str) -> Value {
    sqlx::query_scalar(
        r#"SELECT jsonb_build_array(state, "validationCode") FROM "LedgerAttempt"
           WHERE "txId" = $1"#,
    )
    .bind(tx_id)
    .fetch_one(world.pool())
    .await
    .unwrap()
}

/// OUT-09: a person's creation that is sent before anything exists is BLOCKED with what is
/// missing and has spent no attempt; bootstrap and the country's arrival release it, each in
/// turn, and it commits unaided.
#[tokio::test]
async fn out_09_a_blocked_command_is_released_when_what_it_waits_for_arrives() {
    let world = World::start().await;
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;
    let ann = world.person(1, "MY").await;
    let id = ann.creation_id();
    want(&world, id, &ann.create(), Some(&ann)).await;

    let deferred = send_due(&world, &mut projector).await;
    let blocked = row(&world, id).await;
    assert_eq!((&blocked["status"], &blocked["attempts"]), (&json!("BLOCKED"), &json!(0)));
    assert_eq!(blocked["prerequisite"], json!({"kind": "SYSTEM_BOOTSTRAPPED"}));
    assert_eq!(attempt(&world, &deferred).await, json!(["VALID", "VALID"]));

    world.submit(&[Command::BootstrapSystem {}]).await;
    world.catch_up(&mut projector).await;
    assert_eq!(row(&world, id).await["status"], "PENDING");
    send_due(&world, &mut projector).await;
    let blocked = row(&world, id).await;
    assert_eq!(blocked["prerequisite"], json!({"kind": "COUNTRY", "countryCode": "MY"}));

    world.submit(&[countries(&["SG"])]).await;
    world.catch_up(&mut projector).await;
    assert_eq!(row(&world, id).await["status"], "BLOCKED", "another country is not this one");
    world.submit(&[countries(&["MY"])]).await;
    world.catch_up(&mut projector).await;
    let tx_id = send_due(&world, &mut projector).await;
    let committed = row(&world, id).await;
    assert_eq!((&committed["status"], &committed["txId"]), (&json!("COMMITTED"), &json!(tx_id)));
    assert_eq!(committed["attempts"], json!(1));
    assert_eq!(world.status(&ann).await, "ACTIVE");
}

/// OUT-09, FAB-10: a command that meets a pause waits for the resume.
#[tokio::test]
async fn out_09_a_pause_blocks_and_the_resume_releases() {
    let world = World::bootstrapped().await;
    let ann = world.person(1, "MY").await;
    world.submit(&[ann.create()]).await;
    world.submit(&[Command::PauseSystem { reason_code: "REVIEW".parse().unwrap() }]).await;
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;
    let id = CommandId::derive(&["grant"]);
    want(&world, id, &ann.grant(), Some(&ann)).await;
    send_due(&world, &mut projector).await;
    assert_eq!(row(&world, id).await["prerequisite"], json!({"kind": "SYSTEM_RESUMED"}));
    world.submit(&[Command::ResumeSystem {}]).await;
    world.catch_up(&mut projector).await;
    send_due(&world, &mut projector).await;
    assert_eq!(row(&world, id).await["status"], "COMMITTED");
    assert_eq!(world.balance(ann.id.as_str()).await, Some(500_000_000));
}

/// PRJ-08, OUT-09: replaying the ledger over a command that was released and not sent again
/// yet leaves it free to go: what released it lies in the same chain.
#[tokio::test]
async fn prj_08_a_replay_does_not_block_a_released_command_again() {
    let world = World::start().await;
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;
    let ann = world.person(1, "MY").await;
    let id = ann.creation_id();
    want(&world, id, &ann.create(), Some(&ann)).await;
    send_due(&world, &mut projector).await;
    world.submit(&[Command::BootstrapSystem {}, countries(&["MY"])]).await;
    world.catch_up(&mut projector).await;
    assert_eq!(row(&world, id).await["status"], "PENDING");
    let before = row(&world, id).await;
    projector.stop();
    sqlx::query(r#"DELETE FROM "ProjectorState""#).execute(world.pool()).await.unwrap();
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;
    assert_eq!(row(&world, id).await, before);
    send_due(&world, &mut projector).await;
    assert_eq!(row(&world, id).await["status"], "COMMITTED");
}

/// FAB-07: a read conflict settles the attempt INVALID and puts the command back, which then
/// commits under a new envelope; a policy failure is charged to its own budget and, that
/// spent, gives the command up with the validation code.
#[tokio::test]
async fn fab_07_invalid_attempts_are_settled_by_their_code() {
    let world = World::bootstrapped().await;
    let ann = world.person(1, "MY").await;
    let retry = RetryPolicy { invalid: 1, ..rules().retry };
    let rules = gx_projector::Rules { retry, ..rules() };
    let mut projector = world.projector_by(world.pool(), Clock::system(), rules);
    world.catch_up(&mut projector).await;
    want(&world, ann.creation_id(), &ann.create(), Some(&ann)).await;

    world.faults().force_validation_code(1, TxValidationCode::MvccReadConflict);
    let lost = send_due(&world, &mut projector).await;
    assert_eq!(attempt(&world, &lost).await, json!(["INVALID", "MVCC_READ_CONFLICT"]));
    let again = row(&world, ann.creation_id()).await;
    assert_eq!((&again["status"], &again["failures"]["CONFLICT"]), (&json!("PENDING"), &json!(1)));
    assert_eq!(world.status(&ann).await, "APPROVED_PENDING_ONCHAIN");
    let won = send_due(&world, &mut projector).await;
    assert_eq!(attempt(&world, &won).await, json!(["VALID", "VALID"]));
    assert_eq!(row(&world, ann.creation_id()).await["status"], "COMMITTED");
    assert_eq!(world.status(&ann).await, "ACTIVE");

    let id = CommandId::derive(&["grant"]);
    want(&world, id, &ann.grant(), Some(&ann)).await;
    world.faults().force_validation_code(1, TxValidationCode::EndorsementPolicyFailure);
    let lost = send_due(&world, &mut projector).await;
    assert_eq!(attempt(&world, &lost).await, json!(["INVALID", "ENDORSEMENT_POLICY_FAILURE"]));
    let given_up = row(&world, id).await;
    assert_eq!(given_up["failures"]["INVALID"], json!(1));
    let why = given_up["giveUp"].as_str().unwrap();
    assert!(why.starts_with("ENDORSEMENT_POLICY_FAILURE in block "), "{why}");
    assert_eq!(world.balance(ann.id.as_str()).await, Some(0));
}
