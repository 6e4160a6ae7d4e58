//! `gx audit`: the log of who did what.

use clap::Subcommand;
use gx_db::DatabaseSettings;
use serde_json::json;

use crate::Failure;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of hashes, and name the first row that was changed or is missing
    Verify(#[command(flatten)] DatabaseSettings),
}

/// Verifies the whole log.
pub(crate) async fn run(command: AuditCommand, format: Format) -> Result<(), Failure> {
    let AuditCommand::Verify(settings) = command;
    let database = gx_db::connect(&settings).await?;
    let rows = gx_auth::audit::verify(&mut *database.connection().await?).await?;
    format.line(&format!("{rows} rows, unbroken"), &json!({ "rows": rows }));
    Ok(())
}
