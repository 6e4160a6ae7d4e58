//! Compares and writes the folder `.sqlx`. Called by the parent module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::Error;

/// The remedy for a difference.
const REMEDY: &str = "run `cargo xtask sqlx --write`";

/// Returns the findings about files that are missing, unused or different.
pub(crate) fn differences(
    folder: &Path,
    wanted: &BTreeMap<String, String>,
) -> Result<Vec<String>, Error> {
    let present = names(folder)?;
    let mut differences = Vec::new();
    for name in present.iter().filter(|name| !wanted.contains_key(*name)) {
        differences.push(format!("{name}: no query uses it; {REMEDY}"));
    }
    for (name, text) in wanted {
        let sql = start_of_sql(text);
        if !present.contains(name) {
            differences.push(format!("{name}: missing for {sql}; {REMEDY}"));
        } else if !same_json(&read(&folder.join(name))?, text) {
            differences.push(format!("{name}: differs from the schema for {sql}; {REMEDY}"));
        }
    }
    Ok(differences)
}

/// Writes the wanted files and deletes all others.
pub(crate) fn write(folder: &Path, wanted: &BTreeMap<String, String>) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    for name in names(folder)?.iter().filter(|name| !wanted.contains_key(*name)) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(Error::file(&path))?;
    }
    for (name, text) in wanted {
        let path = folder.join(name);
        // An unchanged file keeps its time, so that cargo does not compile again.
        if path.exists() && same_json(&read(&path)?, text) {
            continue;
        }
        fs::write(&path, text).map_err(Error::file(&path))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file(path))
}

fn names(folder: &Path) -> Result<BTreeSet<String>, Error> {
    if !folder.exists() {
        return Ok(BTreeSet::new());
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let entry = entry.map_err(Error::file(folder))?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Returns whether two files have the same JSON; the order of fields does not matter.
fn same_json(one: &str, other: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    parse(one).is_some_and(|value| Some(value) == parse(other))
}

fn start_of_sql(text: &str) -> String {
    let file: Value = serde_json::from_str(text).unwrap_or_default();
    let sql = file["query"].as_str().unwrap_or_default();
    let words: Vec<&str> = sql.split_whitespace().take(8).collect();
    format!("`{} …`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sql: &str, columns: &str) -> String {
        format!(r#"{{"query": "{sql}", "describe": {{"columns": [{columns}]}}}}"#)
    }

    fn wanted(files: &[(&str, String)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect()
    }

    #[test]
    fn writing_leaves_exactly_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("query-old.json"), "{}").unwrap();
        let wanted = wanted(&[("query-new.json", file("SELECT 1", ""))]);
        write(folder.path(), &wanted).unwrap();
        assert_eq!(differences(folder.path(), &wanted).unwrap(), Vec::<String>::new());
        assert_eq!(names(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn each_difference_is_named_with_its_query() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("query-stale.json"), file("SELECT 1", "")).unwrap();
        fs::write(folder.path().join("query-unused.json"), "{}").unwrap();
        let wanted = wanted(&[
            ("query-missing.json", file("SELECT 2", "")),
            ("query-stale.json", file("SELECT 1", r#""n""#)),
        ]);
        let found = differences(folder.path(), &wanted).unwrap();
        assert_eq!(
            found,
            [
                format!("query-unused.json: no query uses it; {REMEDY}"),
                format!("query-missing.json: missing for `SELECT 2 …`; {REMEDY}"),
                format!("query-stale.json: differs from the schema for `SELECT 1 …`; {REMEDY}"),
            ]
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        assert!(differences(&folder.path().join("none"), &BTreeMap::new()).unwrap().is_empty());
    }

    #[test]
    fn the_order_of_fields_is_no_difference() {
        assert!(same_json(r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#));
        assert!(!same_json("broken", "broken"));
    }
}
