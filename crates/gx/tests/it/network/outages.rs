//! Outages of peers, orderer and chaincode, and broken connections. In each of them no command is
//! lost or executed twice, health shows the fault, and all is well soon after its end: on a real
//! network within 10 s each.

use std::time::{Duration, Instant};

use super::world::World;
use super::{Fault, Network, on_both_ledgers};

/// Approximate number of payments during a fault.
const PAYMENTS: u32 = 80;
/// Least time between two payments.
const SHORTEST_PACE: Duration = Duration::from_millis(100);

on_both_ledgers! {
    /// PRJ-11: connections are reset during the stream.
    #[test]
    async fn connections_are_reset(network) {
        survive_fault(network, Fault::ConnectionsReset).await;
    }

    /// PRJ-11: the stream ends without an error.
    #[test]
    async fn the_stream_ends_without_an_error(network) {
        survive_fault(network, Fault::StreamsEnded).await;
    }

    /// RDY-07: our peer is killed and started again.
    #[test]
    async fn our_peer_is_killed(network) {
        survive_fault(network, Fault::OwnPeerDown).await;
    }

    /// RDY-07, PRJ-11: both peers keep their connections open and do not answer.
    #[test]
    async fn both_peers_are_black_holed(network) {
        survive_fault(network, Fault::BlackHole).await;
    }

    /// RDY-07: our peer refuses calls above its limit.
    #[test]
    async fn our_peer_has_too_many_requests(network) {
        survive_fault(network, Fault::TooManyRequests).await;
    }

    /// RDY-07, OUT-06: the orderer is killed while transactions are being submitted.
    #[test]
    async fn the_orderer_is_killed(network) {
        survive_fault(network, Fault::OrdererDown).await;
    }

    /// OUT-06: the orderer accepts transactions and does not answer; each transaction commits once.
    #[test]
    async fn the_orderer_does_not_answer(network) {
        survive_fault(network, Fault::OrdererSilent).await;
    }

    /// FAB-06, RDY-07: the endorsement policy needs both organisations, and the other one's peer is
    /// down: the error names that organisation.
    #[test]
    async fn the_other_organisations_peer_is_killed(network) {
        let world = survive_fault(network, Fault::OtherPeerDown).await;
        world
            .wait_until_true(
                r#"SELECT EXISTS (SELECT FROM "OutboxCommand" WHERE "lastError" LIKE '%Org2MSP%')"#,
            )
            .await;
    }

    /// RDY-07: the chaincode process is killed and started again.
    #[test]
    async fn the_chaincode_is_killed(network) {
        survive_fault(network, Fault::ChaincodeDown).await;
    }
}

/// Injects a fault while people pay each other, and checks that the workers survive it and that
/// every payment takes effect once.
async fn survive_fault<N: Network>(network: N, fault: Fault) -> World<N> {
    let mut world = World::start(network).await;
    // Few payments: the throughput is not tested here.
    let pace = SHORTEST_PACE.max(world.network.fault_length(fault) / PAYMENTS);
    let payments = world.payments(pace);
    let begun = Instant::now();
    world.network.begin(fault).await;
    world.wait_for_sign(fault.sign()).await;
    let seen = begun.elapsed();
    tokio::time::sleep(world.network.fault_length(fault).saturating_sub(begun.elapsed())).await;
    world.network.end(fault).await;
    let lasted = begun.elapsed();
    let paid = payments.stop().await;
    let settled = world.wait_until_settled(N::PROMPT).await;
    let well = settled + world.wait_until_ready().await;
    assert!(well < N::PROMPT, "well only after {well:?}");
    assert!(world.submitter.is_alive());
    assert!(world.projector.is_alive());
    world.assert_paid_once(paid).await;
    eprintln!(
        "{} {fault:?}: lasted {lasted:.1?}, seen after {seen:.1?}; {paid} payments, all settled \
         {settled:.1?} and all well {well:.1?} after its end",
        N::NAME,
    );
    world
}
