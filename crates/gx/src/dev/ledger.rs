//! The ledger of the development stack: its own, or one that settings name.

use gx_devnet::{Devnet, DevnetOptions};
use gx_fabric_client::{
    CredentialSource, LedgerLimits, PeerSource, PemSource, Profile, SignerSources,
};
use gx_model::{Clock, SignerRole};

use super::stack::LEDGER;
use super::{DataDir, Ports};
use crate::Failure;
use crate::fabric::FabricSettings;

/// How the ledger is reached, and the ledger itself where it is the stack's own.
pub(super) struct StackLedger {
    devnet: Option<Devnet>,
    profile: Profile,
}

impl StackLedger {
    /// Starts a ledger in the data folder, unless the settings name one.
    pub(super) async fn start(
        dir: &DataDir,
        ports: Ports,
        fabric: &FabricSettings,
        clock: Clock,
    ) -> Result<Self, Failure> {
        if fabric.names_a_ledger() {
            return Ok(Self { devnet: None, profile: fabric.profile()? });
        }
        let options = DevnetOptions::new(dir.join(LEDGER), clock);
        let (channel, chaincode) = (options.channel.clone(), options.chaincode.clone());
        let devnet = Devnet::start(DevnetOptions { listen: ports.devnet(), ..options }).await?;
        let profile = profile_of(&devnet, channel, chaincode);
        Ok(Self { devnet: Some(devnet), profile })
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Where the ledger is, for a person to read.
    pub(super) fn addresses(&self) -> String {
        let peers = self.profile.peers.iter().map(|peer| format!("grpcs://{}", peer.endpoint));
        peers.collect::<Vec<_>>().join(", ")
    }

    pub(super) async fn stop(self) {
        if let Some(devnet) = self.devnet {
            devnet.stop().await;
        }
    }
}

/// The development ledger as a client's settings would describe it.
fn profile_of(devnet: &Devnet, channel: String, chaincode: String) -> Profile {
    let signer = |role: SignerRole| {
        let pem = devnet.identity(role);
        let name = role.attribute();
        Some(CredentialSource {
            certificate: PemSource::text(format!("{name}'s certificate"), pem.certificate_pem),
            private_key: PemSource::text(format!("{name}'s key"), pem.private_key_pem),
        })
    };
    let msp_id = devnet.identity(SignerRole::Admin).msp_id;
    let peer = PeerSource {
        endpoint: devnet.endpoint(),
        msp_id: msp_id.clone(),
        tls_root: PemSource::text("the ledger's TLS root", devnet.tls_root_pem()),
        server_name: None,
    };
    Profile {
        msp_id,
        peers: vec![peer],
        channel,
        chaincode,
        signers: SignerSources {
            admin: signer(SignerRole::Admin),
            super_admin: signer(SignerRole::SuperAdmin),
            partner_api: signer(SignerRole::PartnerApi),
        },
        client_tls: None,
        limits: LedgerLimits::default(),
    }
}
