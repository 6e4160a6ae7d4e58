//! Reads the crates of the workspace and their dependencies from cargo. Called by the parent
//! module. If cargo fails, the check ends with an error.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::repo::Repo;

/// The crates of the workspace.
pub(crate) struct Workspace {
    pub(crate) crates: Vec<Crate>,
}

/// A crate of the workspace.
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Folder from the root of the repository.
    pub(crate) folder: String,
    pub(crate) description: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A dependency of a crate.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    /// Whether the dependency enables the feature [`TEST_FEATURE`].
    pub(crate) for_tests: bool,
}

/// The feature with what a crate has for the tests of other crates.
pub(crate) const TEST_FEATURE: &str = "testing";

/// The table of a dependency in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Workspace {
    /// Reads the workspace from `cargo metadata`.
    pub(crate) fn read(repo: &Repo) -> Result<Self, Error> {
        let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
        let text = cargo(repo, &arguments)?;
        let json: Value = serde_json::from_str(&text).map_err(|error| Error::Cargo {
            arguments: arguments.join(" "),
            message: error.to_string(),
        })?;
        let root = text_of(&json["workspace_root"]);
        let crates =
            json["packages"].as_array().into_iter().flatten().map(|p| Crate::from_json(p, &root));
        Ok(Self { crates: crates.collect() })
    }

    /// Returns a crate by its name, or `None` if it is not in the workspace.
    pub(crate) fn find(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|member| member.name == name)
    }

    /// Returns the crates of the workspace that are built into a crate, without those of tests.
    pub(crate) fn reached_from(&self, name: &str) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![name.to_owned()];
        while let Some(name) = waiting.pop() {
            let dependencies = self.find(&name).into_iter().flat_map(|member| &member.dependencies);
            for dependency in dependencies.filter(|dependency| dependency.kind != Kind::Dev) {
                if self.find(&dependency.name).is_some() && reached.insert(dependency.name.clone())
                {
                    waiting.push(dependency.name.clone());
                }
            }
        }
        reached
    }
}

impl Crate {
    fn from_json(package: &Value, root: &str) -> Self {
        let manifest = text_of(&package["manifest_path"]);
        let folder = manifest.trim_start_matches(root).trim_end_matches("Cargo.toml");
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        Self {
            name: text_of(&package["name"]),
            folder: folder.trim_matches('/').to_owned(),
            description: text_of(&package["description"]),
            dependencies: dependencies.map(Dependency::from_json).collect(),
        }
    }
}

impl Dependency {
    fn from_json(dependency: &Value) -> Self {
        let kind = match dependency["kind"].as_str() {
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            _ => Kind::Normal,
        };
        let optional = dependency["optional"].as_bool().unwrap_or(false);
        let mut features = dependency["features"].as_array().into_iter().flatten();
        let for_tests = features.any(|feature| feature == TEST_FEATURE);
        Self { name: text_of(&dependency["name"]), kind, optional, for_tests }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns the external crates that are compiled into a crate on this platform.
pub(crate) fn external_dependencies(repo: &Repo, name: &str) -> Result<BTreeSet<String>, Error> {
    let arguments =
        ["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", name];
    let tree = cargo(repo, &arguments)?;
    let first_word = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    Ok(tree.lines().map(first_word).filter(|name| !name.is_empty()).collect())
}

/// Runs cargo and returns what it prints. Fails if its exit code is not 0.
fn cargo(repo: &Repo, arguments: &[&str]) -> Result<String, Error> {
    let failed = |message: String| Error::Cargo { arguments: arguments.join(" "), message };
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(repo.path(""))
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()))
}
