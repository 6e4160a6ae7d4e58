//! `gx erase`: erases a person on request. Called by `main`, which prints an error. An error after
//! the record of the erasure was written is completed by the same command or by the next start.

use clap::Args;
use gx_db::ProfileId;
use gx_documents::{DocumentStoreSettings, Eraser, ErasureOrder, ErasureRecord, KeyStoreSettings};
use gx_model::Clock;
use gx_serve::Entropy;
use serde_json::json;
use time::Duration;
use time::format_description::well_known::Rfc3339;

use crate::CliError;
use crate::long_command::LongCommandDatabase;
use crate::print::Format;
use crate::reason::reason;

/// The arguments of `gx erase`.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// Id of the person's profile
    profile_id: String,
    /// Code that stays in the record of the erasure: letters A to Z and `_`
    #[arg(long, default_value = "REQUESTED", value_parser = reason_code)]
    reason_code: String,
    /// Reason for the audit log
    #[arg(long, value_parser = reason)]
    reason: String,
    #[command(flatten)]
    store: DocumentStoreSettings,
    #[command(flatten)]
    keys: KeyStoreSettings,
    /// Days that backups of the key store are kept, 1 to 3650; the result names the day after which
    /// no backup contains the person's key
    #[arg(long, env = "GX_KEY_BACKUP_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..=3_650))]
    key_backup_days: u16,
    #[command(flatten)]
    database: LongCommandDatabase,
}

/// Longest code.
const MAX_CODE_CHARS: usize = 64;

fn reason_code(text: &str) -> Result<String, &'static str> {
    let is_code = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if is_code && (1..=MAX_CODE_CHARS).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err("it is no code; use 1 to 64 letters A to Z and `_`")
}

/// Erases the person, removes the files, and prints when the last backup with the key is gone.
pub(crate) async fn run(arguments: EraseArgs, format: Format) -> Result<(), CliError> {
    let EraseArgs { profile_id, reason_code, reason, store, keys, key_backup_days, database } =
        arguments;
    let eraser = Eraser::open(&store, &keys, Clock::system(), Entropy::system())?;
    let database = database.open().await?;
    let pool = database.pool();
    let profile_id = ProfileId::from(profile_id);
    let order = ErasureOrder { reason_code: &reason_code, reason: Some(&reason) };
    let record = eraser.erase(pool, &profile_id, order).await?;
    while eraser.remove_files(pool).await? > 0 {}
    print(&record, key_backup_days, format)
}

fn print(record: &ErasureRecord, key_backup_days: u16, format: Format) -> Result<(), CliError> {
    let ErasureRecord { profile_id, erased_at, reason_code } = record;
    let backups_until = *erased_at + Duration::days(key_backup_days.into());
    let until = backups_until.date();
    let text = format!(
        "{profile_id} is erased: the key, the documents and the account. Backups of the key store \
         may contain the key until {until}; destroy those from before the erasure by then"
    );
    let json = json!({
        "profileId": profile_id,
        "erasedAt": erased_at.format(&Rfc3339).unwrap_or_default(),
        "reasonCode": reason_code,
        "keyBackupsUntil": until.to_string(),
    });
    format.line(&text, &json)
}
