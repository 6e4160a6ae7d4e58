//! The same chain makes the same rows, however often and from whichever block it is read.

use gx_model::{BatchEvent, DomainEvent, EventRecord, UnreadableEvent};
use gx_projector::{Progress, Selection, replay_dead};
use serde_json::json;

use crate::chain::{BOUND, CHANNEL, Chain, create, grant, mixed_workload, transfer};
use crate::handmade::applied;

const FORGET_CHECKPOINT: &str = r#"DELETE FROM "ProjectorState""#;

/// PRJ-08: replaying the whole ledger twice over live tables changes nothing.
#[tokio::test]
async fn replaying_the_ledger_over_live_rows_changes_nothing() {
    let chain = Chain::bootstrapped().await;
    mixed_workload(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let rows = chain.rows().await;
    for _ in 0..2 {
        chain.sql(FORGET_CHECKPOINT).await;
        chain.catch_up(&mut chain.projector()).await;
        assert_eq!(chain.rows().await, rows);
    }
}

/// G3: replaying all blocks into an empty read model makes the rows of the live one, including ids
/// and milliseconds.
#[tokio::test]
async fn a_rebuilt_read_model_equals_the_live_one() {
    let chain = Chain::bootstrapped().await;
    let mut live = chain.projector();
    mixed_workload(&chain).await;
    chain.catch_up(&mut live).await;
    let rows = chain.rows().await;
    live.stop();
    chain
        .sql(
            r#"TRUNCATE "EventLog", "EventDLQ", "LedgerSystem", "LedgerPool", "LedgerPoolMove",
                        "LedgerCountry", "LedgerUser", "Wallet", "Transaction", "ProjectorState";
               ALTER TABLE "UserProfile" DISABLE TRIGGER "UserProfile_status_transition";
               UPDATE "UserProfile" SET status = 'APPROVED_PENDING_ONCHAIN',
                   "onchainStatus" = 'PENDING', "fabricUserId" = NULL,
                   "onchainRegisteredAt" = NULL, "lastSyncedAt" = NULL;
               ALTER TABLE "UserProfile" ENABLE TRIGGER "UserProfile_status_transition""#,
        )
        .await;
    chain.catch_up(&mut chain.projector()).await;
    assert_eq!(chain.rows().await, rows);
}

/// Reads an event whose data has another name.
fn corrected(record: &EventRecord) -> Result<DomainEvent, UnreadableEvent> {
    let mut json = record.json().clone();
    if let Some(data) = json.as_object_mut().and_then(|event| event.remove("payload")) {
        json["data"] = data;
    }
    EventRecord::from_json(json).decode()
}

/// PRJ-08: a dead letter that was replayed stays applied, and holds back nothing, when the ledger
/// is replayed by a release that cannot read it.
#[tokio::test]
async fn a_replayed_dead_letter_is_not_held_again() {
    let chain = Chain::bootstrapped().await;
    let person = chain.person(1).await;
    let id = person.id.to_string();
    let misnamed = json!({ "name": "UserCreated", "version": 1, "aggregates": [id],
        "payload": { "userId": id, "nationality": "MY" } });
    let said = serde_json::to_vec(&applied(1, &[misnamed])).unwrap();
    chain.devnet.faults().replace_next_event(BatchEvent::NAME, &said);
    chain.execute(&[create(&person)]).await;
    chain.execute(&[grant(&person)]).await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let mut conn = chain.db.connection().await;
    let now = chain.clock.now();
    let report = replay_dead(&mut conn, CHANNEL, Selection::All, corrected, now).await.unwrap();
    assert_eq!((report.replayed_count, report.still_held_count), (2, 0), "{report:?}");
    let rows = chain.rows().await;

    projector.stop();
    chain.sql(FORGET_CHECKPOINT).await;
    let mut projector = chain.projector();
    let last = Some(chain.height().await - 1);
    while chain.checkpoint().await != last {
        if let Progress::Applied(applied) = projector.step(BOUND).await.unwrap() {
            assert_eq!((applied.events, applied.held), (0, vec![]));
        }
    }
    assert_eq!(chain.rows().await, rows);
    chain.execute(&[transfer(&id, "SYSTEM_LOAN_POOL", 3)]).await;
    assert_eq!(chain.apply_one(&mut projector).await.held, []);
}
