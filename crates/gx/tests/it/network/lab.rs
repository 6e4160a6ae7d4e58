//! A real Fabric network of two organisations, and the scripts that inject faults.
//!
//! `make test-fabric` starts the network and sets the environment. Each test deploys the contracts
//! under a name of its own, so that tests share the chain but no state.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gx_fabric_client::{Endorsed, Identity, Ledger, LedgerConfig, LedgerLimits, PeerConfig};
use gx_model::{Clock, SignerRole};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::task::JoinSet;

use super::certificates::Authority;
use super::chaincode::{Chaincode, free_address, fresh_name};
use super::{Direct, Fault, Network};

/// Most gateway calls of a peer at the same time.
const GATEWAY_CALLS: usize = 500;
/// Timeout of a call that only takes up a place.
const HELD_FOR: Duration = Duration::from_secs(600);
/// The nodes that a fault may stop.
const NODES: [&str; 3] = ["orderer1", "peer1", "peer2"];
/// Names of the proxies in front of the peers.
const PROXIES: [&str; 2] = ["peer1", "peer2"];

/// The network, and the chaincode that the test has deployed.
pub(crate) struct Lab {
    scripts: PathBuf,
    profile: PathBuf,
    name: String,
    chaincode: Chaincode,
    direct: Direct,
    /// A client with long timeouts.
    patient: Ledger,
    folder: tempfile::TempDir,
    waiting_calls: JoinSet<()>,
}

impl Lab {
    /// Deploys the contracts on the network that the environment names.
    pub(crate) async fn start() -> Self {
        let scripts = PathBuf::from(environment("FABRIC_LAB"));
        let profile = PathBuf::from(environment("GX_FABRIC_PROFILE"));
        let work = PathBuf::from(environment("LAB"));
        heal(&scripts);
        let name = fresh_name();
        let chaincode = deploy(&scripts, &name);
        let network = std::fs::read_to_string(work.join("network.json")).unwrap();
        let network: Value = serde_json::from_str(&network).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let organization = work.join("crypto/peerOrganizations/org1.example.com");
        let authority = Authority::open(&organization, "org1.example.com", "Org1MSP");
        let mut config = config(&network, &name);
        let direct = direct(&authority, config.clone(), folder.path());
        config.limits.commit_status_timeout = HELD_FOR;
        let patient = client(config, direct.signer(SignerRole::Admin));
        Self {
            scripts,
            profile,
            name,
            chaincode,
            direct,
            patient,
            folder,
            waiting_calls: JoinSet::new(),
        }
    }

    fn fault(&self, args: &[&str]) {
        run(&self.scripts.join("fault"), args);
    }

    /// Takes up every place for calls at our peer, with calls that wait for a transaction that
    /// never exists.
    fn fill_gateway(&mut self) {
        let signer = self.direct.signer(SignerRole::Admin);
        for _ in 0..GATEWAY_CALLS {
            let (ledger, signer) = (self.patient.clone(), signer.clone());
            self.waiting_calls.spawn(async move {
                // The call ends with the test; its answer does not matter.
                let _ = ledger.commit_status(&signer, &"0".repeat(64)).await;
            });
        }
    }
}

impl Network for Lab {
    const NAME: &'static str = "fabric";
    const PROMPT: Duration = Duration::from_secs(10);

    fn settings(&self) -> Vec<(String, String)> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        [
            ("GX_FABRIC_PROFILE", self.profile.display().to_string()),
            ("FABRIC_CHAINCODE_NAME", self.name.clone()),
            ("FABRIC_CERT_PATH", file("admin.pem")),
            ("FABRIC_KEY_PATH", file("admin-key.pem")),
            ("FABRIC_SUPER_ADMIN_CERT_PATH", file("super-admin.pem")),
            ("FABRIC_SUPER_ADMIN_KEY_PATH", file("super-admin-key.pem")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn direct(&self) -> Direct {
        self.direct.clone()
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::ConnectionsReset => self.fault(&["proxy", "peer1", "cut"]),
            Fault::StreamsEnded => self.fault(&["proxy", "peer1", "close"]),
            Fault::OwnPeerDown => self.fault(&["kill", "peer1"]),
            Fault::OtherPeerDown => self.fault(&["kill", "peer2"]),
            Fault::BlackHole => {
                PROXIES.iter().for_each(|name| self.fault(&["proxy", name, "blackhole"]));
            }
            Fault::TooManyRequests => self.fill_gateway(),
            Fault::OrdererDown => self.fault(&["kill", "orderer1"]),
            Fault::OrdererSilent => self.fault(&["pause", "orderer1"]),
            Fault::ChaincodeDown => self.chaincode.kill(),
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::ConnectionsReset | Fault::StreamsEnded => {}
            Fault::OwnPeerDown => self.fault(&["start", "peer1"]),
            Fault::OtherPeerDown => self.fault(&["start", "peer2"]),
            Fault::BlackHole => {
                PROXIES.iter().for_each(|name| self.fault(&["proxy", name, "pass"]));
            }
            Fault::TooManyRequests => self.waiting_calls.shutdown().await,
            Fault::OrdererDown => self.fault(&["start", "orderer1"]),
            Fault::OrdererSilent => self.fault(&["resume", "orderer1"]),
            Fault::ChaincodeDown => self.chaincode.restart(),
        }
    }

    fn fault_length(&self, fault: Fault) -> Duration {
        match fault {
            Fault::BlackHole => Duration::from_secs(60),
            Fault::ConnectionsReset | Fault::StreamsEnded => Duration::from_secs(2),
            _ => Duration::from_secs(8),
        }
    }

    async fn answer_differently(&mut self, change: &Endorsed, propose: impl AsyncFnOnce()) {
        self.fault(&["pause", "peer2"]);
        self.direct.commit(change).await;
        // The paused peer answers the proposal before it reads the block with the change.
        propose().await;
        self.fault(&["resume", "peer2"]);
    }
}

/// Starts the chaincode process and deploys the chaincode with both organisations.
fn deploy(scripts: &Path, name: &str) -> Chaincode {
    let address = free_address();
    let (deploy, at) = (scripts.join("deploy"), address.to_string());
    let id = run(&deploy, &["--package-id", name, "1", &at]);
    let chaincode = Chaincode::start(name, id.trim(), address);
    run(&deploy, &[name, "1", &at]);
    chaincode
}

/// Ends all faults of earlier tests.
fn heal(scripts: &Path) {
    for node in NODES {
        run(&scripts.join("net"), &["start", node]);
        run(&scripts.join("fault"), &["resume", node]);
    }
    for proxy in PROXIES {
        run(&scripts.join("fault"), &["proxy", proxy, "pass"]);
    }
}

fn direct(authority: &Authority, config: LedgerConfig, folder: &Path) -> Direct {
    let roles = [
        ("partner-api", SignerRole::PartnerApi),
        ("admin", SignerRole::Admin),
        ("super-admin", SignerRole::SuperAdmin),
    ];
    let identities = roles.map(|(name, role)| {
        (role, authority.issue(folder, name, "client", Some(role.attribute())))
    });
    let others = vec![
        (None, authority.issue(folder, "nobody", "client", None)),
        (None, authority.issue(folder, "loud", "client", Some("GX_SUPER_ADMIN"))),
        (Some(SignerRole::SuperAdmin), authority.issue(folder, "chief", "admin", None)),
    ];
    Direct { ledger: client(config, &identities[1].1), identities, others }
}

/// Returns settings that lead to the peers directly, past every proxy.
fn config(network: &Value, chaincode: &str) -> LedgerConfig {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let peer = |org: &Value| PeerConfig {
        endpoint: text(&org["peer"]),
        msp_id: text(&org["mspId"]),
        tls_root_pem: std::fs::read_to_string(text(&org["tlsCa"])).unwrap(),
        server_name: None,
    };
    LedgerConfig {
        // The third organisation is not in the channel.
        peers: network["orgs"].as_array().unwrap()[..2].iter().map(peer).collect(),
        channel: text(&network["channel"]),
        chaincode: chaincode.to_owned(),
        client_tls: None,
        development: true,
        limits: LedgerLimits::default(),
    }
}

fn client(config: LedgerConfig, reader: &Identity) -> Ledger {
    let rng = StdRng::seed_from_u64(rand::random());
    Ledger::new(config, reader.clone(), Clock::system(), rng).unwrap()
}

/// Runs a script of the network, which must succeed, and returns its output.
fn run(script: &Path, args: &[&str]) -> String {
    let output = Command::new(script).args(args).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {args:?}: {said}", script.display());
    String::from_utf8(output.stdout).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line")]
fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run make test-fabric"))
}
