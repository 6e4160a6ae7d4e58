//! Transactions that are not valid, or not endorsed, through nobody's fault, and one that is
//! larger than most.

use std::time::Duration;

use gx_model::{Qirat, SignerRole};
use gx_testkit::eventually;

use super::signs::{Sign, Worker};
use super::world::{World, fresh_id, want};
use super::{Fault, Network, on_both_ledgers};
use crate::stack::BOUND;

/// A retried command is done this soon.
const RETRIED_WITHIN: Duration = Duration::from_secs(10);
/// What one end must be told to accept: gRPC's usual limit.
const USUAL_LIMIT_BYTES: usize = 4 * 1024 * 1024;

on_both_ledgers! {
    /// FAB-07: somebody else's transaction changes what ours has read: it is in its block with
    /// its code, and a new proposal commits.
    #[test]
    async fn a_read_conflict_is_retried(network) {
        let mut world = World::start(network).await;
        let rival = world.direct.endorse(&world.payment(0)).await;
        world.network.begin(Fault::OrdererDown).await;
        world.want(&world.payment(0)).await;
        world.is_true(r#"SELECT EXISTS (SELECT FROM "LedgerAttempt" WHERE state = 'OPEN')"#).await;

        world.submitter.signal("STOP");
        world.network.end(Fault::OrdererDown).await;
        world.direct.commit(&rival).await;
        world.submitter.signal("CONT");
        world.settled(RETRIED_WITHIN).await;

        let codes = r#"SELECT string_agg("validationCode", ', ' ORDER BY "createdAt")
                       FROM (SELECT * FROM "LedgerAttempt" ORDER BY "createdAt" DESC LIMIT 2) a"#;
        assert_eq!(world.one::<String>(codes.to_owned()).await, "MVCC_READ_CONFLICT, VALID");
        world
            .shows(Sign::Trace {
                of: Worker::Projector,
                check: "projection",
                holds: "/value/lastInvalid",
                counter: "gx_invalid_transactions_total",
            })
            .await;
        paid_twice(&world).await;
    }

    /// Endorsers whose states differ answer differently: that is a conflict too, and a new
    /// proposal commits.
    #[test]
    async fn endorsements_that_differ_are_retried(network) {
        let mut world = World::start(network).await;
        let change = world.direct.endorse(&world.payment(0)).await;
        let (pool, second) = (world.database.pool().clone(), world.payment(0));
        let World { network, .. } = &mut world;
        network
            .answer_differently(&change, async || {
                let id = want(&pool, &second).await;
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
        world.settled(RETRIED_WITHIN).await;

        let seen = world.check(Worker::Submitter, "submission").await;
        let message = seen["value"]["lastFailure"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("ProposalResponsePayloads do not match"), "{seen}");
        world
            .shows(Sign::Trace {
                of: Worker::Submitter,
                check: "submission",
                holds: "/value/lastFailure",
                counter: "gx_submitter_failures_total",
            })
            .await;
        paid_twice(&world).await;
    }

    /// A block that is larger than gRPC's usual limit is endorsed, ordered, delivered and
    /// applied, and read again after a restart.
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
        world.want(&world.payment(0)).await;
        world.settled(RETRIED_WITHIN).await;

        world.projector.kill_and_restart().await;
        world.want(&world.payment(1)).await;
        world.settled(RETRIED_WITHIN).await;
        world.paid_once(2).await;
        world.is_well().await;
    }

    /// OUT-06: an envelope that is handed in again and again takes effect once.
    #[test]
    async fn an_envelope_handed_in_twice_takes_effect_once(network) {
        let world = World::start(network).await;
        let payment = world.direct.endorse(&world.payment(0)).await;
        world.direct.commit(&payment).await;
        world.direct.ledger.submit(&payment.tx_id, &payment.envelope).await.unwrap();
        world.want(&world.payment(1)).await;
        world.settled(RETRIED_WITHIN).await;
        world.paid_once(2).await;
    }
}

/// The rival and the worker have each paid from the first person to the second.
async fn paid_twice<N: Network>(world: &World<N>) {
    world.holds(&world.people[0], Qirat::gx(498)).await;
    world.holds(&world.people[1], Qirat::gx(502)).await;
    world.supply_is_whole().await;
    world.is_well().await;
}
