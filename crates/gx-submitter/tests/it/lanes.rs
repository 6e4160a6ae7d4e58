//! Several submitters at once, and leases that end.

use std::time::Duration;

use gx_outbox::{BatchLimits, NewAttempt, Purpose, StoreRefusal};
use gx_submitter::{SettingsError, Submitter, SubmitterSettings};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::chain::{BOUND, create, grant, limits};
use crate::desk::{Desk, parts, settings, submitter};

/// OUT-05: four submitters, a slow ledger and 200 commands: each has exactly one effect.
#[tokio::test]
async fn four_submitters_send_each_of_200_commands_once() {
    let mut desk = Desk::open().await;
    for n in 0..100 {
        let person = desk.chain.person(n).await;
        desk.enqueue_for(&person, &create(&person)).await;
        desk.enqueue_for(&person, &grant(&person)).await;
    }
    desk.chain.devnet.faults().slow_endorsements(Duration::from_millis(40));
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

/// OUT-05: a lease that does not exceed what the ledger is given fails the start and says
/// what to set.
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
    assert!(error.to_string().contains("GX_SUBMITTER_LEASE_MS is 9000"), "{error}");
    assert_eq!(with(needed_ms + 1), Ok(()));
}

/// OUT-05: whoever lost a lane cannot store what it signed; the new holder can.
#[tokio::test]
async fn a_stale_owner_cannot_complete_a_command() {
    let desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    desk.enqueue_for(&person, &create(&person)).await;
    let mut conn = desk.conn().await;
    let now = desk.chain.clock.now();
    let soon = now + Duration::from_secs(1);
    let stale = gx_outbox::lease(&mut conn, "slow", 64, now, soon).await.unwrap();
    assert_eq!(stale.len(), 1);
    // While the lease lasts nobody else gets the lane.
    let refused = gx_outbox::lease(&mut conn, "other", 64, now, soon).await.unwrap();
    assert!(refused.is_empty());
    let fresh = gx_outbox::lease(&mut conn, "other", 64, soon, soon + BOUND).await.unwrap();
    assert_eq!(fresh.len(), 1);

    let due = gx_outbox::due_commands(&mut conn, &stale, soon, 10).await.unwrap();
    let batch = gx_outbox::form(due, &Default::default(), BatchLimits::default()).unwrap();
    let (ids, touches) = (batch.ids(), batch.touches());
    let attempt = |tx_id| NewAttempt {
        tx_id,
        purpose: Purpose::Execute,
        genesis_hash: b"genesis",
        envelope: b"envelope",
        command_ids: &ids,
        touches: &touches,
    };
    assert!(!gx_outbox::start(&mut conn, &stale, &ids, soon).await.unwrap());
    assert!(!gx_outbox::renew(&mut conn, &stale, soon + BOUND).await.unwrap());
    let stored =
        gx_outbox::store_attempt(&mut conn, &stale, attempt("tx1"), soon, soon).await.unwrap();
    assert_eq!(stored, Err(StoreRefusal::LeaseLost));
    let stored =
        gx_outbox::store_attempt(&mut conn, &fresh, attempt("tx2"), soon, soon).await.unwrap();
    assert_eq!(stored, Ok(()));
    let again =
        gx_outbox::store_attempt(&mut conn, &fresh, attempt("tx3"), soon, soon).await.unwrap();
    assert_eq!(again, Err(StoreRefusal::Overlap));
}

/// Neither a lane that was given back nor a new command waits for a clock that is behind.
#[tokio::test]
async fn clocks_that_differ_keep_nothing_back() {
    let desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let mut conn = desk.conn().await;
    let now = desk.chain.clock.now();
    let (ahead, soon) = (now + Duration::from_secs(3_600), now + Duration::from_secs(1));
    let new = gx_outbox::NewCommand {
        command_id: crate::chain::fresh_id(),
        command: &create(&person),
        profile_id: None,
        requested_by: "a test",
        request_id: None,
    };
    gx_outbox::enqueue(&mut conn, new, ahead).await.unwrap();
    let lease = gx_outbox::lease(&mut conn, "ahead", 64, ahead, ahead + BOUND).await.unwrap();
    assert_eq!(lease.len(), 1);
    gx_outbox::release(&mut conn, &lease, ahead).await.unwrap();
    let lease = gx_outbox::lease(&mut conn, "behind", 64, now, soon).await.unwrap();
    assert_eq!(lease.len(), 1);
    assert_eq!(gx_outbox::due_commands(&mut conn, &lease, now, 10).await.unwrap().len(), 1);
}

/// RDY-07: lanes that could not be given back are free with the next step, not only when
/// their lease ends.
#[tokio::test]
async fn lanes_that_were_not_given_back_are_freed_by_the_next_step() {
    let mut desk = Desk::open().await;
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
