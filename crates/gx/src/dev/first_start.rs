//! What the first start makes and later starts find: keys, the first administrator, and the
//! commands that bring the ledger to life.

use std::fs;

use gx_admin::NewAdministrator;
use gx_auth::{AdminRole, Foundation, NewPassword};
use gx_db::PgPool;
use gx_model::{Clock, Command, CommandId, CountryList};
use gx_outbox::{EnqueueError, NewCommand};
use gx_serve::Entropy;

use super::{DataDir, DevError};
use crate::Failure;

/// The first administrator of a development stack.
pub(crate) const ADMIN_EMAIL: &str = "admin@gx.localhost";
/// The file with the first administrator's password.
pub(crate) const ADMIN_PASSWORD_FILE: &str = "admin-password";
/// The file with the key of the biometric hashes.
pub(crate) const BIOMETRIC_KEY_FILE: &str = "biometric-key";
/// The file with the key that signs tokens.
pub(crate) const TOKEN_KEY: &str = "token-key.pem";

/// The first administrator's password, made at the first start: 128 random bits.
pub(crate) fn admin_password(dir: &DataDir, entropy: &Entropy) -> Result<String, DevError> {
    dir.secret(ADMIN_PASSWORD_FILE, || hex::encode(entropy.bytes::<16>()))
}

/// The key of the biometric hashes, made at the first start: 256 random bits.
pub(crate) fn biometric_key(dir: &DataDir, entropy: &Entropy) -> Result<String, DevError> {
    dir.secret(BIOMETRIC_KEY_FILE, || hex::encode(entropy.bytes::<32>()))
}

/// The key that signs tokens, made at the first start, whole or not at all.
pub(crate) fn token_key(dir: &DataDir) -> Result<(), Failure> {
    let (path, draft) = (dir.join(TOKEN_KEY), dir.join("token-key.new"));
    if path.exists() {
        return Ok(());
    }
    dir.remove("token-key.new")?;
    gx_auth::create_key_file(&draft)?;
    fs::rename(&draft, &path)?;
    Ok(())
}

/// Adds the first administrator, unless there is any.
pub(crate) async fn administrator(base: &Foundation, password: &str) -> Result<(), Failure> {
    let mut conn = base.database.connection().await?;
    if gx_admin::has_administrators(&mut conn).await? {
        return Ok(());
    }
    let password = NewPassword::new(password)
        .map_err(|wrong| Failure::say(format!("{ADMIN_PASSWORD_FILE} {}", wrong.message)))?;
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

/// Wants the supply created and the countries known. The commands' ids are always the same,
/// so that wanting them at every start changes nothing.
pub(crate) async fn bring_ledger_to_life(pool: &PgPool, clock: &Clock) -> Result<(), Failure> {
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
        match gx_outbox::enqueue(&mut transaction, new, clock.now()).await {
            Err(EnqueueError::Mismatch(_)) => {
                return Err(Failure::say(
                    "the ledger in this folder was made with other countries than this release \
                     knows: start over with --fresh, or name another folder with --data-dir DIR",
                ));
            }
            other => other?,
        };
    }
    Ok(transaction.commit().await?)
}
