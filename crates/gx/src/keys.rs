//! `gx keys`: encrypts stored secrets with the current master key. `signing_keys` has the commands
//! for the keys that sign tokens.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gx_auth::audit::{self, Actor};
use gx_auth::key_ring::rotation::{self, KeyUse, RotationProgress, RotationReport};
use gx_auth::{KeyRing, KeyRingSettings};
use gx_db::PgConnection;
use gx_documents::{FingerprintUse, KeyStore, KeyStoreSettings, PersonKeyReport, PersonKeyUse};
use gx_model::Clock;
use gx_serve::Entropy;
use serde_json::{Value, json};

use crate::CliError;
use crate::long_command::LongCommandDatabase;
use crate::print::{Format, note, out};
use crate::signing_keys::{self, SigningCommand};

/// Name of the actor in the audit log.
const ACTOR: &str = "gx keys rotate";

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Encrypt every stored secret with the first key of the key file; may be repeated at any time
    Rotate(#[command(flatten)] Rotate),
    /// Replace, list and retire the keys that sign tokens
    #[command(subcommand)]
    Signing(SigningCommand),
}

/// The arguments of `gx keys rotate`.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    database: LongCommandDatabase,
    #[command(flatten)]
    keys: KeyRingSettings,
    /// Folder with the keys of people; needed once there are documents.
    #[arg(long, env = "GX_KEY_STORE")]
    key_store: Option<PathBuf>,
}

pub(crate) async fn run(command: KeysCommand, format: Format) -> Result<(), CliError> {
    match command {
        KeysCommand::Rotate(arguments) => rotate(arguments, format).await,
        KeysCommand::Signing(command) => signing_keys::run(command, format).await,
    }
}

/// Re-wraps all values of older keys. Prints the progress to standard error, and the use of each
/// key.
async fn rotate(
    Rotate { database, keys, key_store }: Rotate,
    format: Format,
) -> Result<(), CliError> {
    let ring = KeyRing::read(&keys, Entropy::system())?;
    let database = database.open().await?;
    let mut conn = database.connection().await?;
    let say = |RotationProgress { rewrapped, of }| note(&format!("{rewrapped} of {of} values"));
    let mut report = rotation::rotate(&mut conn, &ring, say).await?;
    rotate_documents(&mut conn, &ring, key_store, &mut report).await?;
    if report.rewrapped > 0 {
        let entry = audit::Entry {
            after: Some(json!({ "version": ring.current_version(), "values": report.rewrapped })),
            ..audit::Entry::new(Actor::System(ACTOR), "keys.rotated", "KeyRing", None, None)
        };
        let mut tx = database.pool().begin().await?;
        audit::append(&mut tx, entry, Clock::system().now()).await?;
        tx.commit().await?;
    }
    print(&report, format)
}

/// Re-wraps the keys of people and replaces the hashes of documents, and adds both to the report.
async fn rotate_documents(
    conn: &mut PgConnection,
    ring: &KeyRing,
    key_store: Option<PathBuf>,
    report: &mut RotationReport,
) -> Result<(), CliError> {
    let Some(key_store) = key_store else {
        if gx_documents::fingerprint_uses(conn).await?.is_empty() {
            return Ok(());
        }
        return Err(CliError::message(
            "there are documents, and the keys of people are not rotated; set GX_KEY_STORE",
        ));
    };
    let settings = KeyStoreSettings { key_store };
    let store = KeyStore::open(&settings, ring.clone(), Entropy::system())
        .map_err(|error| CliError::new(&error))?;
    let say = |rewrapped| note(&format!("{rewrapped} keys of people"));
    let PersonKeyReport { rewrapped, failed, failures, keys } =
        store.rotate(say).await.map_err(|error| CliError::new(&error))?;
    report.rewrapped += rewrapped;
    report.failures += failures;
    report.failed.extend(failed);
    for PersonKeyUse { version, keys } in keys {
        add_use(report, ring, version, keys);
    }
    let hashes = gx_documents::rotate_fingerprints(conn, &store, ring).await?;
    for FingerprintUse { version, documents } in hashes {
        add_use(report, ring, version, documents);
    }
    Ok(())
}

/// Adds values of a master key to the report.
fn add_use(report: &mut RotationReport, ring: &KeyRing, version: i32, values: u64) {
    if let Some(known) = report.keys.iter_mut().find(|key| key.version == version) {
        known.values += values;
        return;
    }
    let is_current = version == ring.current_version();
    report.keys.push(KeyUse { version, is_current, is_present: false, values, answers: 0 });
}

fn print(report: &RotationReport, format: Format) -> Result<(), CliError> {
    match format {
        Format::Json => {
            let keys: Vec<Value> = report.keys.iter().map(key_record).collect();
            let (values, failed) = (report.rewrapped, &report.failed);
            out(&json!({ "values": values, "keys": keys, "failed": failed }).to_string())?;
        }
        Format::Text => {
            out(&format!("{} values are encrypted again", report.rewrapped))?;
            report.keys.iter().try_for_each(|key| out(&key_line(key)))?;
        }
    }
    if report.failures == 0 {
        return Ok(());
    }
    Err(CliError::message(format!(
        "{} values cannot be decrypted and are unchanged: {}; restore them, or the keys that are \
         missing in the key file",
        report.failures,
        report.failed.join("; ")
    )))
}

fn key_record(key: &KeyUse) -> Value {
    json!({ "version": key.version, "isCurrent": key.is_current, "values": key.values,
            "answers": key.answers, "isUnused": key.is_unused() })
}

fn key_line(key: &KeyUse) -> String {
    let KeyUse { version, values, answers, .. } = *key;
    if key.is_unused() {
        return format!(
            "version {version} is unused: if every process had read the new key file before this \
             run, remove its line; otherwise restart them and run this again"
        );
    }
    let role = match (key.is_current, key.is_present) {
        (true, _) => "is current",
        (false, true) => "is old",
        (false, false) => "is missing in the key file",
    };
    let hashed = match answers {
        0 => String::new(),
        _ => format!(", and {answers} hashes of requests, which expire within a day"),
    };
    format!("version {version} {role}: {values} values{hashed}")
}
