//! Connects `gx projection verify` and `rebuild` to the read model and its ledger. If one of them
//! cannot be used, the command ends with the reason.

use clap::Args;
use gx_db::{Database, DatabaseSettings};
use gx_fabric_client::{Ledger, SignerUse};
use gx_model::Clock;
use gx_serve::Entropy;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::CliError;
use crate::environment::Environment;
use crate::fabric::{FabricSettings, LedgerConnection};

/// The settings of the database and of the ledger.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Environment: production refuses settings that are safe only on one machine
    #[arg(long, env = "GX_ENV", value_enum, default_value = "production")]
    environment: Environment,
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    fabric: FabricSettings,
}

impl Target {
    /// Connects to the database and to the ledger, with the signer that only reads.
    pub(super) async fn open(&self) -> Result<(Database, Ledger), CliError> {
        let development = self.environment == Environment::Development;
        let clock = Clock::system();
        let connection =
            LedgerConnection::read(self.fabric.profile()?, SignerUse::Read, development, &clock)?;
        let ledger = connection.ledger(&clock, StdRng::from_seed(Entropy::system().bytes()))?;
        // A rebuild holds a session lock and session settings until its end.
        let database = self.database.named("command").with_sessions();
        let database = gx_db::connect(&database).await?;
        // Fails at once, with the reason, if no instance can be used.
        drop(database.connection().await?);
        Ok((database, ledger))
    }
}
