//! `cargo xtask sqlx`: checks or writes the folder `.sqlx`, with which the checked queries compile
//! without a database. Called by `main` and by `schema`; a query or file that does not fit is a
//! finding.
//!
//! The queries are read from the source and described by a server with the migrated schema, as the
//! macros do it, so that neither a second build nor another tool is needed.

mod columns;
mod describe;
mod folder;
pub(crate) mod queries;

use std::collections::BTreeMap;

use crate::error::Error;
use crate::mode::Mode;
use crate::repo::Repo;

use self::queries::Query;

/// The folder that the macros read if there is no database.
const FOLDER: &str = ".sqlx";

/// Describes every checked query. Returns `false` if the schema refuses a query, or if the folder
/// is checked and differs.
pub(crate) fn run(repo: &Repo, mode: Mode) -> Result<bool, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(outcome(repo, mode))?;
    for finding in &outcome.findings {
        println!("{finding}");
    }
    println!("sqlx: {} queries, {} findings", outcome.queries, outcome.findings.len());
    Ok(outcome.findings.is_empty())
}

struct Outcome {
    queries: usize,
    findings: Vec<String>,
}

/// Collects and describes the queries, and checks or writes the folder. Nothing is written if there
/// is a finding.
async fn outcome(repo: &Repo, mode: Mode) -> Result<Outcome, Error> {
    let mut findings = Vec::new();
    let mut queries: Vec<Query> = Vec::new();
    for file in repo.rust_files()? {
        let found = queries::in_file(&file)?;
        findings.extend(found.unreadable);
        queries.extend(found.queries);
    }
    let described = describe::all(&queries).await?;
    findings.extend(described.misfits);
    findings.extend(described.files.iter().filter_map(|file| columns::finding(&file.text)));
    let wanted: BTreeMap<String, String> =
        described.files.into_iter().map(|file| (file.name, file.text)).collect();
    match mode {
        Mode::Check => findings.extend(folder::differences(&repo.path(FOLDER), &wanted)?),
        Mode::Write if findings.is_empty() => folder::write(&repo.path(FOLDER), &wanted)?,
        Mode::Write => {}
    }
    Ok(Outcome { queries: wanted.len(), findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DB-03: every checked query fits the schema that the migrations make, and the saved
    /// descriptions that a build without a database uses are those of that schema. DB-11: none
    /// returns whatever columns a table has.
    #[tokio::test]
    async fn every_query_fits_the_migrated_schema() {
        let outcome = outcome(&Repo::of_this_crate(), Mode::Check).await.unwrap();
        assert!(outcome.findings.is_empty(), "\n{}\n", outcome.findings.join("\n"));
        assert!(outcome.queries > 0);
    }
}
