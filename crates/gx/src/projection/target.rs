//! A read model and the ledger that it is made from.

use clap::Args;
use gx_db::{Database, DatabaseSettings};
use gx_fabric_client::{Errand, Ledger};
use gx_model::Clock;
use gx_serve::Entropy;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::Failure;
use crate::fabric::{FabricSettings, LedgerAccess};
use crate::roles::Environment;

/// Which database and which ledger.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Environment
    #[arg(long, env = "GX_ENV", value_enum, default_value = "production")]
    environment: Environment,
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    fabric: FabricSettings,
}

impl Target {
    /// Connects to both, the ledger as somebody who reads only.
    pub(super) async fn open(&self) -> Result<(Database, Ledger), Failure> {
        let development = self.environment == Environment::Development;
        let clock = Clock::system();
        let access = LedgerAccess::read(self.fabric.profile()?, Errand::Read, development, &clock)?;
        let ledger = access.ledger(&clock, StdRng::from_seed(Entropy::system().bytes()))?;
        let database = gx_db::connect(&self.database).await?;
        // Refuses at once, with the reason, where no instance is the right one.
        drop(database.connection().await?);
        Ok((database, ledger))
    }
}
