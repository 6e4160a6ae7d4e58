//! Tests of the ledger over the wire, as its clients use it.

mod access;
mod chain;
mod client;
mod commits;
mod contracts;
mod control;
mod cutting;
mod durability;
mod faults;
mod genesis;
mod network;
mod orderer;
mod peers;
mod services;
mod snapshots;
mod streams;
mod system;

use std::path::Path;
use std::time::Duration;

use gx_model::{Clock, SignerRole};
use tempfile::TempDir;
use time::macros::datetime;

use crate::{BlockCutting, Devnet, DevnetOptions};
use client::Client;

/// The time limit of every wait, longer than anything takes on a busy machine.
const BOUND: Duration = Duration::from_secs(120);

/// A ledger for one test.
struct Ledger {
    devnet: Devnet,
    clock: Clock,
    folder: TempDir,
}

impl Ledger {
    async fn start() -> Self {
        Self::cutting(BlockCutting::Immediate).await
    }

    async fn cutting(cutting: BlockCutting) -> Self {
        Self::with(|options| DevnetOptions { cutting, ..options }).await
    }

    async fn with(change: impl FnOnce(DevnetOptions) -> DevnetOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(datetime!(2026-01-01 12:00 UTC));
        let options = DevnetOptions {
            fsync: false,
            ..DevnetOptions::new(folder.path(), clock.clone(), gx_contract::Contracts)
        };
        Self { devnet: Devnet::start(change(options)).await.unwrap(), clock, folder }
    }

    /// Returns a client that signs with this role.
    fn client(&self, role: SignerRole) -> Client {
        Client::new(&self.devnet, &self.devnet.identity(role), &self.clock)
    }

    fn admin(&self) -> Client {
        self.client(SignerRole::SuperAdmin)
    }

    /// Returns a client of the other organisation's peer, with that organisation's user.
    fn second(&self) -> Client {
        let identity = self.devnet.user("Org2MSP", "User1").unwrap();
        let peer = &self.devnet.peers()[1];
        Client::at(&peer.endpoint, &peer.tls_root_pem, &identity, &self.clock)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn channel(&self) -> &'static str {
        "gxchannel"
    }
}

/// Waits for a future and fails the test if it takes too long.
async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(BOUND, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {BOUND:?} in vain: {what}"),
    }
}
