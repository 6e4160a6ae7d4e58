//! What GX is for, on either ledger: somebody becomes a participant, and many pay each other.

use std::time::{Duration, Instant};

use super::on_both_ledgers;
use super::world::World;
use crate::readme::works_as_pasted;
use crate::stack::Stack;

/// A crowd is served within this on a busy machine.
const SERVED_WITHIN: Duration = Duration::from_secs(60);
/// Payments that are wanted at once: more than go into one batch.
const CROWD: usize = 1_200;

on_both_ledgers! {
    /// G2: the README's journey, with every role beside the ledger, works as pasted and again.
    #[test]
    async fn the_journey_of_the_readme(network) {
        let mut stack = Stack::on(network.settings());
        stack.run().await;
        works_as_pasted(&stack).await;
    }

    /// G2, G4: more payments than go into one batch are wanted at once; each takes effect once.
    #[test]
    async fn a_crowd_is_served(network) {
        let world = World::start(network).await;
        let begun = Instant::now();
        for n in 0..CROWD {
            world.want(&world.payment(n)).await;
        }
        let wanted = begun.elapsed();
        world.settled(SERVED_WITHIN).await;
        let settled = begun.elapsed();
        world.paid_once(CROWD).await;
        let batches = r#"SELECT count(DISTINCT "txId") FROM "OutboxCommand"
                         WHERE kind = 'TRANSFER'"#;
        let batches: i64 = world.one(batches.to_owned()).await;
        eprintln!(
            "{}: {CROWD} payments in {batches} transactions, wanted within {wanted:.1?}, settled \
             within {settled:.1?}",
            N::NAME
        );
    }
}
