//! Which failures open a circuit breaker, and how workers start while their peer is down.

use gx_fabric_client::{Breaker, LedgerError};
use gx_model::{Command, Qirat, SignerRole};
use gx_testkit::eventually;

use super::world::{World, fresh_id};
use super::{Direct, Fault, Network, on_both_ledgers};
use crate::stack::BOUND;

/// Number of refused commands: more than the failures that open a breaker.
const REFUSALS: usize = 10;
/// Amount of each of these commands; nobody holds as much.
const TOO_MUCH_GX: i64 = 10_000;

on_both_ledgers! {
    /// OUT-10, FAB-06: ten refused commands are tried once each, have the reason in their rows, and
    /// do not open the breaker; a peer that is down opens it for queries and for submissions.
    #[test]
    async fn only_an_absent_peer_opens_the_breaker(network) {
        let mut world = World::start(network).await;
        for n in 0..REFUSALS {
            world.enqueue(&too_much(&world, n)).await;
        }
        world.wait_until_true(r#"SELECT count(*) = 10 FROM "OutboxCommand" WHERE status = 'REFUSED'"#).await;
        let records = r#"SELECT count(*) FROM "OutboxCommand"
                         WHERE attempts = 1 AND outcome::text LIKE '%INSUFFICIENT_BALANCE%'"#;
        assert_eq!(world.query_one::<i64>(records.to_owned()).await, 10);

        let direct = world.direct.clone();
        let signer = direct.signer(SignerRole::Admin);
        for n in 0..REFUSALS {
            let call = too_much(&world, n).call();
            let args = [&call.args[..], &[fresh_id().to_string()]].concat();
            let refusal = direct.ledger.endorse(signer, &call.function, &args).await.unwrap_err();
            assert!(refusal.to_string().contains("INSUFFICIENT_BALANCE"), "{refusal}");
        }
        assert_eq!(direct.breaker(), Breaker::Closed);

        let paid = direct.endorse(&world.payment(0)).await;
        for of_queries in [true, false] {
            world.network.begin(Fault::OwnPeerDown).await;
            eventually("the breaker is open", BOUND, async || {
                if of_queries {
                    direct.try_query().await.unwrap_err();
                } else {
                    direct.ledger.submit(&paid.tx_id, &paid.envelope).await.unwrap_err();
                }
                (direct.breaker() == Breaker::Open).then_some(())
            })
            .await;
            world.network.end(Fault::OwnPeerDown).await;
            eventually("a query goes through", BOUND, async || direct.try_query().await.ok()).await;
            assert_eq!(direct.breaker(), Breaker::Closed);
        }
        direct.commit(&paid).await;
        world.enqueue(&world.payment(1)).await;
        world.wait_until_true(r#"SELECT count(*) = 2 FROM "EventLog" WHERE "eventName" = 'TransferCompleted'"#)
            .await;
        world.assert_paid_once(2).await;
    }

    /// RDY-07: workers that start while their peer is down keep running, are not ready, and recover
    /// by themselves when the peer is up.
    #[test]
    async fn workers_wait_for_a_peer_that_is_not_there_yet(network) {
        let mut world = World::start(network).await;
        world.network.begin(Fault::OwnPeerDown).await;
        for role in [&mut world.submitter, &mut world.projector] {
            role.kill();
            role.restart();
            role.wait_for_readyz(503).await;
        }
        world.enqueue(&world.payment(0)).await;
        world.network.end(Fault::OwnPeerDown).await;
        world.wait_until_settled(N::PROMPT).await;
        world.wait_until_ready().await;
        assert!(world.submitter.is_alive() && world.projector.is_alive(), "they kept their pids");
        world.assert_paid_once(1).await;
    }
}

impl Direct {
    /// Returns the breaker of our organisation's peer.
    fn breaker(&self) -> Breaker {
        self.ledger.peers()[0].breaker
    }

    async fn try_query(&self) -> Result<Vec<u8>, LedgerError> {
        self.ledger.evaluate("TokenomicsContract:GetSupplyStatus", &[]).await
    }
}

/// Returns a payment of more than anybody holds.
fn too_much<N: Network>(world: &World<N>, n: usize) -> Command {
    let Command::Transfer { from, to, .. } = world.payment(n) else { unreachable!() };
    Command::Transfer { from, to, amount: Qirat::gx(TOO_MUCH_GX), tx_type: None }
}
