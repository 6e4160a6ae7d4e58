//! `cargo xtask tidy`: checks the rules of this repository for all crates and files. Called by
//! `main`; each broken rule is a finding, which is printed with what to do.

mod circles;
mod code;
mod documents;
mod layers;
mod manifests;
mod money;
mod text;
mod workspace;

use std::fmt;

use crate::error::Error;
use crate::repo::Repo;

use self::workspace::Workspace;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// A file, a `file:line`, or a crate.
    place: String,
    /// What is wrong and what to do.
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Prints all findings. Returns `false` if there is one.
pub(crate) fn run(repo: &Repo) -> Result<bool, Error> {
    let mut findings = crate_findings(repo)?;
    findings.extend(file_findings(repo)?);
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} findings", findings.len());
    Ok(findings.is_empty())
}

/// Returns the findings about crates and their dependencies.
fn crate_findings(repo: &Repo) -> Result<Vec<Finding>, Error> {
    let workspace = Workspace::read(repo)?;
    let mut findings = layers::check(&workspace);
    for name in layers::PURE_CRATES {
        let reached = workspace::external_dependencies(repo, name)?;
        findings.extend(layers::check_purity(name, &reached));
    }
    findings.extend(manifests::check(repo, &workspace)?);
    Ok(findings)
}

/// Returns the findings about files.
fn file_findings(repo: &Repo) -> Result<Vec<Finding>, Error> {
    let files = repo.text_files()?;
    let mut findings = documents::check(repo, &files);
    findings.extend(circles::check(&files)?);
    for file in &files {
        findings.extend(text::check(file));
        findings.extend(money::check_sql(file));
        if file.is_rust() {
            findings.extend(code::check(file)?);
            findings.extend(money::check_rust(file)?);
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_none(findings: &[Finding]) {
        let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "\n{}\n", list.join("\n"));
    }

    #[test]
    fn dependencies_of_this_workspace_point_one_way() {
        assert_none(&crate_findings(&Repo::of_this_crate()).unwrap());
    }

    /// DB-06: no float in any file that handles money, no inexact column in any migration.
    #[test]
    fn files_of_this_repository_keep_the_rules() {
        assert_none(&file_findings(&Repo::of_this_crate()).unwrap());
    }
}
