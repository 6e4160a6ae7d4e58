//! Rules about the dependencies between crates. Called by the parent module.
//!
//! binary → services and workers, chaincode, devnet → documents → auth → mail → outbox, serve,
//! fabric-client → db, contract, proto → model → ledger-api

use std::collections::BTreeSet;

use super::Finding;
use super::workspace::{Dependency, Kind, TEST_FEATURE, Workspace};

/// Every crate with its layer. A crate may depend on lower layers only, so that crates of one
/// layer, such as two services, cannot depend on each other.
const LAYERS: [(&str, u8); 23] = [
    ("gx-ledger-api", 0),
    ("gx-model", 1),
    ("gx-contract", 2),
    ("gx-db", 2),
    ("gx-fabric-proto", 2),
    ("gx-fabric-client", 3),
    ("gx-outbox", 3),
    ("gx-serve", 3),
    ("gx-mail", 4),
    ("gx-auth", 5),
    ("gx-documents", 6),
    ("gx-admin", 7),
    ("gx-chaincode", 7),
    ("gx-devnet", 7),
    ("gx-identity", 7),
    ("gx-projector", 7),
    ("gx-submitter", 7),
    ("gx-tokenomics", 7),
    ("gx", 8),
    ("gx-testkit", 9),
    ("gx-bench", 9),
    ("gx-sim", 10),
    ("xtask", 10),
];

/// First layer of the crates that do not ship.
const FIRST_UNSHIPPED_LAYER: u8 = 9;

/// Crates, the crates that none of them may reach through dependencies, and the reason.
const WALLS: [(&[&str], &[&str], &str); 4] = [
    (
        &[
            "gx-identity",
            "gx-tokenomics",
            "gx-admin",
            "gx-documents",
            "gx-auth",
            "gx-mail",
            "gx-outbox",
            "gx-serve",
        ],
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
    (
        &["gx-fabric-proto", "gx-fabric-client", "gx-devnet"],
        &["gx-model", "gx-contract"],
        "the Fabric crates know of GX only what gx-ledger-api has",
    ),
];

/// The development ledger, which is not in the production image.
const DEVELOPMENT_LEDGER: &str = "gx-devnet";

/// Crates without I/O.
pub(crate) const PURE_CRATES: [&str; 3] = ["gx-ledger-api", "gx-model", "gx-contract"];

/// External crates that do I/O or wait.
const IMPURE: [&str; 10] =
    ["async-io", "axum", "hyper", "mio", "reqwest", "rustls", "socket2", "sqlx", "tokio", "tonic"];

/// Returns the findings about dependencies between crates.
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

/// Returns the findings about a dependency. A dependency of tests may lead anywhere.
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

/// Returns the findings about a crate without I/O, from all crates that are compiled into it.
pub(crate) fn check_purity(name: &str, reached: &BTreeSet<String>) -> Vec<Finding> {
    IMPURE
        .iter()
        .filter(|impure| reached.contains(**impure))
        .map(|impure| Finding::new(name, format!("does no I/O and must not reach {impure}")))
        .collect()
}

/// Returns the layer of a crate of the workspace, or `None` for any other crate.
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
    fn every_crate_has_a_row_in_the_architecture() {
        let page = crate::repo::Repo::of_this_crate().read("ARCHITECTURE.md").unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
        let listed: Vec<&str> = rows.flat_map(|(cell, _)| cell.split('`')).collect();
        let missing: Vec<&str> =
            LAYERS.iter().map(|(name, _)| *name).filter(|name| !listed.contains(name)).collect();
        assert!(missing.is_empty(), "ARCHITECTURE.md has no row for {missing:?}");
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
    fn the_fabric_crates_know_no_command_and_no_contract() {
        let mut crates = workspace(&[
            ("gx-model", &[]),
            ("gx-contract", &["gx-model"]),
            ("gx-fabric-client", &["gx-model"]),
            ("gx-devnet", &["gx-contract"]),
        ]);
        let wall = "but the Fabric crates know of GX only what gx-ledger-api has";
        let found = messages(&crates);
        for reached in ["gx-fabric-client: reaches gx-model", "gx-devnet: reaches gx-contract"] {
            assert!(found.contains(&format!("{reached}, {wall}")), "{found:?}");
        }

        for tested in &mut crates.crates[2..] {
            tested.dependencies.iter_mut().for_each(|one| one.kind = Kind::Dev);
        }
        assert!(messages(&crates).is_empty());
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
