//! What blocks say of commands, with a submitter that sends when the test says so.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{BatchCommand, Command, CommandId, CountryList};
use gx_outbox::{NewAttempt, NewCommand, Purpose, RetryPolicy, enqueue, store_attempt};
use gx_projector::{Projector, Rules};
use serde_json::{Value, json};

use crate::chain::{Chain, Person, create, create_id, grant};

/// Loads one country.
fn country(code: &str) -> Command {
    let country = CountryList::embedded().get(code.parse().unwrap()).unwrap().clone();
    Command::InitializeCountryData { countries: vec![country] }
}

/// A projector after which commands may be tried again at once.
fn eager_projector(chain: &Chain, retry: RetryPolicy) -> Projector {
    let retry = RetryPolicy { base: Duration::ZERO, ..retry };
    chain.projector_by(Rules { retry, ..chain.rules() })
}

/// Enqueues a command as a service would.
async fn want(chain: &Chain, id: CommandId, command: &Command, of: &Person) {
    let new = NewCommand {
        command_id: id,
        command,
        profile_id: Some(&of.profile_id),
        requested_by: "a test",
        request_id: None,
    };
    enqueue(&mut chain.db.connection().await, new, chain.clock.now()).await.unwrap();
}

/// Sends all that is due in one envelope, stored before it is sent, and projects its block.
pub(crate) async fn send_due(chain: &Chain, projector: &mut Projector) -> String {
    let mut conn = chain.db.connection().await;
    let now = chain.clock.now();
    let until = now + Duration::from_secs(60);
    let lease = gx_outbox::lease(&mut conn, "test", 64, now, until).await.unwrap();
    let due =
        gx_outbox::due_commands(&mut conn, &lease, &mut Default::default(), &chain.clock, 500)
            .await
            .unwrap();
    assert!(!due.is_empty(), "nothing is due");
    let batches = gx_outbox::form(due.clone(), &Default::default(), Default::default(), 1);
    let ids = batches[0].ids();
    assert_eq!(ids.len(), due.len(), "more than one envelope is due");
    let mut tried = gx_outbox::start(&mut conn, &batches[0], now).await.unwrap();
    let batch: Vec<_> = due
        .iter()
        .map(|one| {
            let command = Command::from_payload(one.kind.parse().unwrap(), &one.payload).unwrap();
            BatchCommand::new(one.command_id.parse().unwrap(), &command)
        })
        .collect();
    let (tx_id, envelope) = chain.endorse(&batch).await;
    let touches: Vec<String> = due.iter().flat_map(|one| one.touches.clone()).collect();
    let attempt = NewAttempt {
        tx_id: &tx_id,
        purpose: Purpose::Execute,
        genesis_hash: &chain.ledger.genesis().await.unwrap().hash,
        envelope: &envelope,
        command_ids: &ids,
        touches: &touches,
    };
    store_attempt(&mut conn, &lease, &mut tried, attempt, now, now).await.unwrap().unwrap();
    gx_outbox::release(&mut conn, &lease, now).await.unwrap();
    chain.ledger.submit(&tx_id, &envelope).await.unwrap();
    chain.ledger.commit_status(&chain.super_admin, &tx_id).await.unwrap();
    chain.catch_up(projector).await;
    tx_id
}

/// What a command's row says.
async fn row(chain: &Chain, id: CommandId) -> Value {
    sqlx::query_scalar(
        r#"SELECT jsonb_build_object('status', status, 'attempts', attempts, 'txId', "txId",
               'prerequisite', prerequisite, 'failures', failures, 'giveUp', "giveUp" -> 'reason')
           FROM "OutboxCommand" WHERE "commandId" = $1"#,
    )
    .bind(id.to_string())
    .fetch_one(chain.db.pool())
    .await
    .unwrap()
}

async fn attempt(chain: &Chain, tx_id: &str) -> String {
    let sql = r#"SELECT concat_ws(' ', state, "validationCode") FROM "LedgerAttempt""#;
    chain.one(&format!(r#"{sql} WHERE "txId" = '{tx_id}'"#)).await
}

async fn status(chain: &Chain) -> String {
    chain.one(r#"SELECT status FROM "UserProfile""#).await
}

/// OUT-09: a person's creation that is sent before anything exists is BLOCKED with what is
/// missing and has spent no attempt; bootstrap and the person's country release it, each in
/// turn, another country does not, and it commits unaided.
#[tokio::test]
async fn a_blocked_command_is_released_when_what_it_waits_for_arrives() {
    let chain = Chain::start().await;
    let mut projector = eager_projector(&chain, RetryPolicy::default());
    chain.catch_up(&mut projector).await;
    let person = chain.person(1).await;
    let id = create_id(1);
    want(&chain, id, &create(&person), &person).await;

    let deferred = send_due(&chain, &mut projector).await;
    let blocked = row(&chain, id).await;
    assert_eq!((&blocked["status"], &blocked["attempts"]), (&json!("BLOCKED"), &json!(0)));
    assert_eq!(blocked["prerequisite"], json!({"kind": "SYSTEM_BOOTSTRAPPED"}));
    assert_eq!(attempt(&chain, &deferred).await, "VALID VALID");

    chain.execute(&[Command::BootstrapSystem {}]).await;
    chain.catch_up(&mut projector).await;
    assert_eq!(row(&chain, id).await["status"], "PENDING");
    send_due(&chain, &mut projector).await;
    let blocked = row(&chain, id).await;
    assert_eq!(blocked["prerequisite"], json!({"kind": "COUNTRY", "countryCode": "MY"}));

    chain.execute(&[country("SG")]).await;
    chain.catch_up(&mut projector).await;
    assert_eq!(row(&chain, id).await["status"], "BLOCKED");
    chain.execute(&[country("MY")]).await;
    chain.catch_up(&mut projector).await;
    let tx_id = send_due(&chain, &mut projector).await;
    let committed = row(&chain, id).await;
    assert_eq!((&committed["status"], &committed["txId"]), (&json!("COMMITTED"), &json!(tx_id)));
    assert_eq!(committed["attempts"], 1);
    assert_eq!(status(&chain).await, "ACTIVE");
}

/// OUT-09: a command that meets a pause waits for the resume.
#[tokio::test]
async fn a_pause_blocks_and_the_resume_releases() {
    let chain = Chain::bootstrapped().await;
    let person = chain.person(1).await;
    chain.execute(&[create(&person)]).await;
    chain.execute(&[Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }]).await;
    let mut projector = eager_projector(&chain, RetryPolicy::default());
    chain.catch_up(&mut projector).await;
    let id = CommandId::derive(&["grant"]);
    want(&chain, id, &grant(&person), &person).await;
    send_due(&chain, &mut projector).await;
    assert_eq!(row(&chain, id).await["prerequisite"], json!({"kind": "SYSTEM_RESUMED"}));
    chain.execute(&[Command::ResumeSystem {}]).await;
    chain.catch_up(&mut projector).await;
    send_due(&chain, &mut projector).await;
    assert_eq!(row(&chain, id).await["status"], "COMMITTED");
}

/// PRJ-08, OUT-09: the ledger replayed over a command that was released and not sent again
/// yet leaves it free to go: what released it lies in the same chain.
#[tokio::test]
async fn a_replay_does_not_block_a_released_command_for_ever() {
    let chain = Chain::start().await;
    let mut projector = eager_projector(&chain, RetryPolicy::default());
    chain.catch_up(&mut projector).await;
    let person = chain.person(1).await;
    let id = create_id(1);
    want(&chain, id, &create(&person), &person).await;
    send_due(&chain, &mut projector).await;
    chain.execute(&[Command::BootstrapSystem {}, country("MY")]).await;
    chain.catch_up(&mut projector).await;
    let released = row(&chain, id).await;
    assert_eq!(released["status"], "PENDING");

    projector.stop();
    chain.sql(r#"DELETE FROM "ProjectorState""#).await;
    let mut projector = eager_projector(&chain, RetryPolicy::default());
    chain.catch_up(&mut projector).await;
    assert_eq!(row(&chain, id).await, released);
    send_due(&chain, &mut projector).await;
    assert_eq!(row(&chain, id).await["status"], "COMMITTED");
}

/// FAB-07: a read conflict settles the attempt INVALID and puts the command back, which
/// commits under a new envelope; a policy failure is charged to a budget of its own and,
/// that spent, gives the command up with the validation code.
#[tokio::test]
async fn invalid_attempts_are_settled_by_their_code() {
    let chain = Chain::bootstrapped().await;
    let person = chain.person(1).await;
    let retry = RetryPolicy { invalid: 1, ..RetryPolicy::default() };
    let mut projector = eager_projector(&chain, retry);
    chain.catch_up(&mut projector).await;
    let faults = chain.devnet.faults();
    want(&chain, create_id(1), &create(&person), &person).await;

    faults.force_validation_code(1, TxValidationCode::MvccReadConflict);
    let lost = send_due(&chain, &mut projector).await;
    assert_eq!(attempt(&chain, &lost).await, "INVALID MVCC_READ_CONFLICT");
    let again = row(&chain, create_id(1)).await;
    assert_eq!((&again["status"], &again["failures"]["CONFLICT"]), (&json!("PENDING"), &json!(1)));
    assert_eq!(status(&chain).await, "APPROVED_PENDING_ONCHAIN");
    let won = send_due(&chain, &mut projector).await;
    assert_eq!(attempt(&chain, &won).await, "VALID VALID");
    assert_eq!(row(&chain, create_id(1)).await["status"], "COMMITTED");
    assert_eq!(status(&chain).await, "ACTIVE");

    let id = CommandId::derive(&["grant"]);
    want(&chain, id, &grant(&person), &person).await;
    faults.force_validation_code(1, TxValidationCode::EndorsementPolicyFailure);
    let lost = send_due(&chain, &mut projector).await;
    assert_eq!(attempt(&chain, &lost).await, "INVALID ENDORSEMENT_POLICY_FAILURE");
    let given_up = row(&chain, id).await;
    assert_eq!(given_up["failures"]["INVALID"], 1);
    let why = given_up["giveUp"].as_str().unwrap();
    assert!(why.starts_with("ENDORSEMENT_POLICY_FAILURE in block "), "{why}");
    assert_eq!(chain.one(r#"SELECT count(*) FROM "Transaction""#).await, "0");
}
