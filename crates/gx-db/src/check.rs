//! `gx db check`: every configured instance beside the others, and what differs.

use std::fmt;

use sqlx::{ConnectOptions as _, PgConnection};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::instance::{self, InstanceFacts, SchemaState};
use crate::migrate::{Quarantined, store};
use crate::{DatabaseSettings, SettingsError, country_differences};

/// What was found on one instance.
#[derive(Clone, Debug)]
pub struct InstanceReport {
    /// `host:port/database`.
    pub instance: String,
    /// What it says, or why it says nothing.
    pub answer: Result<InstanceAnswer, String>,
}

/// An instance that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceAnswer {
    /// What it is.
    pub facts: InstanceFacts,
    /// How its schema stands to this release's.
    pub schema: SchemaState,
    /// How its countries differ from the list of this release.
    pub countries: Vec<String>,
    /// Values that a migration found to break a rule and took out.
    pub quarantined: Vec<Quarantined>,
}

/// All instances together.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// Each, in the order of the settings.
    pub instances: Vec<InstanceReport>,
    /// What is wrong, each with the instance's name.
    pub findings: Vec<String>,
}

/// Asks every configured instance, standbys too, and compares.
pub async fn check(settings: &DatabaseSettings) -> Result<CheckReport, SettingsError> {
    let mut instances = Vec::new();
    for endpoint in settings.endpoints()? {
        let answer = match timeout(settings.connect_timeout(), ask(&endpoint)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("it is silent".to_owned()),
        };
        instances.push(InstanceReport { instance: endpoint.label, answer });
    }
    let findings = findings(&instances, settings.database_system_id);
    Ok(CheckReport { instances, findings })
}

async fn ask(endpoint: &Endpoint) -> sqlx::Result<InstanceAnswer> {
    let mut conn: PgConnection = endpoint.options.connect().await?;
    let facts = instance::facts(&mut conn).await?;
    let schema = instance::schema_state(&mut conn).await?;
    let (mut countries, mut quarantined) = (Vec::new(), Vec::new());
    if schema == SchemaState::Current {
        countries = country_differences(&mut conn, None).await?;
        quarantined = store::quarantined(&mut conn).await?;
    }
    Ok(InstanceAnswer { facts, schema, countries, quarantined })
}

fn findings(instances: &[InstanceReport], wanted: Option<u64>) -> Vec<String> {
    let mut findings = Vec::new();
    let answers = || {
        let answering =
            instances.iter().filter_map(|i| Some((&i.instance, i.answer.as_ref().ok()?)));
        answering.collect::<Vec<_>>()
    };
    for report in instances {
        if let Err(error) = &report.answer {
            findings.push(format!("{}: does not answer: {error}", report.instance));
        }
    }
    let expected = wanted.or_else(|| answers().first().map(|(_, answer)| answer.facts.system_id));
    for (name, answer) in answers() {
        if let Some(expected) = expected.filter(|expected| *expected != answer.facts.system_id) {
            let found = answer.facts.system_id;
            findings.push(format!("{name}: belongs to cluster {found}, not to {expected}"));
        }
        let schema = match &answer.schema {
            SchemaState::Current => &[][..],
            SchemaState::Empty => &["the database is empty: run `gx db migrate`".to_owned()],
            SchemaState::Pending(names) => {
                let names = names.join(", ");
                &[format!("migrations are pending: run `gx db migrate` for {names}")]
            }
            SchemaState::Different(lines) => lines,
        };
        for line in schema.iter().chain(&answer.countries) {
            findings.push(format!("{name}: {line}"));
        }
    }
    let writers: Vec<&str> = answers()
        .iter()
        .filter(|(_, answer)| !answer.facts.read_only)
        .map(|(name, _)| name.as_str())
        .collect();
    match writers.len() {
        1 => {}
        0 => findings.push("no instance can be written to: promote one".to_owned()),
        _ => findings
            .push(format!("more than one instance can be written to: {}", writers.join(", "))),
    }
    findings
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for InstanceReport { instance, answer } in &self.instances {
            let Ok(answer) = answer else {
                writeln!(f, "{instance}: no answer")?;
                continue;
            };
            let role = match answer.facts {
                InstanceFacts { in_recovery: true, .. } => "standby",
                InstanceFacts { read_only: true, .. } => "read-only",
                _ => "writer",
            };
            writeln!(f, "{instance}: {role}, system id {}", answer.facts.system_id)?;
            for Quarantined { table, row, column, reason } in &answer.quarantined {
                writeln!(f, "{instance}: in quarantine: {table} {row}, {column}: {reason}")?;
            }
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

#[cfg(test)]
mod tests;
