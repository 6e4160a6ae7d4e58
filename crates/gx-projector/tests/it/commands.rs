//! What blocks say about commands. The test decides when the submitter sends.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{BatchCommand, Command, CommandId, CountryList, SignerRole};
use gx_outbox::enqueue::{NewCommand, enqueue};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::submitter::{NewAttempt, Purpose, store_attempt};
use gx_projector::{ApplySettings, Projector};
use serde_json::{Value, json};

use crate::chain::{Chain, Person, create, create_id, grant};

/// Loads one country.
fn country(code: &str) -> Command {
    let country = CountryList::embedded().get(code.parse().unwrap()).unwrap().clone();
    Command::InitializeCountryData { countries: vec![country] }
}

/// Returns a projector after which commands may be tried again at once.
pub(crate) fn eager_projector(chain: &Chain, retry: RetryPolicy) -> Projector {
    let retry = RetryPolicy { base: Duration::ZERO, ..retry };
    chain.projector_by(ApplySettings { retry, ..chain.settings() })
}

/// Enqueues a command as a service would.
pub(crate) async fn want(chain: &Chain, id: CommandId, command: &Command, of: &Person) {
    let new = NewCommand {
        command_id: id,
        command,
        profile_id: Some(&of.profile_id),
        requested_by: "a test",
        request_id: None,
    };
    enqueue(&mut chain.db.connection().await, new, chain.clock.now()).await.unwrap();
}

/// Sends all due commands in one envelope, stored before it is sent, and projects its block.
pub(crate) async fn send_due(chain: &Chain, projector: &mut Projector) -> String {
    let mut conn = chain.db.connection().await;
    let now = chain.clock.now();
    let until = now + Duration::from_secs(60);
    let lease = gx_outbox::submitter::lease(&mut conn, "test", 64, now, until).await.unwrap();
    let due = gx_outbox::submitter::due_commands(
        &mut conn,
        &lease,
        &mut Default::default(),
        &chain.clock,
        500,
    )
    .await
    .unwrap();
    assert!(!due.is_empty(), "nothing is due");
    let batches =
        gx_outbox::submitter::form_batches(due.clone(), &Default::default(), Default::default(), 1);
    let ids = batches[0].ids();
    assert_eq!(ids.len(), due.len(), "more than one envelope is due");
    let mut tried = gx_outbox::submitter::start_try(&mut conn, &batches[0], now).await.unwrap();
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
        tx_id: &tx_id.clone().into(),
        purpose: Purpose::Execute,
        signer: SignerRole::Admin,
        genesis_hash: &chain.ledger.genesis().await.unwrap().hash,
        envelope: &envelope,
        command_ids: &ids,
        after: &batches[0].after(),
        touches: &touches,
    };
    store_attempt(&mut conn, &lease, &mut tried, attempt, now, now).await.unwrap().unwrap();
    gx_outbox::submitter::release(&mut conn, &lease, now).await.unwrap();
    chain.ledger.submit(&tx_id, &envelope).await.unwrap();
    chain.ledger.commit_status(&chain.super_admin, &tx_id).await.unwrap();
    chain.catch_up(projector).await;
    tx_id
}

/// Returns a command's row.
async fn row(chain: &Chain, id: CommandId) -> Value {
    sqlx::query_scalar(
        r#"SELECT jsonb_build_object('status', status, 'attempts', attempts, 'txId', "txId",
               'prerequisite', prerequisite, 'failures', failures, 'suspicion', suspicion,
               'giveUp', "giveUp" -> 'reason')
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

/// OUT-09: a person's creation that is sent before the system is bootstrapped is BLOCKED with its
/// prerequisite and has no try. Bootstrap and the person's country release it, one after the other;
/// another country does not. It then commits by itself.
#[tokio::test]
async fn a_blocked_command_is_released_when_its_prerequisite_arrives() {
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

/// OUT-09: a command that is sent during a pause waits for the resume.
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

/// PRJ-08, OUT-09: if the chain is replayed over a command that was released and not sent again
/// yet, the command can still be sent, because the chain also has the event that released it.
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

/// FAB-07, OUT-15: a transaction that is not valid ends its attempt as INVALID with the code, and
/// its command is PENDING again and commits under a new envelope. The command is not charged here;
/// its row keeps the failure until another envelope is valid.
#[tokio::test]
async fn invalid_attempts_end_with_their_code_and_charge_no_command() {
    let chain = Chain::bootstrapped().await;
    let person = chain.person(1).await;
    let retry = RetryPolicy { invalid: 1, least_age: Duration::ZERO, ..RetryPolicy::default() };
    let mut projector = eager_projector(&chain, retry);
    chain.catch_up(&mut projector).await;
    let faults = chain.devnet.faults();
    want(&chain, create_id(1), &create(&person), &person).await;

    for (code, class) in [
        (TxValidationCode::MvccReadConflict, "CONFLICT"),
        (TxValidationCode::EndorsementPolicyFailure, "INVALID"),
    ] {
        faults.force_validation_code(1, code);
        let lost = send_due(&chain, &mut projector).await;
        assert_eq!(attempt(&chain, &lost).await, format!("INVALID {}", code.as_str_name()));
        let again = row(&chain, create_id(1)).await;
        assert_eq!((&again["status"], &again["failures"]), (&json!("PENDING"), &json!({})));
        assert_eq!(again["giveUp"], Value::Null);
        let alone = &again["suspicion"]["alone"];
        assert_eq!(alone["class"], class);
        let why = alone["message"].as_str().unwrap();
        assert!(why.starts_with(&format!("{} in block ", code.as_str_name())), "{why}");
        assert_eq!(status(&chain).await, "APPROVED_PENDING_ONCHAIN");
    }
    let won = send_due(&chain, &mut projector).await;
    assert_eq!(attempt(&chain, &won).await, "VALID VALID");
    assert_eq!(row(&chain, create_id(1)).await["status"], "COMMITTED");
    assert_eq!(status(&chain).await, "ACTIVE");
}
