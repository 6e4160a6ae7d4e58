//! `gx admin`: adds administrators. `main` calls [`run`] and prints an error. An error before the
//! result is printed adds nobody.

use std::io::BufRead as _;

use clap::{Args, Subcommand};
use gx_admin::NewAdministrator;
use gx_auth::{AdminRole, Hasher, HashingSettings, NewPassword};
use gx_db::DatabaseSettings;
use gx_model::Clock;
use gx_serve::Entropy;
use serde_json::json;

use crate::CliError;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Add an administrator; the password is the first line of standard input
    Create(#[command(flatten)] Create),
}

/// The arguments of `gx admin create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    hashing: HashingSettings,
    /// E-mail address to sign in with
    #[arg(long)]
    email: String,
    /// Name that others see
    #[arg(long)]
    name: String,
    /// AUDITOR, REVIEWER, ADMIN or SUPER_ADMIN
    #[arg(long, value_parser = parse_role)]
    role: AdminRole,
}

fn parse_role(text: &str) -> Result<AdminRole, String> {
    AdminRole::from_name(text)
        .ok_or_else(|| "must be AUDITOR, REVIEWER, ADMIN or SUPER_ADMIN".to_owned())
}

/// Adds the administrator and prints the result.
pub(crate) async fn run(command: AdminCommand, format: Format) -> Result<(), CliError> {
    let AdminCommand::Create(Create { database, hashing, email, name, role }) = command;
    let mut password = String::new();
    std::io::stdin().lock().read_line(&mut password).map_err(|why| {
        CliError::caused_by("the password cannot be read; give it on standard input", &why)
    })?;
    let password = NewPassword::new(password.trim_end_matches(['\r', '\n'])).map_err(|wrong| {
        CliError::message(format!("the password {}; choose another one", wrong.message))
    })?;
    let entropy = Entropy::system();
    let hasher = Hasher::new(&hashing, entropy.clone())?;
    let database = gx_db::connect(&database.named("command")).await?;
    let mut conn = database.connection().await?;
    let new = NewAdministrator { email, display_name: name, role, password };
    let now = Clock::system().now();
    let id =
        gx_admin::create_administrator(&mut conn, &hasher, &entropy, &new, "gx admin create", now)
            .await?;
    format.line(&format!("{} may sign in as {}", new.email, role.name()), &json!({ "adminId": id }))
}
