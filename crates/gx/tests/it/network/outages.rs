//! Outages of peers, orderer and contracts, and broken connections. In each no command is lost
//! or done twice, the state is seen within 10 s, and all is well within 10 s of the end.

use std::time::{Duration, Instant};

use super::world::World;
use super::{Fault, Network, on_both_ledgers};

/// All that was wanted while a fault lasted is done, and all is well, this soon after its end.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
/// Payments while a fault lasts, about.
const PAYMENTS: u32 = 80;
/// Nobody pays more often than this.
const SHORTEST_PACE: Duration = Duration::from_millis(100);

on_both_ledgers! {
    /// PRJ-11: connections are reset in the middle of the stream.
    #[test]
    async fn connections_are_reset(network) {
        outlives(network, Fault::ConnectionsReset).await;
    }

    /// PRJ-11: the stream ends without an error.
    #[test]
    async fn the_stream_ends_without_an_error(network) {
        outlives(network, Fault::StreamsEnded).await;
    }

    /// RDY-07: our peer is killed, and started again.
    #[test]
    async fn our_peer_is_killed(network) {
        outlives(network, Fault::OwnPeerDown).await;
    }

    /// RDY-07, PRJ-11: both peers are swallowed by a black hole.
    #[test]
    async fn both_peers_are_black_holed(network) {
        outlives(network, Fault::BlackHole).await;
    }

    /// RDY-07: our peer has more calls than it takes.
    #[test]
    async fn our_peer_has_too_many_requests(network) {
        outlives(network, Fault::TooManyRequests).await;
    }

    /// RDY-07, OUT-06: the orderer is killed while transactions are being submitted.
    #[test]
    async fn the_orderer_is_killed(network) {
        outlives(network, Fault::OrdererDown).await;
    }

    /// OUT-06: the orderer takes transactions and does not answer: what was not confirmed
    /// commits once.
    #[test]
    async fn the_orderer_does_not_answer(network) {
        outlives(network, Fault::OrdererSilent).await;
    }

    /// FAB-06, RDY-07: the policy wants both organisations and the other one's peer is gone:
    /// it is named.
    #[test]
    async fn the_other_organisations_peer_is_killed(network) {
        let world = outlives(network, Fault::OtherPeerDown).await;
        world
            .is_true(
                r#"SELECT EXISTS (SELECT FROM "OutboxCommand" WHERE "lastError" LIKE '%Org2MSP%')"#,
            )
            .await;
    }

    /// RDY-07: the contracts' process is killed, and started again.
    #[test]
    async fn the_chaincode_is_killed(network) {
        outlives(network, Fault::ChaincodeDown).await;
    }
}

/// People pay each other before, during and after the fault.
async fn outlives<N: Network>(network: N, fault: Fault) -> World<N> {
    let mut world = World::start(network).await;
    // How long a crowd takes is another story.
    let pace = SHORTEST_PACE.max(world.network.lasts(fault) / PAYMENTS);
    let payments = world.payments(pace);
    let begun = Instant::now();
    world.network.begin(fault).await;
    world.shows(fault.sign()).await;
    let seen = begun.elapsed();
    tokio::time::sleep(world.network.lasts(fault).saturating_sub(begun.elapsed())).await;
    world.network.end(fault).await;
    let lasted = begun.elapsed();
    let paid = payments.stop().await;
    let settled = world.settled(RECOVERED_WITHIN).await;
    let well = settled + world.is_well().await;
    assert!(well < RECOVERED_WITHIN, "well only after {well:?}");
    assert!(world.submitter.is_alive() && world.projector.is_alive());
    world.paid_once(paid).await;
    eprintln!(
        "{} {fault:?}: lasted {lasted:.1?}, seen after {seen:.1?}; {paid} payments, all settled \
         {settled:.1?} and all well {well:.1?} after its end",
        N::NAME,
    );
    world
}
