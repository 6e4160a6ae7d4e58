//! A development ledger in this process, with a peer of each organisation, and the contracts in a
//! process of their own.

use std::path::Path;
use std::time::Duration;

use gx_devnet::{ChaincodeService, DevnetOptions, IdentityRequest, NodeFaults, PemIdentity};
use gx_fabric_client::{Endorsed, Identity, Ledger, LedgerConfig, LedgerLimits, PeerConfig};
use gx_model::{Clock, SignerRole};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::chaincode::{Chaincode, free_address, fresh_name};
use super::{Direct, Fault, Network};
use crate::stack::BOUND;

/// MSP ids of the signers' organisation and of the other one.
const MSP_IDS: [&str; 2] = ["Org1MSP", "Org2MSP"];
/// The roles that certificates name.
const ROLES: [SignerRole; 3] = [SignerRole::PartnerApi, SignerRole::Admin, SignerRole::SuperAdmin];
/// Longest wait of the ledger for the chaincode process.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Validity of a certificate, longer than any test.
const VALID_FOR: Duration = Duration::from_secs(24 * 3600);

/// A development ledger, its chaincode process and a client.
pub(crate) struct Devnet {
    devnet: gx_devnet::Devnet,
    direct: Direct,
    name: String,
    chaincode: Chaincode,
    folder: TempDir,
}

impl Devnet {
    /// Starts a new ledger.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (name, address) = (fresh_name(), free_address());
        let chaincode = Chaincode::start(&name, &name, address);
        let service = ChaincodeService {
            name: name.clone(),
            address: address.to_string(),
            tls: None,
            dial_timeout: DIAL_TIMEOUT,
            init_required: false,
        };
        let options = DevnetOptions {
            services: vec![service],
            fsync: false,
            ..DevnetOptions::new(folder.path(), Clock::system(), gx_contract::Contracts)
        };
        let channel = options.channel.clone();
        let devnet = gx_devnet::Devnet::start(options).await.unwrap();
        let profile = profile(&devnet, &channel, folder.path());
        std::fs::write(folder.path().join("profile.json"), profile.to_string()).unwrap();
        let direct = direct(&devnet, &channel, &name);
        Self { devnet, direct, name, chaincode, folder }
    }

    fn own_peer(&self) -> NodeFaults {
        self.devnet.faults().peer(MSP_IDS[0]).unwrap()
    }

    fn other_peer(&self) -> NodeFaults {
        self.devnet.faults().peer(MSP_IDS[1]).unwrap()
    }
}

impl Network for Devnet {
    const NAME: &'static str = "devnet";
    const PROMPT: Duration = BOUND;

    fn settings(&self) -> Vec<(String, String)> {
        let profile = self.folder.path().join("profile.json").display().to_string();
        [("GX_FABRIC_PROFILE", profile), ("FABRIC_CHAINCODE_NAME", self.name.clone())]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }

    fn direct(&self) -> Direct {
        self.direct.clone()
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::ConnectionsReset => self.own_peer().reset_connections(),
            Fault::StreamsEnded => self.own_peer().end_streams(),
            Fault::OwnPeerDown => self.own_peer().down(true),
            Fault::OtherPeerDown => self.other_peer().down(true),
            Fault::BlackHole => {
                self.own_peer().black_hole(true);
                self.other_peer().black_hole(true);
            }
            Fault::TooManyRequests => self.own_peer().too_many_requests(true),
            Fault::OrdererDown => self.devnet.faults().orderer().down(true),
            Fault::OrdererSilent => self.devnet.faults().orderer().black_hole(true),
            Fault::ChaincodeDown => self.chaincode.kill(),
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::ConnectionsReset | Fault::StreamsEnded => {}
            Fault::OwnPeerDown => self.own_peer().down(false),
            Fault::OtherPeerDown => self.other_peer().down(false),
            Fault::BlackHole => {
                self.own_peer().black_hole(false);
                self.other_peer().black_hole(false);
            }
            Fault::TooManyRequests => self.own_peer().too_many_requests(false),
            Fault::OrdererDown => self.devnet.faults().orderer().down(false),
            Fault::OrdererSilent => self.devnet.faults().orderer().black_hole(false),
            Fault::ChaincodeDown => self.chaincode.restart(),
        }
    }

    fn fault_length(&self, fault: Fault) -> Duration {
        match fault {
            Fault::BlackHole => Duration::from_secs(8),
            _ => Duration::from_secs(2),
        }
    }

    async fn answer_differently(&mut self, change: &Endorsed, propose: impl AsyncFnOnce()) {
        self.direct.commit(change).await;
        self.devnet.faults().mismatch_endorsements(1);
        propose().await;
    }
}

/// Returns a connection profile with the peers of both organisations and the signers of the first.
fn profile(devnet: &gx_devnet::Devnet, channel: &str, folder: &Path) -> Value {
    let (mut organizations, mut peers) = (json!({}), json!({}));
    for peer in devnet.peers() {
        let root = folder.join(format!("{}.pem", peer.msp_id));
        std::fs::write(&root, &peer.tls_root_pem).unwrap();
        organizations[&peer.msp_id] = json!({ "mspid": peer.msp_id, "peers": [peer.msp_id] });
        peers[&peer.msp_id] = json!({
            "url": format!("grpcs://{}", peer.endpoint),
            "tlsCACerts": { "path": root },
        });
    }
    let signer = |role| {
        let msp = devnet.msp_dir(role);
        json!({
            "certificate": { "path": msp.join("signcerts/cert.pem") },
            "privateKey": { "path": msp.join("keystore/priv_sk") },
        })
    };
    json!({
        "name": "development", "version": "1.0.0",
        "client": { "organization": MSP_IDS[0] },
        "organizations": organizations,
        "peers": peers,
        "x-gx": {
            "channel": channel,
            "signers": {
                "admin": signer(SignerRole::Admin),
                "superAdmin": signer(SignerRole::SuperAdmin),
                "partnerApi": signer(SignerRole::PartnerApi),
            },
        },
    })
}

fn direct(devnet: &gx_devnet::Devnet, channel: &str, chaincode: &str) -> Direct {
    let read = |pem: PemIdentity| {
        Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem).unwrap()
    };
    let identities = ROLES.map(|role| (role, read(devnet.identity(role))));
    let issue = |name: &str, unit: &str, gxc_role: Option<&str>| {
        let request = IdentityRequest {
            common_name: name.to_owned(),
            unit: unit.to_owned(),
            gxc_role: gxc_role.map(str::to_owned),
            not_after: Clock::system().now() + VALID_FOR,
        };
        read(devnet.issue_identity(&request).unwrap())
    };
    let others = vec![
        (None, issue("nobody", "client", None)),
        (None, issue("loud", "client", Some("GX_SUPER_ADMIN"))),
        (Some(SignerRole::SuperAdmin), issue("chief", "admin", None)),
    ];
    let peer = |peer: &gx_devnet::PeerEndpoint| PeerConfig {
        endpoint: peer.endpoint.clone(),
        msp_id: peer.msp_id.clone(),
        tls_root_pem: peer.tls_root_pem.clone(),
        server_name: None,
    };
    let config = LedgerConfig {
        peers: devnet.peers().iter().map(peer).collect(),
        channel: channel.to_owned(),
        chaincode: chaincode.to_owned(),
        client_tls: None,
        development: true,
        limits: LedgerLimits::default(),
    };
    let (reader, rng) = (identities[1].1.clone(), StdRng::seed_from_u64(rand::random()));
    let ledger = Ledger::new(config, reader, Clock::system(), rng).unwrap();
    Direct { ledger, identities, others }
}
