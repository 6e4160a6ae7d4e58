//! `gx audit`: checks the audit log. `main` calls [`run`], and prints an error, also that of a
//! changed row, and exits with code 1.

use clap::Subcommand;
use gx_db::DatabaseSettings;
use serde_json::json;

use crate::CliError;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of hashes; fails with the first row that is changed or missing
    Verify(#[command(flatten)] DatabaseSettings),
}

/// Checks the whole log and prints the number of its rows.
pub(crate) async fn run(command: AuditCommand, format: Format) -> Result<(), CliError> {
    let AuditCommand::Verify(settings) = command;
    let database = gx_db::connect(&settings.named("command")).await?;
    let rows = gx_auth::audit::verify(&mut *database.connection().await?).await?;
    format.line(&format!("the audit log is unchanged: {rows} rows"), &json!({ "rows": rows }))
}
