//! `gx projection adopt`: gives a person of the ledger that has no owner to an account. Called by
//! `gx projection`; `main` prints an error.

use clap::Args;
use gx_admin::AuditedDecision;
use gx_auth::audit::Actor;
use gx_db::{DatabaseSettings, ProfileId};
use gx_model::{Clock, FabricUserId};
use gx_serve::Entropy;
use serde_json::json;

use super::task_end;
use crate::CliError;
use crate::print::Format;
use crate::reason::reason;

/// Name of the actor in the audit log.
const ACTOR: &str = "gx projection adopt";

/// The arguments of `gx projection adopt`.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Channel
    #[arg(long, env = "FABRIC_CHANNEL_NAME", default_value = "gxchannel")]
    fabric_channel_name: String,
    /// Fabric User ID of the person, in quotes; in upper or lower case, with or without blanks
    #[arg(value_parser = FabricUserId::from_pasted)]
    fabric_user_id: FabricUserId,
    /// profileId of the account that gets the person
    profile_id: ProfileId,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
    /// Longest wait for the projector, in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait_s: u64,
}

/// Reserves the id for the account, waits until the projector has set the owner, and prints the
/// projector's report. Fails if the adoption is not possible, if no projector carries it out in
/// time, or if it could not set the owner.
pub(super) async fn run(adopt: Adopt, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&adopt.database).await?;
    let (actor, entropy) = (Actor::System(ACTOR), Entropy::system());
    let decision =
        AuditedDecision { actor, reason: &adopt.reason, request_id: None, entropy: &entropy };
    let now = Clock::system().now();
    let task_id = entropy.id(now).to_string();
    let (channel, whom) =
        (adopt.fabric_channel_name.as_str(), (&adopt.fabric_user_id, &adopt.profile_id));
    let mut conn = database.connection().await?;
    let asked = gx_admin::ask_adoption(&mut conn, channel, whom, &task_id, &decision, now).await?;
    let grant = asked.grant;
    drop(conn);
    let task = task_end::wait(&database, &task_id, adopt.wait_s).await?;
    let mut record = serde_json::to_value(&task)?;
    record["grant"] = json!(grant);
    format.record(&record)?;
    match task.report.as_ref().map(|report| &report["error"]) {
        Some(error) if !error.is_null() => Err(CliError::message(format!(
            "the projector could not set the owner: {error}; remove that cause, and run the command \
             again"
        ))),
        _ => Ok(()),
    }
}
