//! `gx audit`: checks the audit log, and proves what is in it. Called by `main`, which prints an
//! error and exits with code 1.

use clap::{Args, Subcommand};
use gx_auth::audit::{self, Verified};
use gx_db::{Database, DatabaseSettings};
use serde_json::json;

use crate::CliError;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every entry and every batch; fails with the first that is changed, missing or added
    Verify(#[command(flatten)] DatabaseSettings),
    /// Print the proof that an entry is in its batch
    Prove(ProveArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ProveArgs {
    /// Number of the entry, as the audit log shows it
    id: i64,
    #[command(flatten)]
    database: DatabaseSettings,
}

pub(crate) async fn run(command: AuditCommand, format: Format) -> Result<(), CliError> {
    match command {
        AuditCommand::Verify(settings) => {
            let database = open(&settings).await?;
            let verified = audit::verify(&mut *database.connection().await?).await?;
            format.line(&sentence(&verified), &json!(verified))
        }
        AuditCommand::Prove(ProveArgs { id, database }) => {
            let database = open(&database).await?;
            let proof = audit::prove(&mut *database.connection().await?, id).await?;
            let text = serde_json::to_string_pretty(&proof)?;
            format.line(&text, &json!(proof))
        }
    }
}

async fn open(settings: &DatabaseSettings) -> Result<Database, CliError> {
    Ok(gx_db::connect(&settings.named("command")).await?)
}

fn sentence(verified: &Verified) -> String {
    let Verified { rows, chain_rows, sealed, unsealed, last_batch } = verified;
    let position = last_batch.as_ref().map_or_else(
        || "nothing is sealed yet".to_owned(),
        |batch| format!("sealed up to batch {}, hash {}", batch.number, batch.hash),
    );
    format!(
        "the audit log is unchanged: {rows} rows, {chain_rows} of them of earlier releases, {sealed} \
         sealed and {unsealed} waiting to be sealed; {position}"
    )
}
