//! `gx audit`: checks the audit log, proves what is in it, and erases texts of people from it.
//! Called by `main`, which prints an error and exits with code 1.

use clap::{Args, Subcommand};
use gx_auth::audit::{self, Actor, TextSelection, Verified};
use gx_db::{Database, DatabaseSettings};
use gx_model::Clock;
use gx_serve::Entropy;
use serde_json::json;

use crate::CliError;
use crate::print::Format;
use crate::reason::reason;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every entry and every batch; fails with the first that is changed, missing or added
    Verify(#[command(flatten)] DatabaseSettings),
    /// Print the proof that an entry is in its batch
    Prove(ProveArgs),
    /// Erase reasons and notes; the entries stay, and another one records what was erased
    Erase(EraseArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ProveArgs {
    /// Number of the entry, as the audit log shows it
    id: i64,
    #[command(flatten)]
    database: DatabaseSettings,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("texts").required(true).args(["ids", "about"])))]
pub(crate) struct EraseArgs {
    /// Numbers of the entries, as the audit log shows them
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// Erase the texts of all entries about this object instead, such as a profileId
    #[arg(long, value_name = "OBJECT_ID")]
    about: Option<String>,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
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
        AuditCommand::Erase(arguments) => erase(&arguments, format).await,
    }
}

async fn erase(arguments: &EraseArgs, format: Format) -> Result<(), CliError> {
    let EraseArgs { ids, about, reason, database } = arguments;
    let selection = match about {
        Some(id) => TextSelection::About(id),
        None => TextSelection::Entries(ids),
    };
    let database = open(database).await?;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let by = (Actor::System("gx audit erase"), reason.as_str());
    let mut conn = database.connection().await?;
    let erased = audit::erase(&mut conn, selection, by, &entropy, clock.now()).await?;
    let text = format!(
        "{} texts are erased; entry {} records it. Copies are in backups, and in the files of the \
         table until its next VACUUM",
        erased.texts.len(),
        erased.recorded_by
    );
    format.line(&text, &json!(erased))
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
