//! Transactions that fail because of another transaction, and a very large block.

use gx_model::{Qirat, SignerRole};
use gx_testkit::eventually;

use super::signs::{Sign, Worker};
use super::world::{World, enqueue, fresh_id};
use super::{Fault, Network, on_both_ledgers};
use crate::stack::BOUND;

/// gRPC's default limit of a message.
const USUAL_LIMIT_BYTES: usize = 4 * 1024 * 1024;

on_both_ledgers! {
    /// FAB-07: another client's transaction changes a key that ours has read: ours is in a block
    /// with MVCC_READ_CONFLICT, and a new proposal commits.
    #[test]
    async fn a_read_conflict_is_retried(network) {
        let mut world = World::start(network).await;
        let rival = world.direct.endorse(&world.payment(0)).await;
        world.network.begin(Fault::OrdererDown).await;
        world.enqueue(&world.payment(0)).await;
        world.wait_until_true(r#"SELECT EXISTS (SELECT FROM "LedgerAttempt" WHERE state = 'OPEN')"#).await;

        world.submitter.signal("STOP");
        world.network.end(Fault::OrdererDown).await;
        world.direct.commit(&rival).await;
        world.submitter.signal("CONT");
        world.wait_until_settled(N::PROMPT).await;

        let codes = r#"SELECT string_agg("validationCode", ', ' ORDER BY "createdAt")
                       FROM (SELECT * FROM "LedgerAttempt" ORDER BY "createdAt" DESC LIMIT 2) a"#;
        assert_eq!(world.query_one::<String>(codes.to_owned()).await, "MVCC_READ_CONFLICT, VALID");
        world
            .wait_for_sign(Sign::Trace {
                of: Worker::Projector,
                check: "projection",
                holds: "/value/lastInvalid",
                counter: "gx_invalid_transactions_total",
            })
            .await;
        assert_paid_twice(&world).await;
    }

    /// Endorsers with different states answer differently, which is a conflict, too; a new proposal
    /// commits.
    #[test]
    async fn endorsements_that_differ_are_retried(network) {
        let mut world = World::start(network).await;
        let change = world.direct.endorse(&world.payment(0)).await;
        let (pool, second) = (world.database.pool().clone(), world.payment(0));
        let World { network, .. } = &mut world;
        network
            .answer_differently(&change, async || {
                let id = enqueue(&pool, &second).await;
                let sql = r#"SELECT attempts > 0 OR EXISTS (
                        SELECT FROM "OutboxTry" WHERE $1 = ANY ("commandIds"))
                    FROM "OutboxCommand" WHERE "commandId" = $1"#;
                eventually("the command is being tried", BOUND, async || {
                    let tried: bool = sqlx::query_scalar(sql)
                        .bind(id.to_string())
                        .fetch_one(&pool)
                        .await
                        .unwrap();
                    tried.then_some(())
                })
                .await;
            })
            .await;
        world.wait_until_settled(N::PROMPT).await;

        let seen = world.check(Worker::Submitter, "submission").await;
        let message = seen["value"]["lastFailure"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("ProposalResponsePayloads do not match"), "{seen}");
        world
            .wait_for_sign(Sign::Trace {
                of: Worker::Submitter,
                check: "submission",
                holds: "/value/lastFailure",
                counter: "gx_submitter_failures_total",
            })
            .await;
        assert_paid_twice(&world).await;
    }

    /// A block above gRPC's default limit is endorsed, ordered, delivered and applied, also after a
    /// restart.
    #[test]
    async fn a_large_block_is_applied(network) {
        let mut world = World::start(network).await;
        let ids = format!("[\"{}\"]", fresh_id());
        let padding = " ".repeat(USUAL_LIMIT_BYTES + 500_000);
        let args = [ids + &padding, fresh_id().to_string()];
        let signer = world.direct.signer(SignerRole::Admin);
        let large = world.direct.ledger.endorse(signer, "BatchContract:Cancel", &args).await;
        let large = large.unwrap();
        assert!(large.envelope.len() > USUAL_LIMIT_BYTES);
        world.direct.commit(&large).await;
        world.enqueue(&world.payment(0)).await;
        world.wait_until_settled(N::PROMPT).await;

        world.projector.kill_and_restart().await;
        world.enqueue(&world.payment(1)).await;
        world.wait_until_settled(N::PROMPT).await;
        world.assert_paid_once(2).await;
        world.wait_until_ready().await;
    }

    /// OUT-06: an envelope that is submitted twice takes effect once.
    #[test]
    async fn an_envelope_that_is_submitted_twice_takes_effect_once(network) {
        let world = World::start(network).await;
        let payment = world.direct.endorse(&world.payment(0)).await;
        world.direct.commit(&payment).await;
        world.direct.ledger.submit(&payment.tx_id, &payment.envelope).await.unwrap();
        world.enqueue(&world.payment(1)).await;
        world.wait_until_settled(N::PROMPT).await;
        world.assert_paid_once(2).await;
    }
}

/// Checks that the first person has paid the second one twice: by another client and by the worker.
async fn assert_paid_twice<N: Network>(world: &World<N>) {
    world.assert_balance(&world.people[0], Qirat::gx(498)).await;
    world.assert_balance(&world.people[1], Qirat::gx(502)).await;
    world.assert_whole_supply().await;
    world.wait_until_ready().await;
}
