//! Rules about the manifests of crates. Called by the parent module.

use std::collections::BTreeSet;

use proc_macro2::TokenTree;

use super::Finding;
use super::workspace::{Crate, Workspace};
use crate::error::Error;
use crate::repo::{Repo, TextFile};
use crate::rust_source::{each_token, tokens};

/// Dependencies that only generated code uses.
const USED_BY_GENERATED_CODE: [(&str, &str); 4] = [
    ("gx-fabric-proto", "prost"),
    ("gx-fabric-proto", "prost-types"),
    ("gx-fabric-proto", "tonic"),
    ("gx-fabric-proto", "tonic-prost"),
];

/// Returns the findings about all manifests.
pub(crate) fn check(repo: &Repo, workspace: &Workspace) -> Result<Vec<Finding>, Error> {
    let sources = repo.rust_files()?;
    let mut findings = Vec::new();
    for member in &workspace.crates {
        let path = format!("{}/Cargo.toml", member.folder);
        let manifest = repo.read(&path)?;
        findings.extend(check_manifest(member, &path, &manifest));
        let words = words_of(&member.folder, &sources)?;
        findings.extend(check_use(member, &path, &words));
    }
    Ok(findings)
}

fn check_manifest(member: &Crate, path: &str, manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if member.description.is_empty() {
        findings.push(Finding::new(path, "must say in `description` what the crate is for"));
    }
    let lints = manifest.split_once("[lints]").map_or("", |(_, after)| after.trim_start());
    if !lints.starts_with("workspace = true") {
        findings.push(Finding::new(path, "must take the lints of the workspace"));
    }
    if !member.folder.ends_with(&member.name) {
        findings.push(Finding::new(path, "must have the name of its folder"));
    }
    let mut in_dependencies = false;
    for (number, line) in (1..).zip(manifest.lines()) {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if in_dependencies && line.contains('=') && !is_shared(member, line) {
            let place = format!("{path}:{number}");
            findings.push(Finding::new(place, "must take version and features from the workspace"));
        }
    }
    findings
}

/// Returns whether a dependency comes from the workspace, or is the crate itself, whose tests may
/// enable a feature.
fn is_shared(member: &Crate, line: &str) -> bool {
    line.contains("workspace = true") || line.starts_with(&format!("{} =", member.name))
}

/// Returns the findings about dependencies that no source file of the crate names.
fn check_use(member: &Crate, path: &str, words: &BTreeSet<String>) -> Vec<Finding> {
    let generated = |name: &str| USED_BY_GENERATED_CODE.contains(&(member.name.as_str(), name));
    member
        .dependencies
        .iter()
        .filter(|d| d.name != member.name)
        .filter(|d| !words.contains(&d.name.replace('-', "_")) && !generated(&d.name))
        .map(|d| Finding::new(path, format!("does not use {}; remove the dependency", d.name)))
        .collect()
}

/// Returns all identifiers in a crate's source files.
fn words_of(folder: &str, sources: &[TextFile]) -> Result<BTreeSet<String>, Error> {
    let inside = format!("{folder}/");
    let mut words = BTreeSet::new();
    for file in sources.iter().filter(|file| file.path.starts_with(&inside)) {
        each_token(&tokens(&file.path, &file.text)?, &mut |tree| {
            if let TokenTree::Ident(word) = tree {
                words.insert(word.to_string());
            }
        });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::{Dependency, Kind};

    fn sample(description: &str) -> Crate {
        let dependency = |name: &str| Dependency {
            name: name.to_owned(),
            kind: Kind::Normal,
            optional: false,
            for_tests: false,
        };
        Crate {
            name: "gx-sample".to_owned(),
            folder: "crates/gx-sample".to_owned(),
            description: description.to_owned(),
            dependencies: vec![dependency("serde-json"), dependency("time")],
        }
    }

    #[test]
    fn a_manifest_describes_its_crate_and_takes_from_the_workspace() {
        let good = "[lints]\nworkspace = true\n\n[dependencies]\ntime.workspace = true\n";
        let good = good.replace("time.workspace = true", "time = { workspace = true }");
        assert!(check_manifest(&sample("A sample."), "x", &good).is_empty());

        let bad = "[dependencies]\ntime = \"0.3\"\n";
        let found: Vec<String> =
            check_manifest(&sample(""), "x", bad).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "x: must say in `description` what the crate is for",
                "x: must take the lints of the workspace",
                "x:2: must take version and features from the workspace"
            ]
        );
    }

    #[test]
    fn a_dependency_that_nothing_names_is_found() {
        let words = ["serde_json".to_owned()].into();
        let found = check_use(&sample("A sample."), "x", &words);
        assert_eq!(found[0].to_string(), "x: does not use time; remove the dependency");
        assert_eq!(found.len(), 1);
    }
}
