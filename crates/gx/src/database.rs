//! `gx db`: bring the schema up to date, compare the configured instances.

use clap::Subcommand;
use gx_db::{DatabaseSettings, InstanceReport, SchemaState};
use gx_model::Clock;
use serde_json::{Value, json};

use crate::Failure;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Apply every pending migration and bring the countries up to date
    Migrate(#[command(flatten)] DatabaseSettings),
    /// Compare all configured instances with each other and with this release
    Check(#[command(flatten)] DatabaseSettings),
}

/// Carries one of the commands out.
pub(crate) async fn run(command: DbCommand, format: Format) -> Result<(), Failure> {
    match command {
        DbCommand::Migrate(settings) => migrate(&settings, format).await,
        DbCommand::Check(settings) => check(&settings, format).await,
    }
}

async fn migrate(settings: &DatabaseSettings, format: Format) -> Result<(), Failure> {
    let mut conn = gx_db::connect_for_migration(settings).await?;
    let report = gx_db::migrate(&mut conn, &Clock::system()).await?;
    let quarantined: Vec<String> =
        report.quarantined.iter().map(|value| format!("{value:?}")).collect();
    format.record(&json!({ "applied": report.applied, "quarantined": quarantined }));
    if report.differences.is_empty() {
        return Ok(());
    }
    let differences = report.differences.join("; ");
    Err(Failure::say(format!("the schema differs from this release's: {differences}")))
}

async fn check(settings: &DatabaseSettings, format: Format) -> Result<(), Failure> {
    let report = gx_db::check(settings).await?;
    let instances: Vec<Value> = report.instances.iter().map(instance).collect();
    match format {
        Format::Json => {
            println!("{}", json!({ "instances": instances, "findings": report.findings }));
        }
        Format::Text => format.table(&instances),
    }
    if report.findings.is_empty() {
        return Ok(());
    }
    Err(Failure::say(report.findings.join("; ")))
}

fn instance(report: &InstanceReport) -> Value {
    let (verdict, system_id) = match &report.answer {
        Err(why) => (why.clone(), None),
        Ok(answer) => {
            let verdict = match &answer.schema {
                SchemaState::Current => "ok".to_owned(),
                other => format!("{other:?}"),
            };
            (verdict, Some(answer.facts.system_id.to_string()))
        }
    };
    json!({ "instance": report.instance, "systemId": system_id, "verdict": verdict })
}
