//! `gx db`: migrates the schema, and compares the configured database instances. `main` calls
//! [`run`], and prints an error and exits with code 1; `gx dev` calls [`fill_mailboxes`].

use clap::Subcommand;
use gx_auth::email::mailboxes::{self, FillReport};
use gx_db::{DatabaseSettings, DbError, InstanceReport};
use gx_model::Clock;
use serde_json::{Value, json};

use crate::CliError;
use crate::print::{Format, note, out};

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Apply all pending migrations, update the countries, and compare the schema with this release
    Migrate(#[command(flatten)] DatabaseSettings),
    /// Compare all configured database instances with each other and with this release
    Check(#[command(flatten)] DatabaseSettings),
}

/// Runs a command of `gx db`.
pub(crate) async fn run(command: DbCommand, format: Format) -> Result<(), CliError> {
    match command {
        DbCommand::Migrate(settings) => migrate(&settings, format).await,
        DbCommand::Check(settings) => check(&settings, format).await,
    }
}

/// Applies the pending migrations and prints what was done. Fails if the schema then differs from
/// that of this release.
async fn migrate(settings: &DatabaseSettings, format: Format) -> Result<(), CliError> {
    let report = gx_db::upgrade(settings, &Clock::system(), note).await?;
    let quarantined: Vec<String> = report.quarantined.iter().map(ToString::to_string).collect();
    let mut record = json!({ "applied": report.applied, "quarantined": quarantined });
    if report.differences.is_empty() {
        let filled = fill_mailboxes(settings).await?;
        record["mailboxesAdded"] = filled.added.into();
        record["sharedMailboxes"] = filled.shared.iter().map(shared_mailbox).collect();
        record["unmailableAddresses"] = json!(filled.unmailable);
    }
    format.record(&record)?;
    if report.differences.is_empty() {
        return Ok(());
    }
    let differences = report.differences.join("; ");
    Err(CliError::message(format!(
        "the schema differs from this release ({differences}); undo the changes, or run the release \
         that made them"
    )))
}

/// Stores the mailbox of accounts that were registered with an earlier release, and prints to
/// standard error which accounts share a mailbox. One of them owns it; the others stay unchanged,
/// because only the people can tell which account to close.
pub(crate) async fn fill_mailboxes(settings: &DatabaseSettings) -> Result<FillReport, CliError> {
    let mut conn = gx_db::connect_for_migration(settings).await?;
    let report = mailboxes::fill(&mut conn).await?;
    for mailboxes::SharedMailbox { profile_id, owner } in &report.shared {
        note(&format!(
            "profiles {profile_id} and {owner} have one mailbox: each signs in with its own \
            spelling of the address, and any other spelling leads to {owner}; close one of them"
        ));
    }
    for profile_id in &report.unmailable {
        note(&format!(
            "profile {profile_id} has an e-mail address that cannot be mailed to; ask for another one"
        ));
    }
    Ok(report)
}

fn shared_mailbox(shared: &mailboxes::SharedMailbox) -> Value {
    json!({ "profileId": shared.profile_id, "owner": shared.owner })
}

/// Compares the instances and prints them. Fails if there is a finding.
async fn check(settings: &DatabaseSettings, format: Format) -> Result<(), CliError> {
    let report = gx_db::check(settings).await.map_err(DbError::from)?;
    let instances: Vec<Value> = report.instances.iter().map(instance_record).collect();
    match format {
        Format::Json => {
            format.record(&json!({ "instances": instances, "findings": report.findings }))?;
        }
        Format::Text => {
            format.table(&instances)?;
            report.findings.iter().try_for_each(|finding| out(finding))?;
        }
    }
    match report.findings.len() {
        0 => Ok(()),
        count => Err(CliError::message(format!(
            "{count} findings about the database instances; correct each one in the list"
        ))),
    }
}

fn instance_record(report: &InstanceReport) -> Value {
    let (mut state, system_id) = match &report.answer {
        Err(why) => (why.clone(), None),
        Ok(answer) => (answer.schema.to_string(), Some(answer.facts.system_id.to_string())),
    };
    if report.pooler.is_some() && report.answer.is_ok() {
        state += " for services; workers and migrations need a URL without the pooler";
    }
    json!({ "instance": report.instance, "systemId": system_id, "verdict": state })
}
