//! `cargo xtask schema`: the files that belong to each migration and follow from its SQL. These are
//! its line in the list `MIGRATIONS`, the snapshot of the schema that it leaves behind, and the
//! descriptions of the checked queries. Called by `main`; a file that differs is a finding.

use std::fs;
use std::process::Command;

use gx_db::MIGRATIONS;
use gx_db::testing::catalogue_after;

use crate::error::Error;
use crate::mode::Mode;
use crate::repo::Repo;
use crate::sql;

const MIGRATION_FILES: &str = "crates/gx-db/migrations";
const SNAPSHOTS: &str = "crates/gx-db/schema";
/// The file with the list `MIGRATIONS`, and the line that ends the list.
const LIST: &str = "crates/gx-db/src/migrate/mod.rs";
const END_OF_LIST: &str = "];\n\nimpl Migration {";
const REMEDY: &str = "run `cargo xtask schema --write`";

/// Compares the files with the migrations, or writes them. Returns `false` if a file differs and is
/// only compared.
pub(crate) fn run(repo: &Repo, mode: Mode) -> Result<bool, Error> {
    let unlisted = unlisted(repo)?;
    if let (Mode::Write, [_, ..]) = (mode, &*unlisted) {
        list(repo, &unlisted)?;
        return run_again(repo);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let stale = runtime.block_on(stale_snapshots(repo))?;
    let findings: Vec<String> = unlisted
        .iter()
        .map(|name| format!("{MIGRATION_FILES}/{name}.sql: not in MIGRATIONS ({LIST})"))
        .chain(stale.iter().map(|(path, _)| format!("{path}: differs from the migrations")))
        .collect();
    if mode == Mode::Check {
        findings.iter().for_each(|finding| println!("{finding}; {REMEDY}"));
        println!("schema: {} findings", findings.len());
        return Ok(findings.is_empty());
    }
    for (path, text) in &stale {
        let path = repo.path(path);
        fs::write(&path, text).map_err(Error::file(&path))?;
    }
    println!("schema: {} snapshots written", stale.len());
    sql::run(repo, mode)
}

/// Returns the names of the migration files that `MIGRATIONS` lacks, in order.
fn unlisted(repo: &Repo) -> Result<Vec<String>, Error> {
    let folder = repo.path(MIGRATION_FILES);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::file(&folder))? {
        let file = entry.map_err(Error::file(&folder))?.file_name();
        names.extend(file.to_string_lossy().strip_suffix(".sql").map(str::to_owned));
    }
    names.retain(|name| MIGRATIONS.iter().all(|known| known.name != name));
    names.sort();
    Ok(names)
}

/// Adds migrations to the list as additive ones, each with an empty snapshot.
fn list(repo: &Repo, names: &[String]) -> Result<(), Error> {
    let path = repo.path(LIST);
    let mut text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    for (name, version) in names.iter().zip(MIGRATIONS.len() + 1..) {
        let line = format!("    migration!({version}, \"{name}\", additive: true),\n");
        text = text.replace(END_OF_LIST, &format!("{line}{END_OF_LIST}"));
        let snapshot = repo.path(&format!("{SNAPSHOTS}/{name}.txt"));
        fs::write(&snapshot, "").map_err(Error::file(&snapshot))?;
        println!(
            "schema: {name} is in {LIST}; change `additive` if older binaries cannot run on it"
        );
    }
    fs::write(&path, text).map_err(Error::file(&path))
}

/// Builds this program with the new list and runs it. Returns whether it succeeded.
fn run_again(repo: &Repo) -> Result<bool, Error> {
    let arguments = ["xtask", "schema", "--write"];
    let status = Command::new("cargo").args(arguments).current_dir(repo.path("")).status();
    let failed = |why: std::io::Error| Error::Cargo {
        arguments: arguments.join(" "),
        message: why.to_string(),
    };
    Ok(status.map_err(failed)?.success())
}

/// Returns the path and the right text of each snapshot that differs from its migration.
async fn stale_snapshots(repo: &Repo) -> Result<Vec<(String, String)>, Error> {
    let mut stale = Vec::new();
    for migration in MIGRATIONS {
        let text = catalogue_after(migration).await.map_err(Error::Migration)?.to_string();
        let path = format!("{SNAPSHOTS}/{}.txt", migration.name);
        if repo.read(&path)? != text {
            stale.push((path, text));
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_listed_where_a_new_one_is_added() {
        let repo = Repo::of_this_crate();
        assert_eq!(unlisted(&repo).unwrap(), Vec::<String>::new());
        assert!(repo.read(LIST).unwrap().contains(END_OF_LIST));
    }
}
