//! `gx mail`: lists and retries mails; and the sender that svc-identity and `gx dev` start.

use std::sync::Arc;

use clap::{Args, Subcommand};
use gx_auth::audit::{self, Actor};
use gx_auth::{Foundation, MailPreparer};
use gx_db::DatabaseSettings;
use gx_mail::{MailFilter, MailKind, MailSender, MailSettings, MailState, SenderParts, Transport};
use gx_model::Clock;
use gx_serve::HealthBoard;
use serde_json::{Value, json};

use crate::CliError;
use crate::outbox::with_columns;
use crate::print::Format;
use crate::process::Process;
use crate::reason::reason;

/// Name of the actor in the audit log.
const ACTOR: &str = "gx mail retry";
/// Columns of the list in text.
const COLUMNS: [&str; 6] =
    ["mailId", "kind", "attempts", "lastFailure", "isRetriable", "createdAt"];

#[derive(Debug, Subcommand)]
pub(crate) enum MailCommand {
    /// List mails without addresses and texts, the newest first
    List(#[command(flatten)] List),
    /// Send one mail that was given up again, or all of them
    Retry(#[command(flatten)] Retry),
}

/// The arguments of `gx mail list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Mails in this state: WAITING, SENT or FAILED
    #[arg(long, default_value = "FAILED")]
    state: MailState,
    /// Only mails of this kind: PASSWORD_RESET, EMAIL_VERIFICATION, NEW_DEVICE, …
    #[arg(long, value_parser = kind)]
    kind: Option<MailKind>,
    /// Only mails with a smaller id; give the last one of the previous page
    #[arg(long)]
    below: Option<String>,
    /// Most mails to list, 1 to 1000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

/// The arguments of `gx mail retry`.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Id of one mail
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    mail_id: Option<String>,
    /// All mails that were given up and can be made again
    #[arg(long)]
    all: bool,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
}

fn kind(text: &str) -> Result<MailKind, String> {
    MailKind::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = MailKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// Runs a command of `gx mail`.
pub(crate) async fn run(command: MailCommand, format: Format) -> Result<(), CliError> {
    match command {
        MailCommand::List(arguments) => list(arguments, format).await,
        MailCommand::Retry(arguments) => retry(arguments, format).await,
    }
}

async fn list(what: List, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&what.database.named("command")).await?;
    let mut conn = database.connection().await?;
    let filter =
        MailFilter { state: what.state, kind: what.kind, below: what.below, limit: what.limit };
    let mails = gx_mail::list(&mut conn, &filter).await?;
    let mails: Value = serde_json::to_value(mails)?;
    format.table(&with_columns(mails, &COLUMNS, format))
}

/// Sets mails to be sent again and writes the audit row, in one transaction.
async fn retry(what: Retry, format: Format) -> Result<(), CliError> {
    let database = gx_db::connect(&what.database.named("command")).await?;
    let now = Clock::system().now();
    let mut tx = database.pool().begin().await?;
    let retried = match &what.mail_id {
        Some(id) => gx_mail::retry(&mut tx, id, now).await.map(|()| 1)?,
        None => gx_mail::retry_all(&mut tx, now).await?,
    };
    let entry = audit::Entry {
        after: Some(json!({ "mails": retried })),
        ..audit::Entry::new(
            Actor::System(ACTOR),
            "mail.retried",
            "QueuedMail",
            what.mail_id.as_deref(),
            None,
        )
    };
    let entry = entry.with_text("reason", Some(&what.reason), &gx_serve::Entropy::system());
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    format.line(&format!("{retried} mails are sent again"), &json!({ "mails": retried }))
}

/// Starts the loop that sends mails, and its check on the board of svc-identity.
pub(crate) fn start_sender(
    process: &mut Process,
    base: &Foundation,
    settings: &MailSettings,
    transport: Transport,
    board: &HealthBoard,
) -> Result<(), CliError> {
    let parts = SenderParts {
        pool: base.database.pool().clone(),
        cipher: Arc::new(base.key_ring.clone()),
        preparer: Arc::new(MailPreparer::new(base)),
        transport,
        from: settings.mail_from.clone(),
        links: settings.links.clone(),
        clock: base.clock.clone(),
    };
    let sender = MailSender::new(parts, settings)?;
    let run = sender.run(process.token(), board.clone());
    process.run(async {
        run.await;
        Ok(())
    });
    Ok(())
}
