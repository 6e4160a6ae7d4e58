//! `gx audit`: checks the audit log, proves what is in it, and erases texts of people from it.
//! Called by `main`, which prints an error and exits with code 1.

use clap::{Args, Subcommand};
use gx_auth::audit::{self, Actor, SealedPosition, TextSelection, Verified};
use gx_model::Clock;
use gx_serve::Entropy;
use serde_json::json;

use crate::CliError;
use crate::long_command::LongCommandDatabase;
use crate::print::Format;
use crate::reason::reason;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check every entry and every batch; fails with the first that is changed, missing or added
    Verify(#[command(flatten)] LongCommandDatabase),
    /// Print the position up to which the log is sealed; a copy of it elsewhere is a witness
    Position(#[command(flatten)] LongCommandDatabase),
    /// Print the proof that an entry is in its batch
    Prove(ProveArgs),
    /// Erase reasons and notes with their copies; the entries stay, and another one records it
    Erase(EraseArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ProveArgs {
    /// Number of the entry, as the audit log shows it
    id: i64,
    #[command(flatten)]
    database: LongCommandDatabase,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("texts").required(true).args(["ids", "about"])))]
pub(crate) struct EraseArgs {
    /// Numbers of the entries, as the audit log shows them
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// Erase all texts about this object instead: with a profileId also about the person's commands
    /// and in the person's reviews
    #[arg(long, value_name = "OBJECT_ID")]
    about: Option<String>,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
    #[command(flatten)]
    database: LongCommandDatabase,
}

pub(crate) async fn run(command: AuditCommand, format: Format) -> Result<(), CliError> {
    match command {
        AuditCommand::Verify(settings) => {
            let database = settings.open().await?;
            let verified = audit::verify(&mut *database.connection().await?).await?;
            format.line(&sentence(&verified), &json!(verified))
        }
        AuditCommand::Position(settings) => {
            let database = settings.open().await?;
            let position = audit::position(&mut *database.connection().await?).await?;
            format.line(&position_text(position.as_ref()), &json!(position))
        }
        AuditCommand::Prove(ProveArgs { id, database }) => {
            let database = database.open().await?;
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
    let database = database.open().await?;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let by = (Actor::System("gx audit erase"), reason.as_str());
    let mut conn = database.connection().await?;
    let erased = audit::erase(&mut conn, selection, by, &entropy, clock.now()).await?;
    let text = format!(
        "{} texts of the log are erased, and their copies in {} other rows; entry {} records it. \
         {} texts stay because of a legal hold. Further copies are in backups, and in the files of \
         the tables until their next VACUUM",
        erased.texts.len(),
        erased.copies,
        erased.recorded_by,
        erased.held
    );
    format.line(&text, &json!(erased))
}

fn sentence(verified: &Verified) -> String {
    let Verified { rows, chain_rows, sealed, unsealed, last_batch } = verified;
    let position = position_text(last_batch.as_ref());
    format!(
        "the audit log is unchanged: {rows} rows, {chain_rows} of them of earlier releases, {sealed} \
         sealed and {unsealed} waiting to be sealed; {position}"
    )
}

fn position_text(position: Option<&SealedPosition>) -> String {
    position.map_or_else(
        || "nothing is sealed yet".to_owned(),
        |batch| format!("sealed up to batch {}, hash {}", batch.number, batch.hash),
    )
}
