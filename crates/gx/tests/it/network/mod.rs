//! One suite, two ledgers: every scenario runs on the development ledger, and the same scenario
//! on a real Fabric network of two organisations (`make test-fabric`).
//!
//! A scenario knows a [`Network`] and its levers only. What a lever does is each network's own
//! affair: on the one it is a fault of the development ledger, on the other a killed process or
//! a proxy that swallows bytes. The workers are processes on both, and see peers and nothing
//! else.

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

/// What may befall a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every connection to our peer is reset, once.
    ConnectionsReset,
    /// Every connection to our peer is closed in good order, once.
    StreamsEnded,
    /// Our organisation's peer is gone.
    OwnPeerDown,
    /// The other organisation's peer is gone; the policy wants both.
    OtherPeerDown,
    /// Both peers keep their connections and answer nothing.
    BlackHole,
    /// Our peer refuses calls above its limit.
    TooManyRequests,
    /// No orderer answers.
    OrdererDown,
    /// The orderer takes envelopes and answers nothing.
    OrdererSilent,
    /// The contracts' process is gone.
    ChaincodeDown,
}

/// A ledger with the GX contracts, and the levers that break it.
pub(crate) trait Network {
    /// What it is called in reports.
    const NAME: &'static str;

    /// What a worker must be told to reach it.
    fn settings(&self) -> Vec<(String, String)>;

    /// A client of its own that no fault stands in the way of.
    fn direct(&self) -> Direct;

    /// Lets a fault begin; one that comes once has come when this returns.
    async fn begin(&mut self, fault: Fault);

    /// Ends it.
    async fn end(&mut self, fault: Fault);

    /// How long a fault is kept up here.
    fn lasts(&self, fault: Fault) -> Duration;

    /// Commits the change at one peer, and has the next proposal answered by another one
    /// that does not know of it yet; `propose` causes that proposal.
    async fn answer_differently(&mut self, change: &Endorsed, propose: impl AsyncFnOnce());
}

/// A client that goes around the workers, with an identity for each role.
#[derive(Clone)]
pub(crate) struct Direct {
    pub(crate) ledger: Ledger,
    pub(crate) identities: [(SignerRole, Identity); 3],
    /// Others of the organisation, with what the contracts make of them.
    pub(crate) others: Vec<(Option<SignerRole>, Identity)>,
}

impl Direct {
    /// Who signs in a role.
    pub(crate) fn signer(&self, role: SignerRole) -> &Identity {
        let found = self.identities.iter().find(|(known, _)| *known == role);
        found.map(|(_, identity)| identity).unwrap()
    }

    /// An endorsed batch of one command, under an id of its own.
    pub(crate) async fn endorse(&self, command: &Command) -> Endorsed {
        let batch = [BatchCommand::new(world::fresh_id(), command)];
        let args = [serde_json::to_string(&batch).unwrap()];
        let signer = self.signer(SignerRole::Admin);
        self.ledger.endorse(signer, BatchCommand::EXECUTE, &args).await.unwrap()
    }

    /// Hands an envelope in until it is taken, and waits until it is VALID.
    pub(crate) async fn commit(&self, endorsed: &Endorsed) {
        gx_testkit::eventually(
            "the orderer takes an envelope",
            Duration::from_secs(20),
            async || self.ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.ok(),
        )
        .await;
        let signer = self.signer(SignerRole::Admin);
        let status = self.ledger.commit_status(signer, &endorsed.tx_id).await.unwrap();
        assert!(status.code.is_valid(), "{}", status.code);
    }

    /// A query's answer.
    pub(crate) async fn ask(&self, function: &str, args: &[String]) -> serde_json::Value {
        let answer = self.ledger.evaluate(function, args).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

/// Writes each story as two tests: one on the development ledger, one on a Fabric network.
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
