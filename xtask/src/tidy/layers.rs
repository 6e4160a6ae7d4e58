//! Which crate may depend on which.
//!
//! binary → services and workers → outbox, serve, fabric-client → db, contract, proto → model

use std::collections::BTreeSet;

use super::Finding;
use super::workspace::{Dependency, Kind, TEST_FEATURE, Workspace};

/// Every crate with its layer. A crate depends on lower layers only, so that crates of one
/// layer (two services, say) cannot know each other.
const LAYERS: [(&str, u8); 20] = [
    ("gx-model", 0),
    ("gx-contract", 1),
    ("gx-db", 1),
    ("gx-fabric-proto", 1),
    ("gx-fabric-client", 2),
    ("gx-outbox", 2),
    ("gx-serve", 2),
    ("gx-auth", 3),
    ("gx-admin", 4),
    ("gx-chaincode", 4),
    ("gx-devnet", 4),
    ("gx-identity", 4),
    ("gx-projector", 4),
    ("gx-submitter", 4),
    ("gx-tokenomics", 4),
    ("gx", 5),
    ("gx-testkit", 6),
    ("gx-bench", 6),
    ("gx-sim", 7),
    ("xtask", 7),
];

/// The layer from which on nothing ships.
const FIRST_UNSHIPPED_LAYER: u8 = 6;

/// Crates that no path of dependencies may lead to, and from where.
const WALLS: [(&[&str], &[&str], &str); 3] = [
    (
        &["gx-identity", "gx-tokenomics", "gx-admin", "gx-auth", "gx-outbox", "gx-serve"],
        &["gx-fabric-client", "gx-fabric-proto", "gx-contract"],
        "a service reaches the ledger through the outbox only",
    ),
    (
        &["gx-fabric-client", "gx-contract", "gx-chaincode", "gx-devnet"],
        &["gx-db", "gx-outbox", "gx-serve"],
        "the ledger's side knows no database and no HTTP service",
    ),
    (
        &["gx-submitter", "gx-projector", "gx-fabric-client"],
        &["gx-contract", "gx-devnet"],
        "workers meet the contracts through the Fabric protocol only",
    ),
];

/// The development ledger, which the production image leaves out.
const DEVELOPMENT_LEDGER: &str = "gx-devnet";

/// Crates that compute and do nothing else.
pub(crate) const PURE_CRATES: [&str; 2] = ["gx-model", "gx-contract"];

/// Crates whose presence means I/O or waiting.
const IMPURE: [&str; 10] =
    ["async-io", "axum", "hyper", "mio", "reqwest", "rustls", "socket2", "sqlx", "tokio", "tonic"];

/// What breaks the order of the crates.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &workspace.crates {
        let Some(layer) = layer_of(&member.name) else {
            let message = "has no layer; give it one in xtask/src/tidy/layers.rs and a row in ARCHITECTURE.md";
            findings.push(Finding::new(&member.name, message));
            continue;
        };
        for dependency in &member.dependencies {
            let Some(below) = layer_of(&dependency.name) else { continue };
            let problems = problems(layer, below, dependency);
            findings.extend(problems.into_iter().map(|text| Finding::new(&member.name, text)));
        }
    }
    findings.extend(check_walls(workspace));
    findings
}

/// What is wrong with a dependency that is more than a test's.
fn problems(layer: u8, below: u8, dependency: &Dependency) -> Vec<String> {
    let Dependency { name, kind, optional, for_tests } = dependency;
    if *kind == Kind::Dev {
        return Vec::new();
    }
    let ships = layer < FIRST_UNSHIPPED_LAYER;
    let mut problems = Vec::new();
    if below >= layer {
        problems.push(format!("must not depend on {name}, which is not of a lower layer"));
    }
    if ships && name == DEVELOPMENT_LEDGER && !optional {
        problems.push(format!("{name} must be an optional dependency"));
    }
    if ships && *for_tests {
        problems.push(format!("ships and must not ask for the feature `{TEST_FEATURE}` of {name}"));
    }
    problems
}

fn check_walls(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (inside, outside, reason) in WALLS {
        for name in inside {
            let reached = workspace.reached_from(name);
            for forbidden in outside.iter().filter(|wall| reached.contains(**wall)) {
                findings.push(Finding::new(*name, format!("reaches {forbidden}, but {reason}")));
            }
        }
    }
    findings
}

/// What keeps a crate from being pure, given everything that is compiled into it.
pub(crate) fn check_purity(name: &str, reached: &BTreeSet<String>) -> Vec<Finding> {
    IMPURE
        .iter()
        .filter(|impure| reached.contains(**impure))
        .map(|impure| Finding::new(name, format!("does no I/O and must not reach {impure}")))
        .collect()
}

fn layer_of(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::workspace::Crate;

    fn dependency(name: &str, kind: Kind, optional: bool) -> Dependency {
        Dependency { name: name.to_owned(), kind, optional, for_tests: false }
    }

    fn workspace(crates: &[(&str, &[&str])]) -> Workspace {
        let member = |(name, dependencies): &(&str, &[&str])| Crate {
            name: (*name).to_owned(),
            folder: format!("crates/{name}"),
            description: String::new(),
            dependencies: dependencies.iter().map(|d| dependency(d, Kind::Normal, false)).collect(),
        };
        Workspace { crates: crates.iter().map(member).collect() }
    }

    fn messages(workspace: &Workspace) -> Vec<String> {
        check(workspace).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_service_cannot_depend_on_another() {
        let found = messages(&workspace(&[("gx-admin", &["gx-identity"]), ("gx-identity", &[])]));
        assert_eq!(
            found,
            ["gx-admin: must not depend on gx-identity, which is not of a lower layer"]
        );
    }

    #[test]
    fn a_service_cannot_reach_the_ledger_by_a_detour() {
        let found = messages(&workspace(&[
            ("gx-fabric-client", &[]),
            ("gx-auth", &["gx-fabric-client"]),
            ("gx-admin", &["gx-auth"]),
        ]));
        let expected = "gx-admin: reaches gx-fabric-client, but a service reaches the ledger through the outbox only";
        assert!(found.iter().any(|message| message == expected), "{found:?}");
    }

    #[test]
    fn the_development_ledger_is_optional_where_it_ships() {
        let mut crates = workspace(&[("gx", &["gx-devnet"]), ("gx-devnet", &[])]);
        assert_eq!(messages(&crates), ["gx: gx-devnet must be an optional dependency"]);

        crates.crates[0].dependencies = vec![dependency("gx-devnet", Kind::Normal, true)];
        assert!(messages(&crates).is_empty());
    }

    #[test]
    fn only_tests_may_use_the_testkit() {
        let mut crates = workspace(&[("gx-outbox", &["gx-testkit"]), ("gx-testkit", &[])]);
        assert_eq!(messages(&crates).len(), 1);

        crates.crates[0].dependencies = vec![dependency("gx-testkit", Kind::Dev, false)];
        assert!(messages(&crates).is_empty());
    }

    #[test]
    fn what_ships_does_not_ask_for_test_features() {
        let mut crates = workspace(&[("gx-outbox", &["gx-db"]), ("gx-db", &[])]);
        crates.crates[0].dependencies[0].for_tests = true;
        let expected = "gx-outbox: ships and must not ask for the feature `testing` of gx-db";
        assert_eq!(messages(&crates), [expected]);
    }

    #[test]
    fn a_new_crate_needs_a_layer() {
        assert!(messages(&workspace(&[("gx-new", &[])]))[0].starts_with("gx-new: has no layer"));
    }

    #[test]
    fn a_pure_crate_reaches_no_runtime() {
        let reached = ["serde", "tokio"].map(str::to_owned).into();
        let found = check_purity("gx-model", &reached);
        assert_eq!(found[0].to_string(), "gx-model: does no I/O and must not reach tokio");
    }
}
