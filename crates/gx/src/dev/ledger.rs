//! The ledger of the development stack: a development ledger of its own, or the one that the
//! settings name. Called by `stack`, which stops the other parts if the ledger does not start.

use gx_devnet::{Devnet, DevnetOptions};
use gx_fabric_client::Profile;
use gx_model::Clock;

use super::{DataDir, Ports};
use crate::CliError;
use crate::fabric::FabricSettings;

/// Folder of the development ledger.
pub(crate) const LEDGER_DIR: &str = "ledger";
/// The connection profile that a development ledger writes into its folder.
const PROFILE_FILE: &str = "connection-profile.yaml";

/// The connection profile of the ledger, and the ledger itself if the stack runs it.
pub(super) struct StackLedger {
    devnet: Option<Devnet>,
    profile: Profile,
}

impl StackLedger {
    /// Starts a development ledger in the data folder, unless the settings name another ledger.
    pub(super) async fn start(
        dir: &DataDir,
        ports: Ports,
        fabric: &FabricSettings,
        clock: Clock,
    ) -> Result<Self, CliError> {
        if fabric.names_a_ledger() {
            return Ok(Self { devnet: None, profile: fabric.profile()? });
        }
        let folder = dir.join(LEDGER_DIR);
        let options = DevnetOptions::new(&folder, clock, gx_contract::Contracts);
        let devnet = Devnet::start(DevnetOptions { listen: ports.devnet(), ..options }).await?;
        match Profile::read(&folder.join(PROFILE_FILE)) {
            Ok(profile) => Ok(Self { devnet: Some(devnet), profile }),
            Err(wrong) => {
                devnet.stop().await;
                Err(wrong.into())
            }
        }
    }

    /// Returns the connection profile of the ledger.
    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns the addresses of the peers, for the operator.
    pub(super) fn addresses(&self) -> String {
        let peers = self.profile.peers.iter().map(|peer| format!("grpcs://{}", peer.endpoint));
        peers.collect::<Vec<_>>().join(", ")
    }

    /// Stops the development ledger, if the stack runs one.
    pub(super) async fn stop(self) {
        if let Some(devnet) = self.devnet {
            devnet.stop().await;
        }
    }
}
