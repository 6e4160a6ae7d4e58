//! The database of commands that read or change whole tables: `gx audit`, `gx keys rotate` and `gx
//! retention`.

use clap::Args;
use gx_db::{Database, DatabaseSettings};

use crate::CliError;

/// Settings of the connection, with a time limit of its own for each statement: that of services is
/// for requests.
#[derive(Args, Clone, Debug)]
pub(crate) struct LongCommandDatabase {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Milliseconds that one statement of this command may take, instead of
    /// DATABASE_STATEMENT_TIMEOUT_MS, 100 to 86400000.
    #[arg(long, env = "DATABASE_COMMAND_TIMEOUT_MS", default_value_t = 600_000,
          value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    database_command_timeout_ms: u64,
}

impl LongCommandDatabase {
    /// Connects to the database.
    pub(crate) async fn open(&self) -> Result<Database, CliError> {
        let mut settings = self.database.named("command");
        settings.database_statement_timeout_ms = self.database_command_timeout_ms;
        Ok(gx_db::connect(&settings).await?)
    }
}
