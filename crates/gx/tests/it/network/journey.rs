//! The journey of the README and many payments at the same time, on both ledgers.

use std::time::{Duration, Instant};

use super::on_both_ledgers;
use super::world::World;
use crate::readme::works_as_pasted;
use crate::stack::Stack;

/// Longest time for all payments on a busy machine.
const SERVED_WITHIN: Duration = Duration::from_secs(300);
/// Number of payments: more than one batch can have.
const CROWD: usize = 1_200;

on_both_ledgers! {
    /// G2: the journey of the README, with services and workers on this ledger, works twice.
    #[test]
    async fn the_journey_of_the_readme(network) {
        let mut stack = Stack::with_settings(network.settings());
        stack.run().await;
        works_as_pasted(&stack).await;
    }

    /// G2, G4: of more payments than one batch can have, each takes effect once.
    #[test]
    async fn more_payments_than_a_batch_take_effect_once_each(network) {
        let world = World::start(network).await;
        let begun = Instant::now();
        for n in 0..CROWD {
            world.enqueue(&world.payment(n)).await;
        }
        let wanted = begun.elapsed();
        world.wait_until_settled(SERVED_WITHIN).await;
        let settled = begun.elapsed();
        world.assert_paid_once(CROWD).await;
        let batches = r#"SELECT count(DISTINCT "txId") FROM "OutboxCommand"
                         WHERE kind = 'TRANSFER'"#;
        let batches: i64 = world.query_one(batches.to_owned()).await;
        eprintln!(
            "{}: {CROWD} payments in {batches} transactions, wanted within {wanted:.1?}, settled \
             within {settled:.1?}",
            N::NAME
        );
    }
}
