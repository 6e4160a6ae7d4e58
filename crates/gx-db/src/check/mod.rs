//! `gx db check`: asks every configured instance and compares the answers. Everything that is
//! wrong, also an instance that does not answer, becomes a finding; the command fails if there is
//! one.

use std::fmt;

use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::instance::{self, InstanceFacts, NotProven, SchemaState, UnusableInstance};
use crate::migrate::{Quarantined, store};
use crate::pooler::{self, Pooler};
use crate::{DatabaseSettings, SettingsError, country_differences};

/// Report about one instance.
#[derive(Clone, Debug)]
pub struct InstanceReport {
    /// `host:port/database`.
    pub instance: String,
    /// What the instance answered, or why it did not.
    pub answer: Result<InstanceAnswer, String>,
    /// A pooler in front of the instance that gives each transaction another session.
    pub pooler: Option<Pooler>,
}

/// Answer of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceAnswer {
    /// Identity and state of the instance.
    pub facts: InstanceFacts,
    /// Relation of the schema to this release's.
    pub schema: SchemaState,
    /// Differences between the countries and the list of this release.
    pub countries: Vec<String>,
    /// Values that a migration removed because they break a rule.
    pub quarantined: Vec<Quarantined>,
}

/// Report about all instances.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The instances, in the order of the settings.
    pub instances: Vec<InstanceReport>,
    /// Everything that is wrong, each with the instance's name.
    pub findings: Vec<String>,
}

/// Asks every configured instance, including standbys, and compares the answers.
///
/// # Errors
/// [`SettingsError`] if a setting is wrong; nothing is asked then.
pub async fn check(settings: &DatabaseSettings) -> Result<CheckReport, SettingsError> {
    let mut instances = Vec::new();
    for endpoint in settings.endpoints()? {
        let mut pooler = None;
        let asked = ask(&endpoint, &mut pooler);
        let answer = match timeout(settings.connect_timeout(), asked).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        instances.push(InstanceReport { instance: endpoint.label, answer, pooler });
    }
    let findings = findings(&instances, settings.database_system_id);
    Ok(CheckReport { instances, findings })
}

/// Asks one instance. `found` gets the pooler in front of it, also if the instance is unusable.
async fn ask(endpoint: &Endpoint, found: &mut Option<Pooler>) -> Result<InstanceAnswer, NotProven> {
    let (mut conn, pooler) = pooler::open(endpoint, "check").await?;
    if let Some(pooler) = pooler {
        let serves = pooler.serves(false);
        *found = Some(pooler);
        serves.map_err(UnusableInstance::Pooler)?;
    }
    let facts = instance::facts(&mut conn).await?;
    let schema = instance::schema_state(&mut conn).await?;
    let (mut countries, mut quarantined) = (Vec::new(), Vec::new());
    if schema == SchemaState::Current {
        countries = country_differences(&mut conn, None).await?;
        quarantined = store::quarantined(&mut conn).await?;
    }
    Ok(InstanceAnswer { facts, schema, countries, quarantined })
}

/// Returns everything that is wrong. `wanted` is the cluster of the settings; without it, the first
/// instance that answers decides which cluster is expected.
fn findings(instances: &[InstanceReport], wanted: Option<u64>) -> Vec<String> {
    let mut findings = Vec::new();
    let answers = || {
        let answering =
            instances.iter().filter_map(|i| Some((&i.instance, i.answer.as_ref().ok()?)));
        answering.collect::<Vec<_>>()
    };
    for report in instances {
        if let Err(error) = &report.answer {
            let lacks = if report.pooler.is_some() { "cannot be used" } else { "does not answer" };
            findings.push(format!("{}: {lacks}: {error}", report.instance));
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
            SchemaState::Different(lines) => lines,
            other => &[other.to_string()],
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
        for InstanceReport { instance, answer, pooler } in &self.instances {
            if pooler.is_some() {
                writeln!(f, "{instance}: behind a pooler in transaction mode")?;
            }
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
            for value in &answer.quarantined {
                writeln!(f, "{instance}: in quarantine: {value}")?;
            }
        }
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, row, column, reason } = self;
        write!(f, "{table} {row}, {column}: {reason}")
    }
}

#[cfg(test)]
mod tests;
