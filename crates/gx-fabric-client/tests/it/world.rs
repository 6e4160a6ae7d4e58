//! A development ledger with clients.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gx_devnet::{Devnet, DevnetOptions};
use gx_fabric_client::{Block, BlockId};
use gx_fabric_client::{
    CommitStatus, Endorsed, Follower, Identity, Ledger, LedgerConfig, LedgerLimits, PeerConfig,
};
use gx_model::{Clock, SignerRole};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

/// The time limit of every wait in a test.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// Seeds the nonces of clients: each client draws others, so that no transaction id occurs twice.
static SEED: AtomicU64 = AtomicU64::new(1);

pub(crate) struct World {
    dir: TempDir,
    devnet: Devnet,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::restart(tempfile::tempdir().unwrap()).await
    }

    /// Stops the ledger and keeps its data.
    pub(crate) async fn stop(self) -> TempDir {
        self.devnet.stop().await;
        self.dir
    }

    pub(crate) async fn restart(dir: TempDir) -> Self {
        let mut options = DevnetOptions::new(dir.path(), Clock::system(), gx_contract::Contracts);
        options.fsync = false;
        let devnet = Devnet::start(options).await.unwrap();
        Self { dir, devnet }
    }

    pub(crate) fn devnet(&self) -> &Devnet {
        &self.devnet
    }

    pub(crate) fn port(&self) -> u16 {
        self.devnet.endpoint().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub(crate) fn identity(&self, role: SignerRole) -> Identity {
        let pem = self.devnet.identity(role);
        Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem).unwrap()
    }

    pub(crate) fn peer(&self, endpoint: &str) -> PeerConfig {
        PeerConfig {
            endpoint: endpoint.to_owned(),
            msp_id: self.identity(SignerRole::Admin).msp_id().to_owned(),
            tls_root_pem: self.devnet.tls_root_pem(),
            server_name: Some("localhost".to_owned()),
        }
    }

    pub(crate) fn config(&self) -> LedgerConfig {
        config(vec![self.peer(&self.devnet.endpoint())])
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.ledger_with(self.config())
    }

    pub(crate) fn ledger_at(&self, endpoint: &str) -> Ledger {
        self.ledger_with(config(vec![self.peer(endpoint)]))
    }

    pub(crate) fn ledger_with(&self, config: LedgerConfig) -> Ledger {
        ledger(config, self.identity(SignerRole::Admin))
    }

    /// Endorses, submits and waits for the validation code.
    pub(crate) async fn transact(
        &self,
        ledger: &Ledger,
        role: SignerRole,
        function: &str,
        args: &[String],
    ) -> (Endorsed, CommitStatus) {
        let signer = self.identity(role);
        let endorsed = ledger.endorse(&signer, function, args).await.unwrap();
        ledger.submit(&endorsed.tx_id, &endorsed.envelope).await.unwrap();
        let status = ledger.commit_status(&signer, &endorsed.tx_id).await.unwrap();
        (endorsed, status)
    }
}

pub(crate) fn ledger(config: LedgerConfig, reader: Identity) -> Ledger {
    let rng = StdRng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed));
    Ledger::new(config, reader, Clock::system(), rng).unwrap()
}

/// Returns limits that are short enough for faults to show in a test, and long enough for a busy
/// machine.
pub(crate) fn config(peers: Vec<PeerConfig>) -> LedgerConfig {
    LedgerConfig {
        peers,
        channel: "gxchannel".to_owned(),
        chaincode: "gxtv3".to_owned(),
        client_tls: None,
        development: true,
        limits: LedgerLimits {
            connect_timeout: Duration::from_secs(10),
            height_timeout: Duration::from_secs(5),
            height_interval: Duration::from_millis(50),
            silence_deadline: Duration::from_secs(3),
            backoff_first: Duration::from_millis(10),
            backoff_cap: Duration::from_millis(200),
            breaker_open: Duration::from_millis(200),
            ..LedgerLimits::default()
        },
    }
}

pub(crate) async fn next_within_bound(follower: &mut Follower) -> Block {
    tokio::time::timeout(BOUND, follower.next()).await.expect("a block within the bound").unwrap()
}

pub(crate) async fn genesis(ledger: &Ledger) -> BlockId {
    ledger.genesis().await.unwrap()
}

pub(crate) fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Repeats a call until it succeeds, at most for [`BOUND`].
pub(crate) async fn succeeds<T, E>(
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let search = async {
        loop {
            if let Ok(found) = attempt().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, search).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
