//! A failure of everything is an outage and ends no command; a failure that one command causes ends
//! that command.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{Command, CommandId};
use gx_submitter::Progress;

use crate::chain::{Person, create};
use crate::desk::{Desk, crowd};

/// How long everything is refused.
const OUTAGE: Duration = Duration::from_secs(120);
/// Limit of the envelopes that may be made during an outage of that length: one with all orders and
/// its halves, a few more for conflicts, and some probes.
const MOST_ENVELOPES: i64 = 34;

/// Every validation code that is neither VALID nor says nothing about the transaction.
fn codes() -> Vec<TxValidationCode> {
    let all = (0..=255).filter_map(|number| TxValidationCode::try_from(number).ok());
    let left_out =
        [TxValidationCode::Valid, TxValidationCode::NotValidated, TxValidationCode::DuplicateTxid];
    all.filter(|code| !left_out.contains(code)).collect()
}

/// Returns the commands that are charged, given up or dead.
const CASUALTIES: &str = r#"SELECT count(*) FROM "OutboxCommand"
    WHERE "settledAt" IS NULL
      AND (status = 'DEAD' OR "giveUp" IS NOT NULL OR failures <> '{}')"#;

async fn envelopes(desk: &Desk) -> i64 {
    desk.chain.one(r#"SELECT count(*) FROM "LedgerAttempt""#).await.parse().unwrap()
}

async fn committed(desk: &Desk) -> usize {
    let count = r#"SELECT count(*) FROM "OutboxCommand" WHERE status = 'COMMITTED'"#;
    desk.chain.one(count).await.parse().unwrap()
}

/// Makes every transaction fail with this code for two minutes while so many orders wait.
async fn refuse_everything(desk: &mut Desk, people: &[Person], code: TxValidationCode) {
    let before = (committed(desk).await, envelopes(desk).await);
    desk.enqueue_creations(people).await;
    let faults = desk.chain.devnet.faults();
    faults.force_validation_code(100_000, code);
    let end = desk.chain.clock.now() + OUTAGE;
    while desk.chain.clock.now() < end {
        desk.advance_by_a_step().await;
    }
    assert_eq!(desk.chain.one(CASUALTIES).await, "0", "{}", code.as_str_name());
    assert_eq!(committed(desk).await, before.0);
    let made = envelopes(desk).await - before.1;
    assert!((5..=MOST_ENVELOPES).contains(&made), "{made} envelopes, {}", code.as_str_name());
    faults.clear();
    desk.work_until(async |desk| committed(desk).await == before.0 + people.len()).await;
    let dead = r#"SELECT count(*) FROM "OutboxCommand" WHERE status = 'DEAD'"#;
    assert_eq!(desk.chain.one(dead).await, "0", "{}", code.as_str_name());
}

/// OUT-15, G2: for two minutes every transaction gets this code, with 500 orders waiting: nothing
/// is charged or given up, few envelopes are made, and all orders commit afterwards.
#[tokio::test]
async fn two_minutes_of_refusals_cost_500_orders_nothing() {
    let mut desk = Desk::with_real_budgets().await;
    for (n, code) in
        [TxValidationCode::EndorsementPolicyFailure, TxValidationCode::MvccReadConflict]
            .into_iter()
            .enumerate()
    {
        let people = crowd(&desk.chain, n * 500, 500).await;
        refuse_everything(&mut desk, &people, code).await;
    }
    assert_eq!(desk.effects("UserCreated").await, (1_000, 1_000));
}

/// OUT-15, G2: the same for every code.
#[tokio::test]
async fn a_validation_code_that_hits_everything_charges_no_command() {
    let mut desk = Desk::with_real_budgets().await;
    let codes = codes();
    assert!(codes.len() > 20, "{codes:?}");
    for (n, code) in codes.iter().enumerate() {
        let people = crowd(&desk.chain, n * 8, 8).await;
        refuse_everything(&mut desk, &people, *code).await;
    }
    let made = i64::try_from(codes.len() * 8).unwrap();
    assert_eq!(desk.effects("UserCreated").await, (made, made));
}

/// OUT-15: one command among 500 that always fails is found, and it alone is given up; the others
/// commit.
#[tokio::test]
async fn one_poisonous_command_among_500_is_given_up_alone() {
    let mut desk = Desk::with_real_budgets().await;
    let people = crowd(&desk.chain, 0, 500).await;
    let ids = desk.enqueue_creations(&people).await;
    let faults = desk.chain.devnet.faults();
    // Its cancellation names the command and not the person.
    let poison = people[317].id.to_string();
    faults.spoil_what_holds(&poison, TxValidationCode::EndorsementPolicyFailure);
    desk.work_until(async |desk| desk.status(ids[317]).await == "DEAD").await;
    assert_eq!(committed(&desk).await, 499);
    assert_eq!(desk.outcome(ids[317]).await["status"], "CANCELLED");
    let failures = r#"SELECT count(*) FROM "OutboxCommand" WHERE failures <> '{}'"#;
    assert_eq!(desk.chain.one(failures).await, "1");
    let carried = format!(
        r#"SELECT count(*) FROM "LedgerAttempt"
           WHERE state = 'INVALID' AND cardinality("commandIds") > 1
             AND '{}' = ANY("commandIds")"#,
        ids[317]
    );
    // Halving 500 nine times leaves one.
    assert!(desk.chain.one(&carried).await.parse::<u32>().unwrap() <= 9);
    assert_eq!(desk.effects("UserCreated").await, (499, 499));
}

/// OUT-15: a command that always fails keeps no other command waiting. New commands are sent at
/// once.
#[tokio::test]
async fn a_poisonous_command_holds_back_no_other() {
    let mut desk = Desk::with_real_budgets().await;
    let people = crowd(&desk.chain, 0, 4).await;
    let poison = people[0].id.to_string();
    let faults = desk.chain.devnet.faults();
    faults.spoil_what_holds(&poison, TxValidationCode::EndorsementPolicyFailure);
    let poisonous = desk.enqueue_for(&people[0], &create(&people[0])).await;
    for person in &people[1..] {
        let began_at = desk.chain.clock.now();
        while desk.chain.clock.now() < began_at + Duration::from_secs(90) {
            desk.advance_by_a_step().await;
        }
        let id = desk.enqueue_for(person, &create(person)).await;
        let wanted_at = desk.chain.clock.now();
        desk.work_until(async |desk| desk.status(id).await == "COMMITTED").await;
        let took = desk.chain.clock.now() - wanted_at;
        assert!(took < Duration::from_secs(10), "{took}");
    }
    assert_eq!(desk.status(poisonous).await, "PENDING");
    // The command is still charged: a valid witness shows that the failure is its own.
    let charged = desk.column(poisonous, "failures").await;
    assert!(charged.contains("INVALID"), "{charged}");
}

/// OUT-15: if a contract refuses whole batches because of one command, that command ends, and the
/// others are sent at once.
#[tokio::test]
async fn one_command_that_is_never_endorsed_is_given_up_alone() {
    let mut desk = Desk::with_real_budgets().await;
    let people = crowd(&desk.chain, 0, 40).await;
    let ids = desk.enqueue_creations(&people).await;
    let poison = people[13].id.to_string();
    desk.chain.devnet.faults().refuse_what_holds(&poison, 400, "no such thing");
    desk.submitter.step().await.unwrap();
    let sent = r#"SELECT count(*) FROM "OutboxCommand" WHERE status = 'SUBMITTED'"#;
    assert_eq!(desk.chain.one(sent).await, "39");
    desk.work_until(async |desk| desk.status(ids[13]).await == "DEAD").await;
    assert_eq!(committed(&desk).await, 39);
    let refused = format!(
        r#"SELECT (failures ->> 'REFUSED')::integer >= 10 AND attempts >= 10
           FROM "OutboxCommand" WHERE "commandId" = '{}'"#,
        ids[13]
    );
    assert_eq!(desk.chain.one(&refused).await, "true");
    assert_eq!(desk.chain.one(CASUALTIES).await, "1");
}

/// OUT-15: ten minutes in which no endorsement succeeds charge no command, and few endorsements are
/// requested.
#[tokio::test]
async fn ten_minutes_of_refused_endorsements_charge_no_command() {
    let mut desk = Desk::with_real_budgets().await;
    let people = crowd(&desk.chain, 0, 100).await;
    desk.enqueue_creations(&people).await;
    let faults = desk.chain.devnet.faults();
    faults.refuse_what_holds("", 400, "the contract is upgraded");
    let end = desk.chain.clock.now() + Duration::from_secs(600);
    let (mut steps, mut paused) = (0, false);
    while desk.chain.clock.now() < end {
        paused |= matches!(desk.advance_by_a_step().await, Progress::BackingOff { .. });
        steps += 1;
    }
    assert!(paused && steps < 300, "{steps}");
    assert_eq!(desk.chain.one(CASUALTIES).await, "0");
    assert_eq!(envelopes(&desk).await, 0);
    faults.clear();
    desk.work_until(async |desk| committed(desk).await == 100).await;
}

/// OUT-15: sixty hours with an expired certificate, as over a weekend, charge and give up nothing,
/// and with a new certificate everything commits.
#[tokio::test]
async fn a_weekend_of_an_expired_certificate_ends_no_command() {
    let mut desk = Desk::with_real_budgets().await;
    let people = crowd(&desk.chain, 0, 20).await;
    desk.enqueue_creations(&people).await;
    let good = desk.with_expired_signer();
    let end = desk.chain.clock.now() + Duration::from_secs(60 * 3_600);
    while desk.chain.clock.now() < end {
        desk.advance_by_a_step().await;
        // Probes come every few seconds; that many of them would take the test an hour.
        desk.chain.clock.advance(Duration::from_secs(1_800));
    }
    let said = desk.chain.one(r#"SELECT min("lastError") FROM "OutboxCommand""#).await;
    assert!(said.contains("expired"), "{said}");
    assert_eq!(desk.chain.one(CASUALTIES).await, "0");
    assert_eq!(envelopes(&desk).await, 0);
    desk.submitter = good;
    desk.work_until(async |desk| committed(desk).await == 20).await;
}

/// OUT-15: for half an hour everything that one key signs is invalid, while the other key's
/// envelopes are valid: the first key's command is not charged, and commits when its key is
/// accepted.
#[tokio::test]
async fn valid_envelopes_of_one_signer_charge_no_command_of_another() {
    let mut desk = Desk::with_real_budgets().await;
    let line = desk.with_another_super_admin();
    let faults = desk.chain.devnet.faults();
    faults.spoil_what_holds(&line, TxValidationCode::BadCreatorSignature);
    let pause = Command::PauseSystem { reason_code: "DRILL".parse().unwrap() };
    let paused = desk.enqueue(&pause).await;
    let people = crowd(&desk.chain, 0, 30).await;
    for person in &people {
        let id = desk.enqueue_for(person, &create(person)).await;
        let end = desk.chain.clock.now() + Duration::from_secs(60);
        desk.work_until(async |desk| desk.status(id).await == "COMMITTED").await;
        while desk.chain.clock.now() < end {
            desk.advance_by_a_step().await;
        }
    }
    let tried = r#"SELECT count(*) FROM "LedgerAttempt"
                   WHERE "signerRole" = 'SUPER_ADMIN' AND state = 'INVALID'"#;
    assert_ne!(desk.chain.one(tried).await, "0");
    assert_eq!(desk.chain.one(CASUALTIES).await, "0", "{}", desk.everything().await);
    faults.clear();
    desk.work_until(async |desk| desk.status(paused).await == "COMMITTED").await;
}

/// OUT-15: a decision of the submitter to give up is undone while the ledger has not cancelled the
/// command: one that an earlier release left, and one whose cancellation was not valid.
#[tokio::test]
async fn a_give_up_is_undone_while_the_ledger_has_not_cancelled_the_command() {
    let mut desk = Desk::with_real_budgets().await;
    let people = crowd(&desk.chain, 0, 3).await;
    let ids = desk.enqueue_creations(&people).await;
    let give_up = |id: CommandId, by: &str, to: &str| {
        format!(
            r#"UPDATE "OutboxCommand" SET "submittedAt" = now(), failures = '{{"INVALID": 5}}',
                   "giveUp" = '{{"to": "{to}", "reason": "no", "by": "{by}"}}'
               WHERE "commandId" = '{id}'"#
        )
    };
    for (id, by, to) in [
        (ids[0], "submitter", "DEAD"),
        (ids[1], "submitter", "DEAD"),
        (ids[2], "an admin", "DISCARDED"),
    ] {
        desk.chain.sql(&give_up(id, by, to)).await;
    }
    // The second one's cancellation is in flight and turns out invalid.
    desk.chain
        .sql(&format!(
            r#"INSERT INTO "LedgerAttempt" ("txId", purpose, "genesisHash", envelope, "commandIds",
                   touches, state, "validationCode", "blockNumber", "nextSendAt", "createdAt",
                   "settledAt")
               VALUES ('earlier', 'CANCEL', '', '', ARRAY['{}'], '{{}}', 'INVALID', 'BAD_PAYLOAD',
                       1, now(), now(), now());
               UPDATE "OutboxCommand" SET "txId" = 'earlier' WHERE "commandId" = '{0}'"#,
            ids[1]
        ))
        .await;
    desk.work_until(async |desk| {
        let open = r#"SELECT count(*) FROM "OutboxCommand"
                      WHERE status NOT IN ('COMMITTED', 'DISCARDED')"#;
        desk.chain.one(open).await == "0"
    })
    .await;
    assert_eq!(desk.status(ids[0]).await, "COMMITTED");
    assert_eq!(desk.status(ids[1]).await, "COMMITTED");
    assert_eq!(desk.status(ids[2]).await, "DISCARDED");
    assert_eq!(desk.column(ids[0], "failures").await, r#"{"INVALID": 4}"#);
}

/// OUT-15: after a cancellation that is invalid, whatever its code, the command is executed again,
/// one failure below its budget.
#[tokio::test]
async fn an_invalid_cancellation_undoes_the_give_up() {
    // A read conflict is no sign of an outage, so the invalid attempt itself has to count.
    for code in [TxValidationCode::BadPayload, TxValidationCode::MvccReadConflict] {
        let mut desk = Desk::with_real_budgets().await;
        let people = crowd(&desk.chain, 0, 2).await;
        let poison = people[0].id.to_string();
        let faults = desk.chain.devnet.faults();
        faults.spoil_what_holds(&poison, TxValidationCode::EndorsementPolicyFailure);
        let id = desk.enqueue_for(&people[0], &create(&people[0])).await;
        desk.work_until(async |desk| desk.column(id, "giveUp").await != "NULL").await;
        faults.force_validation_code(1, code);
        desk.advance_by_a_step().await;
        let cancels = r#"SELECT string_agg(state || ' ' || "validationCode", ',')
                         FROM "LedgerAttempt" WHERE purpose = 'CANCEL'"#;
        assert_eq!(desk.chain.one(cancels).await, format!("INVALID {}", code.as_str_name()));
        faults.clear();
        desk.work_until(async |desk| {
            ["COMMITTED", "DEAD"].contains(&desk.status(id).await.as_str())
        })
        .await;
        assert_eq!(desk.status(id).await, "COMMITTED", "{}", code.as_str_name());
        assert_eq!(desk.column(id, "giveUp").await, "NULL");
        let failures = desk.column(id, "failures").await;
        assert!(failures.contains(r#""INVALID": 4"#), "{failures}");
        assert_eq!(desk.effects("UserCreated").await, (1, 1));
    }
}

/// OUT-15: other clients' writes to one account cost the rest of a batch one more envelope, and no
/// command its budget; the account's own commands commit when the other clients stop.
#[tokio::test]
async fn a_conflict_isolates_the_account_that_it_is_about() {
    let mut desk = Desk::with_real_budgets().await;
    let people = crowd(&desk.chain, 0, 64).await;
    let ids = desk.enqueue_creations(&people).await;
    let hot = people[40].id.to_string();
    let faults = desk.chain.devnet.faults();
    faults.spoil_what_holds(&hot, TxValidationCode::MvccReadConflict);
    desk.work_until(async |desk| committed(desk).await == 63).await;
    assert!(envelopes(&desk).await < 24, "{}", envelopes(&desk).await);
    let charged = r#"SELECT count(*) FROM "OutboxCommand" WHERE failures <> '{}'"#;
    assert!(["0", "1"].contains(&desk.chain.one(charged).await.as_str()));
    faults.clear();
    desk.work_until(async |desk| desk.status(ids[40]).await == "COMMITTED").await;
}
