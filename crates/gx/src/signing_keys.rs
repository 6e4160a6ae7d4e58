//! `gx keys signing`: replaces, lists and retires the keys that sign tokens.

use std::time::Duration;

use clap::{Args, Subcommand};
use gx_auth::audit::{self, Actor};
use gx_auth::token_keys::rotation::{self, TokenKeyItem};
use gx_auth::{KeyRing, KeyRingSettings};
use gx_db::{Database, DatabaseSettings};
use gx_model::Clock;
use gx_serve::Entropy;
use gx_serve::settings::duration;
use serde_json::{Value, json};

use crate::CliError;
use crate::print::Format;
use crate::reason::reason;

/// Least time for which a key is published before it signs. A service that meets a token of an
/// unknown key looks again if its last look is a second old.
const MIN_PUBLISHED: Duration = Duration::from_secs(2);
/// Limit of the time for which a key is published before it signs.
const MAX_PUBLISHED: Duration = Duration::from_hours(30 * 24);

#[derive(Debug, Subcommand)]
pub(crate) enum SigningCommand {
    /// Add a key, publish it now and sign with it later; the key before is accepted until its
    /// tokens have expired
    Rotate(#[command(flatten)] Rotate),
    /// List the keys that were added
    List(#[command(flatten)] DatabaseSettings),
    /// Destroy a key that has been replaced, such as one that has leaked; its tokens are refused
    Retire(#[command(flatten)] Retire),
}

/// The arguments of `gx keys signing rotate`.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Time for which the key is published before it signs, such as 1h
    #[arg(long, default_value = "1h", value_parser = published_for)]
    after: Duration,
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    keys: KeyRingSettings,
}

/// The arguments of `gx keys signing retire`.
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// Id of the key, as `gx keys signing list` prints it
    key_id: String,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
    #[command(flatten)]
    database: DatabaseSettings,
}

fn published_for(text: &str) -> Result<Duration, String> {
    let given = duration(text)?;
    if (MIN_PUBLISHED..=MAX_PUBLISHED).contains(&given) {
        Ok(given)
    } else {
        Err("must be from 2s to 30d".to_owned())
    }
}

pub(crate) async fn run(command: SigningCommand, format: Format) -> Result<(), CliError> {
    match command {
        SigningCommand::Rotate(arguments) => rotate(&arguments, format).await,
        SigningCommand::List(database) => {
            let database = open(&database).await?;
            let now = Clock::system().now();
            let keys = rotation::list(&mut *database.connection().await?, now).await?;
            let records = keys.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
            format.table(&records)
        }
        SigningCommand::Retire(arguments) => retire(&arguments, format).await,
    }
}

async fn rotate(arguments: &Rotate, format: Format) -> Result<(), CliError> {
    let ring = KeyRing::read(&arguments.keys, Entropy::system())?;
    let database = open(&arguments.database).await?;
    let now = Clock::system().now();
    let mut tx = database.pool().begin().await?;
    let key = rotation::rotate(&mut tx, &ring, arguments.after, now).await?;
    let actor = Actor::System("gx keys signing rotate");
    let record = json!(key);
    let entry = audit::Entry {
        after: Some(json!({ "signsFrom": record["signsFrom"] })),
        ..audit::Entry::new(actor, "keys.signing_rotated", "TokenKey", Some(&key.key_id), None)
    };
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    format.line(&rotated(&key, &record), &record)
}

fn rotated(key: &TokenKeyItem, record: &Value) -> String {
    let (id, from) = (&key.key_id, record["signsFrom"].as_str().unwrap_or_default());
    format!(
        "key {id} is published within 30 s and signs from {from}; the key before it is accepted \
         until its tokens have expired"
    )
}

async fn retire(arguments: &Retire, format: Format) -> Result<(), CliError> {
    let id = arguments.key_id.as_str();
    let database = open(&arguments.database).await?;
    let now = Clock::system().now();
    let mut tx = database.pool().begin().await?;
    rotation::retire(&mut tx, id, now).await?;
    let actor = Actor::System("gx keys signing retire");
    let entry = audit::Entry::new(actor, "keys.signing_retired", "TokenKey", Some(id), None);
    let entry = entry.with_text("reason", Some(&arguments.reason), &Entropy::system());
    audit::append(&mut tx, entry, now).await?;
    tx.commit().await?;
    let text = format!("key {id} is destroyed; within 30 s no service accepts its tokens");
    format.line(&text, &json!({ "keyId": id }))
}

async fn open(settings: &DatabaseSettings) -> Result<Database, CliError> {
    Ok(gx_db::connect(&settings.named("command")).await?)
}
