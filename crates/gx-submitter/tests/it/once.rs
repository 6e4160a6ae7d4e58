//! A command takes effect once, whatever happens to envelopes and replies.

use gx_model::{BatchCommand, Command};
use sqlx::Row;

use crate::chain::{Chain, create, grant};
use crate::desk::Desk;

async fn attempts(desk: &Desk) -> Vec<(String, i32)> {
    let sql = r#"SELECT state, sends FROM "LedgerAttempt" ORDER BY "createdAt""#;
    let rows = sqlx::query(sql).fetch_all(desk.chain.db.pool()).await.unwrap();
    rows.into_iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// OUT-06, G2: the ledger commits and the reply is lost; the transaction id was stored before, and
/// the command ends COMMITTED with exactly one effect.
#[tokio::test]
async fn a_lost_reply_costs_nothing() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().drop_submit_replies(1);
    desk.submitter.step().await.unwrap();
    let recorded = r#"SELECT count(*) FROM "OutboxCommand" c JOIN "LedgerAttempt" a
                      ON c."txId" = a."txId" WHERE c.status = 'SUBMITTED'"#;
    assert_eq!(desk.chain.one(recorded).await, "1");
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.effects("UserCreated").await, (1, 1));
    assert_eq!(attempts(&desk).await.len(), 1);
}

/// OUT-06: the reply never comes; the same bytes are sent again until a block has them.
#[tokio::test]
async fn a_reply_that_never_comes_is_not_a_failure() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().withhold_submit_replies(1);
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.effects("UserCreated").await, (1, 1));
}

/// G2: an envelope that was acknowledged and then lost is sent again, the same bytes.
#[tokio::test]
async fn an_acknowledged_and_forgotten_envelope_is_sent_again() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().discard_submits(2);
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(attempts(&desk).await, [("VALID".to_owned(), 3)]);
    assert_eq!(desk.effects("UserCreated").await, (1, 1));
}

/// G2: an envelope that is in the chain twice counts once, and its second transaction does not undo
/// the first.
#[tokio::test]
async fn a_duplicate_envelope_changes_nothing() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    desk.drain().await;
    let rows = desk.chain.rows().await;
    let sql = r#"SELECT "txId", envelope FROM "LedgerAttempt""#;
    let row = sqlx::query(sql).fetch_one(desk.chain.db.pool()).await.unwrap();
    let height = desk.chain.height().await;
    desk.chain.ledger.submit(row.get(0), row.get(1)).await.unwrap();
    while desk.chain.height().await == height {
        tokio::task::yield_now().await;
    }
    desk.chain.catch_up(&mut desk.projector).await;
    // Only the checkpoint moved.
    assert_eq!(desk.chain.rows().await[..9], rows[..9]);
    assert_eq!(desk.status(created).await, "COMMITTED");
    assert_eq!(desk.status(granted).await, "COMMITTED");
    assert_eq!(attempts(&desk).await[0].0, "VALID");
}

/// G2: a database restored from a backup learns from the chain what was done: the submitter waits
/// for the projector and then finds nothing to do.
#[tokio::test]
async fn a_restored_database_learns_before_it_sends() {
    let chain = Chain::bootstrapped().await;
    let mut desk = Desk::at(chain).await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    // The chain already has the command; the restored row does not say so.
    desk.chain.execute_batch(&[BatchCommand::new(id, &create(&person))]).await;
    let waiting = desk.submitter.step().await.unwrap();
    assert!(matches!(waiting, gx_submitter::Progress::Waiting { .. }), "{waiting:?}");
    assert_eq!(desk.column(id, "attempts").await, "0");
    desk.drain().await;
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert!(attempts(&desk).await.is_empty());
}

/// G2: an id that the chain has with the same content settles as the first time, and with other
/// content is refused.
#[tokio::test]
async fn a_known_id_settles_as_the_first_time() {
    let mut desk = Desk::open().await;
    let (a, b) = (desk.chain.person(1).await, desk.chain.person(2).await);
    let (same, other) = (crate::chain::fresh_id(), crate::chain::fresh_id());
    let batch = [BatchCommand::new(same, &create(&a)), BatchCommand::new(other, &create(&b))];
    let first = desk.chain.execute_batch(&batch).await;
    desk.chain.catch_up(&mut desk.projector).await;
    desk.enqueue_as(same, &create(&a), None).await;
    desk.enqueue_as(other, &grant(&b), None).await;
    desk.drain().await;
    assert_eq!(desk.status(same).await, "COMMITTED");
    assert_eq!(desk.column(same, "txId").await, first);
    assert_eq!(desk.status(other).await, "REFUSED");
    assert_eq!(desk.outcome(other).await["status"], "MISMATCH");
    assert_eq!(desk.effects("GenesisDistributed").await, (0, 0));
}

/// An envelope that the orderer refuses for good and that no block has is abandoned, and its
/// command goes into a new one.
#[tokio::test]
async fn an_envelope_refused_for_good_is_abandoned_and_its_command_sent_again() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().discard_submits(1);
    desk.submitter.step().await.unwrap();
    // The stored signature is damaged, so no orderer will accept these bytes.
    desk.chain
        .sql(
            r#"UPDATE "LedgerAttempt" SET envelope =
               set_byte(envelope, length(envelope) - 1, 255 - get_byte(envelope, length(envelope) - 1))"#,
        )
        .await;
    desk.drain().await;
    let states: Vec<_> = attempts(&desk).await.into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["ABANDONED", "VALID"]);
    assert_eq!(desk.status(id).await, "COMMITTED");
    assert_eq!(desk.effects("UserCreated").await, (1, 1));
}

/// A ledger with another block 0 is rejected with a message that says so, before anything is sent.
#[tokio::test]
async fn another_ledger_gets_nothing() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    desk.enqueue_for(&person, &create(&person)).await;
    desk.chain
        .sql(r#"UPDATE "ProjectorState" SET "genesisHash" = decode(repeat('ab', 32), 'hex')"#)
        .await;
    let error = desk.submitter.step().await.unwrap_err();
    let gx_submitter::SubmitterError::Halted(halt) = error else { panic!("{error:?}") };
    assert!(halt.to_string().contains("another chain: block 0"), "{halt}");
}

/// Envelopes that were signed for another chain are never sent to this one.
#[tokio::test]
async fn envelopes_of_another_chain_stop_the_submitter_by_name() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    desk.enqueue_for(&person, &create(&person)).await;
    desk.chain.devnet.faults().discard_submits(1);
    desk.submitter.step().await.unwrap();
    desk.chain.sql(r#"UPDATE "LedgerAttempt" SET "genesisHash" = 'another'"#).await;
    let settings = crate::desk::settings("one");
    let mut restarted = crate::desk::submitter(&desk.chain, settings);
    let error = restarted.step().await.unwrap_err();
    let gx_submitter::SubmitterError::Halted(halt) = error else { panic!("{error:?}") };
    assert!(halt.to_string().contains("signed for another chain"), "{halt}");
}

/// FAB-13: two concurrent grants for one person pay one, also if two callers request them.
#[tokio::test]
async fn a_concurrent_double_grant_gives_one() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    desk.chain.execute(&[create(&person)]).await;
    let double = |_| BatchCommand::new(crate::chain::fresh_id(), &grant(&person));
    let (one, other) = (double(1), double(2));
    // Both are endorsed on the state without a grant.
    let (first, first_bytes) = desk.chain.endorse(&[one]).await;
    let (second, second_bytes) = desk.chain.endorse(&[other]).await;
    desk.chain.ledger.submit(&first, &first_bytes).await.unwrap();
    desk.chain.ledger.submit(&second, &second_bytes).await.unwrap();
    let signer = &desk.chain.super_admin;
    let first = desk.chain.ledger.commit_status(signer, &first).await.unwrap();
    let second = desk.chain.ledger.commit_status(signer, &second).await.unwrap();
    assert!(first.code.is_valid() && second.code.is_conflict(), "{} {}", first.code, second.code);
    // The outbox requests two more.
    desk.chain.catch_up(&mut desk.projector).await;
    let asked: [Command; 2] = [grant(&person), grant(&person)];
    let (a, b) = (desk.enqueue(&asked[0]).await, desk.enqueue(&asked[1]).await);
    desk.drain().await;
    for id in [a, b] {
        assert_eq!(desk.status(id).await, "REFUSED");
        assert_eq!(desk.outcome(id).await["rejection"]["code"], "GENESIS_DONE");
    }
    let balance = r#"SELECT balance FROM "Wallet" WHERE kind = 'USER'"#;
    assert_eq!(desk.chain.one(balance).await, "500000000");
    assert_eq!(desk.chain.one(r#"SELECT count(*) FROM "Transaction""#).await, "1");
}

/// G2: a ledger that lost blocks and continued differently has the same block 0; it is rejected
/// because of the checkpoint's block.
#[tokio::test]
async fn a_ledger_that_continued_differently_gets_nothing() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain
        .sql(r#"UPDATE "ProjectorState" SET "blockHash" = decode(repeat('ab', 32), 'hex')"#)
        .await;
    let error = desk.submitter.step().await.unwrap_err();
    let gx_submitter::SubmitterError::Halted(halt) = error else { panic!("{error:?}") };
    assert!(halt.to_string().contains("another chain: block 1"), "{halt}");
    assert_eq!(desk.column(id, "attempts").await, "0");
}
