//! Several submitters at once, and leases that end.

use std::time::Duration;

use gx_db::TxId;
use gx_model::SignerRole;
use gx_outbox::submitter::{
    BatchLimits, Marks, NewAttempt, Purpose, StoreRefusal, due_commands, form_batches, lease,
    release, renew, start_try, store_attempt,
};
use gx_submitter::{SettingsError, Submitter, SubmitterSettings};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::chain::{BOUND, create, grant, limits};
use crate::desk::{Desk, parts, settings, submitter};

/// OUT-05: with four submitters, a slow ledger and 200 commands, each command takes effect once.
#[tokio::test]
async fn four_submitters_send_each_of_200_commands_once() {
    let mut desk = Desk::open().await;
    for n in 0..100 {
        let person = desk.chain.person(n).await;
        desk.enqueue_for(&person, &create(&person)).await;
        desk.enqueue_for(&person, &grant(&person)).await;
    }
    desk.chain.devnet.faults().delay_endorsements(Duration::from_millis(40));
    let workers: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .map(|name| {
            let few = SubmitterSettings { lanes: 12, batch_commands: 25, ..settings(name) };
            let mut worker = submitter(&desk.chain, few);
            tokio::spawn(async move {
                loop {
                    worker.step().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    let open = r#"SELECT count(*) FROM "OutboxCommand" WHERE status <> 'COMMITTED'"#;
    let all = async {
        while desk.chain.one(open).await != "0" {
            desk.projector.step(Duration::from_millis(5)).await.unwrap();
        }
    };
    let in_time = tokio::time::timeout(BOUND, all).await;
    assert!(in_time.is_ok(), "{} commands are not committed", desk.chain.one(open).await);
    for worker in workers {
        assert!(!worker.is_finished(), "a submitter failed");
        worker.abort();
    }
    assert_eq!(desk.effects("UserCreated").await, (100, 100));
    assert_eq!(desk.effects("GenesisDistributed").await, (100, 100));
    let carried = r#"SELECT count(*) FROM "LedgerAttempt" a, unnest(a."commandIds")
                     WHERE a.state = 'VALID'"#;
    assert_eq!(desk.chain.one(carried).await, "200");
    let owners = r#"SELECT count(*) > 1 FROM "LedgerAttempt" WHERE state = 'VALID'"#;
    assert_eq!(desk.chain.one(owners).await, "true");
    assert_eq!(desk.chain.total().await, gx_model::Qirat::SUPPLY.to_string());
}

/// OUT-05: a lease that is not longer than the ledger's timeouts fails the start with a message
/// that says what to set.
#[tokio::test]
async fn a_lease_below_the_timeouts_is_refused_at_the_start() {
    let desk = Desk::open().await;
    let needed = limits().endorse_timeout + limits().submit_timeout;
    let needed_ms = u64::try_from(needed.as_millis()).unwrap();
    let with = |lease_ms| {
        let settings = SubmitterSettings { lease_ms, ..settings("one") };
        Submitter::new(parts(&desk.chain), settings, StdRng::seed_from_u64(1)).map(drop)
    };
    let error = with(needed_ms).unwrap_err();
    assert!(matches!(error, SettingsError::LeaseTooShort { .. }));
    let said = format!("GX_SUBMITTER_LEASE_MS is {needed_ms}");
    assert!(error.to_string().contains(&said), "{error}");
    assert_eq!(with(needed_ms + 1), Ok(()));
}

/// OUT-05: a submitter that lost a lane cannot store what it signed; the new holder can.
#[tokio::test]
async fn a_stale_owner_cannot_complete_a_command() {
    let desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    desk.enqueue_for(&person, &create(&person)).await;
    let mut conn = desk.conn().await;
    let now = desk.chain.clock.now();
    let soon = now + Duration::from_secs(1);
    let mut stale = lease(&mut conn, "slow", 63, now, soon).await.unwrap();
    assert_eq!(stale.len(), 1);
    // While the lease lasts, no other submitter gets the lane.
    let refused = lease(&mut conn, "other", 63, now, soon).await.unwrap();
    assert!(refused.is_empty());
    let fresh = lease(&mut conn, "other", 63, soon, soon + BOUND).await.unwrap();
    assert_eq!(fresh.len(), 1);

    let clock = gx_model::Clock::manual(soon);
    let due = due_commands(&mut conn, &stale, &mut Marks::default(), &clock, 10).await;
    let due = due.unwrap();
    let batches = form_batches(due, &Default::default(), BatchLimits::default(), 1);
    let batch = &batches[0];
    let (ids, after, touches) = (batch.ids(), batch.after(), batch.touches());
    let [tx1, tx2, tx3, tx4] = ["tx1", "tx2", "tx3", "tx4"].map(|id| TxId::from(id.to_owned()));
    let attempt = |tx_id| NewAttempt {
        tx_id,
        purpose: Purpose::Execute,
        signer: SignerRole::Admin,
        genesis_hash: b"genesis",
        envelope: b"envelope",
        command_ids: &ids,
        after: &after,
        touches: &touches,
    };
    let mut late = start_try(&mut conn, batch, soon).await.unwrap();
    assert!(!renew(&mut conn, &mut stale, soon + BOUND).await.unwrap());
    let stored = store_attempt(&mut conn, &stale, &mut late, attempt(&tx1), soon, soon);
    assert_eq!(stored.await.unwrap(), Err(StoreRefusal::LeaseLost));
    let mut tried = start_try(&mut conn, batch, soon).await.unwrap();
    let stored = store_attempt(&mut conn, &fresh, &mut tried, attempt(&tx2), soon, soon);
    assert_eq!(stored.await.unwrap(), Ok(()));
    // The try ended with the envelope, and no other command can be sent while that is open.
    let ended = store_attempt(&mut conn, &fresh, &mut tried, attempt(&tx3), soon, soon);
    assert_eq!(ended.await.unwrap(), Err(StoreRefusal::LeaseLost));
    let mut again = start_try(&mut conn, batch, soon).await.unwrap();
    let stored = store_attempt(&mut conn, &fresh, &mut again, attempt(&tx4), soon, soon);
    assert_eq!(stored.await.unwrap(), Err(StoreRefusal::Overlap));
}

/// Neither a lane that was released nor a new command waits for a clock that is behind.
#[tokio::test]
async fn clocks_that_differ_hold_back_no_command() {
    let desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let mut conn = desk.conn().await;
    let now = desk.chain.clock.now();
    let (ahead, soon) = (now + Duration::from_secs(3_600), now + Duration::from_secs(1));
    let new = gx_outbox::enqueue::NewCommand {
        command_id: crate::chain::fresh_id(),
        command: &create(&person),
        profile_id: None,
        requested_by: "a test",
        request_id: None,
    };
    gx_outbox::enqueue::enqueue(&mut conn, new, ahead).await.unwrap();
    let leased = lease(&mut conn, "ahead", 63, ahead, ahead + BOUND).await.unwrap();
    assert_eq!(leased.len(), 1);
    release(&mut conn, &leased, ahead).await.unwrap();
    let leased = lease(&mut conn, "behind", 63, now, soon).await.unwrap();
    assert_eq!(leased.len(), 1);
    let clock = gx_model::Clock::manual(now);
    let due = due_commands(&mut conn, &leased, &mut Marks::default(), &clock, 10).await;
    assert_eq!(due.unwrap().len(), 1);
}

/// RDY-07: lanes that could not be released are free at the next step, not only when their lease
/// ends.
#[tokio::test]
async fn lanes_that_were_not_released_are_freed_by_the_next_step() {
    let mut desk = Desk::open().await;
    let few = SubmitterSettings { lanes: 12, ..settings("one") };
    desk.submitter = submitter(&desk.chain, few);
    let person = desk.chain.person(1).await;
    let created = desk.enqueue_for(&person, &create(&person)).await;
    desk.chain
        .sql(
            r#"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$;
               CREATE TRIGGER broken BEFORE UPDATE ON "OutboxLane" FOR EACH ROW
                   WHEN (NEW.owner IS NULL) EXECUTE FUNCTION broken()"#,
        )
        .await;
    desk.submitter.step().await.unwrap_err();
    assert_eq!(desk.status(created).await, "SUBMITTED");
    let leased = r#"SELECT count(*) FROM "OutboxLane" WHERE owner IS NOT NULL"#;
    assert_eq!(desk.chain.one(leased).await, "1");
    desk.chain.sql(r#"DROP TRIGGER broken ON "OutboxLane""#).await;
    desk.submitter.step().await.unwrap();
    assert_eq!(desk.chain.one(leased).await, "0");
}

/// OUT-05: the first of two equal submitters keeps every lane and renews the lease; the other one
/// is a standby, takes over when the lease has ended, and is not disturbed by the first.
#[tokio::test]
async fn a_second_submitter_is_a_standby_until_the_first_is_gone() {
    let desk = Desk::open().await;
    let owners = r#"SELECT string_agg(DISTINCT owner, ',') FROM "OutboxLane""#;
    let clock = gx_model::Clock::manual(desk.chain.clock.now());
    let by = |name| {
        let parts = gx_submitter::SubmitterContext { clock: clock.clone(), ..parts(&desk.chain) };
        Submitter::new(parts, settings(name), StdRng::seed_from_u64(1)).unwrap()
    };
    let (mut first, mut second) = (by("first"), by("second"));
    first.step().await.unwrap();
    second.step().await.unwrap();
    assert_eq!(desk.chain.one(owners).await, "first");
    for _ in 0..5 {
        clock.advance(Duration::from_secs(15));
        first.step().await.unwrap();
        second.step().await.unwrap();
        assert_eq!(desk.chain.one(owners).await, "first");
    }
    clock.advance(Duration::from_secs(21));
    second.step().await.unwrap();
    assert_eq!(desk.chain.one(owners).await, "second");
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    // The first assumes that it still has its lease; what it signs is not stored.
    first.step().await.unwrap();
    assert_eq!(desk.status(id).await, "PENDING");
    second.step().await.unwrap();
    assert_eq!(desk.status(id).await, "SUBMITTED");
    assert_eq!(desk.column(id, "attempts").await, "1");
    assert_eq!(desk.chain.one(owners).await, "second");
}
