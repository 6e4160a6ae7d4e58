//! Creates what a development stack needs once: keys, the first administrator, and the commands
//! that create the supply and the countries. Later starts find all of these. Called by `stack`; an
//! error ends the start, and the next start creates what is missing.

use std::fs;
use std::path::PathBuf;

use gx_admin::NewAdministrator;
use gx_auth::{AdminRole, Foundation, NewPassword};
use gx_db::PgPool;
use gx_model::{Clock, Command, CommandId, CountryList};
use gx_outbox::enqueue::{EnqueueError, NewCommand};
use gx_serve::Entropy;

use super::{DataDir, DevError};
use crate::CliError;

/// E-mail address of the first administrator.
pub(crate) const ADMIN_EMAIL: &str = "admin@gx.localhost";
/// The file with the first administrator's password.
pub(crate) const ADMIN_PASSWORD_FILE: &str = "admin-password";
/// The file with the key of the biometric hashes.
pub(crate) const BIOMETRIC_KEY_FILE: &str = "biometric-key";
/// The file with the master keys of the key ring.
pub(crate) const MASTER_KEY_FILE: &str = "master-keys";
/// The file with the key that signs tokens.
pub(crate) const TOKEN_KEY_FILE: &str = "token-key.pem";

/// Returns the first administrator's password: 128 random bits, drawn at the first start.
pub(crate) fn admin_password(dir: &DataDir, entropy: &Entropy) -> Result<String, DevError> {
    dir.secret(ADMIN_PASSWORD_FILE, || hex::encode(entropy.bytes::<16>()))
}

/// Returns the key of the biometric hashes: 256 random bits, drawn at the first start.
pub(crate) fn biometric_key(dir: &DataDir, entropy: &Entropy) -> Result<String, DevError> {
    dir.secret(BIOMETRIC_KEY_FILE, || hex::encode(entropy.bytes::<32>()))
}

/// Returns the path of the master keys. The first start draws a key.
pub(crate) fn master_keys(dir: &DataDir, entropy: &Entropy) -> Result<PathBuf, DevError> {
    dir.secret(MASTER_KEY_FILE, || gx_auth::key_ring::new_line(1, entropy))?;
    Ok(dir.join(MASTER_KEY_FILE))
}

/// Creates the key that signs tokens if it is missing; writes the file whole or not at all.
pub(crate) fn token_key(dir: &DataDir) -> Result<(), CliError> {
    let (path, draft) = (dir.join(TOKEN_KEY_FILE), dir.join("token-key.new"));
    if path.exists() {
        return Ok(());
    }
    dir.remove("token-key.new")?;
    gx_auth::create_key_file(&draft)?;
    fs::rename(&draft, &path).map_err(|source| DevError::NotWritable { path, source })?;
    Ok(())
}

/// Adds the first administrator, unless an administrator exists.
pub(crate) async fn administrator(base: &Foundation, password: &str) -> Result<(), CliError> {
    let mut conn = base.database.connection().await?;
    if gx_admin::has_administrators(&mut conn).await? {
        return Ok(());
    }
    let password = NewPassword::new(password).map_err(|wrong| {
        CliError::message(format!(
            "the password in `{ADMIN_PASSWORD_FILE}` {}; write another one into the file",
            wrong.message
        ))
    })?;
    let new = NewAdministrator {
        email: ADMIN_EMAIL.to_owned(),
        display_name: "First administrator".to_owned(),
        role: AdminRole::SuperAdmin,
        password,
    };
    let (hasher, now) = (&base.auth.hasher, base.clock.now());
    gx_admin::create_administrator(&mut conn, hasher, &base.entropy, &new, "gx dev", now).await?;
    Ok(())
}

/// Enqueues the commands that create the supply and the countries. Their ids are always the same,
/// so that a later start enqueues nothing new.
pub(crate) async fn enqueue_first_commands(pool: &PgPool, clock: &Clock) -> Result<(), CliError> {
    let countries = CountryList::embedded().iter().cloned().collect();
    let commands = [Command::BootstrapSystem {}, Command::InitializeCountryData { countries }];
    let mut transaction = pool.begin().await?;
    for command in &commands {
        let new = NewCommand {
            command_id: CommandId::derive(&["development", command.kind().name()]),
            command,
            profile_id: None,
            requested_by: "gx dev",
            request_id: None,
        };
        match gx_outbox::enqueue::enqueue(&mut transaction, new, clock.now()).await {
            Err(EnqueueError::Mismatch(_)) => {
                return Err(CliError::message(
                    "the ledger in this folder has other countries than this release; delete all data \
                    with `--fresh`, or give another folder with `--data-dir DIR`",
                ));
            }
            other => other?,
        };
    }
    Ok(transaction.commit().await?)
}
