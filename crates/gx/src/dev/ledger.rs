//! The ledger of the development stack: its own, or one that settings name.

use gx_devnet::{Devnet, DevnetOptions};
use gx_fabric_client::Profile;
use gx_model::Clock;

use super::stack::LEDGER;
use super::{DataDir, Ports};
use crate::Failure;
use crate::fabric::FabricSettings;

/// The profile that a development ledger writes into its folder.
const OWN_PROFILE: &str = "connection-profile.yaml";

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
        let folder = dir.join(LEDGER);
        let options = DevnetOptions::new(&folder, clock);
        let devnet = Devnet::start(DevnetOptions { listen: ports.devnet(), ..options }).await?;
        match Profile::read(&folder.join(OWN_PROFILE)) {
            Ok(profile) => Ok(Self { devnet: Some(devnet), profile }),
            Err(wrong) => {
                devnet.stop().await;
                Err(wrong.into())
            }
        }
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
