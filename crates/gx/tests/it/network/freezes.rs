//! Freezes that the ledger refuses.

use gx_model::Command;
use gx_testkit::eventually;

use super::on_both_ledgers;
use super::signs::Worker;
use super::world::World;
use crate::stack::BOUND;

on_both_ledgers! {
    /// OUT-13: a freeze that the ledger refuses is counted by its kind, so that an alert can fire.
    #[test]
    async fn a_refused_freeze_is_counted(network) {
        let world = World::start(network).await;
        for reason in ["COURT_ORDER", "ADMIN_ACTION"] {
            let (user_id, reason_code) = (world.people[0].clone(), reason.parse().unwrap());
            world.enqueue(&Command::FreezeWallet { user_id, reason_code }).await;
        }
        let label = r#"kind="FREEZE_WALLET""#;
        eventually("the second of two freezes is refused and counted", BOUND, async || {
            let name = "gx_commands_refused_total";
            let count = world.metric(Worker::Projector, name, label).await;
            (count == Some(1.0)).then_some(())
        })
        .await;
    }
}
