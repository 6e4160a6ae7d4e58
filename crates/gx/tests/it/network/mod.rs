//! One suite for two ledgers: each test runs on the development ledger, and also on a real Fabric
//! network of two organisations (`make test-fabric`).
//!
//! A test uses only the trait [`Network`]. A fault of the development ledger is injected, a fault
//! of the Fabric network is a killed process or a proxy that drops bytes. The workers are
//! processes, which reach nothing but peers.

mod breaker;
mod certificates;
mod chaincode;
mod conflicts;
mod devnet;
mod freezes;
mod journey;
mod lab;
mod outages;
mod roles;
mod signs;
mod world;

use std::time::Duration;

use gx_fabric_client::{Endorsed, Identity, Ledger};
use gx_model::{BatchCommand, Command, SignerRole};

use crate::stack::BOUND;

/// The faults of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every connection to our peer is reset, once.
    ConnectionsReset,
    /// Every connection to our peer is closed without an error, once.
    StreamsEnded,
    /// Our organisation's peer is down.
    OwnPeerDown,
    /// The other organisation's peer is down; the endorsement policy needs both.
    OtherPeerDown,
    /// Both peers keep their connections open and do not answer.
    BlackHole,
    /// Our peer refuses calls above its limit.
    TooManyRequests,
    /// No orderer answers.
    OrdererDown,
    /// The orderer accepts envelopes and does not answer.
    OrdererSilent,
    /// The chaincode process is down.
    ChaincodeDown,
}

/// A ledger with the GX contracts and its faults.
pub(crate) trait Network {
    /// Name of the ledger in reports.
    const NAME: &'static str;

    /// Longest time until a fault is visible, and until all is well after its end. A promise only
    /// if the machine has nothing else to do.
    const PROMPT: Duration;

    /// Returns the settings with which a worker uses this ledger.
    fn settings(&self) -> Vec<(String, String)>;

    /// Returns a client that no fault affects.
    fn direct(&self) -> Direct;

    /// Begins a fault. A fault that occurs once has occurred when this function returns.
    async fn begin(&mut self, fault: Fault);

    /// Ends a fault.
    async fn end(&mut self, fault: Fault);

    /// Returns how long a test keeps up a fault.
    fn fault_length(&self, fault: Fault) -> Duration;

    /// Commits a change at one peer and then calls `propose`, whose proposal also goes to a peer
    /// that does not have the change yet.
    async fn answer_differently(&mut self, change: &Endorsed, propose: impl AsyncFnOnce());
}

/// A client that does not use the workers, with an identity for each role.
#[derive(Clone)]
pub(crate) struct Direct {
    pub(crate) ledger: Ledger,
    pub(crate) identities: [(SignerRole, Identity); 3],
    /// Other identities of the organisation, with the roles that the contracts see in them.
    pub(crate) others: Vec<(Option<SignerRole>, Identity)>,
}

impl Direct {
    /// Returns the identity of a role.
    pub(crate) fn signer(&self, role: SignerRole) -> &Identity {
        let found = self.identities.iter().find(|(known, _)| *known == role);
        found.map(|(_, identity)| identity).unwrap()
    }

    /// Endorses a batch with one command and a fresh id.
    pub(crate) async fn endorse(&self, command: &Command) -> Endorsed {
        let batch = [BatchCommand::new(world::fresh_id(), command)];
        let args = [serde_json::to_string(&batch).unwrap()];
        let signer = self.signer(SignerRole::Admin);
        self.ledger.endorse(signer, BatchCommand::EXECUTE, &args).await.unwrap()
    }

    /// Submits an envelope until the orderer accepts it, and waits until it is VALID.
    pub(crate) async fn commit(&self, endorsed: &Endorsed) {
        gx_testkit::eventually("the orderer takes an envelope", BOUND, async || {
            self.ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.ok()
        })
        .await;
        let signer = self.signer(SignerRole::Admin);
        let status = self.ledger.commit_status(signer, &endorsed.tx_id).await.unwrap();
        assert!(status.code.is_valid(), "{}", status.code);
    }

    /// Returns the answer to a query.
    pub(crate) async fn ask(&self, function: &str, args: &[String]) -> serde_json::Value {
        let answer = self.ledger.evaluate(function, args).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

/// Makes two tests of each function: one on the development ledger, one on a Fabric network.
macro_rules! on_both_ledgers {
    ($($(#[doc = $doc:literal])+ #[test] async fn $name:ident($network:ident) $story:block)+) => {$(
        mod $name {
            use super::*;

            async fn story<N: $crate::network::Network>($network: N) $story

            $(#[doc = $doc])+
            #[tokio::test(flavor = "multi_thread")]
            async fn devnet() {
                Box::pin(story($crate::network::devnet::Devnet::start().await)).await;
            }

            $(#[doc = $doc])+
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs a Fabric network: make test-fabric"]
            async fn fabric() {
                Box::pin(story($crate::network::lab::Lab::start().await)).await;
            }
        }
    )+};
}
use on_both_ledgers;
