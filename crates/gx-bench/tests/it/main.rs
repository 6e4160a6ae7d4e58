//! A smoke run of every row.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;
use std::process::{Command, Output};

fn bench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gx-bench"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("GX_FABRIC_PROFILE")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn a_smoke_run_measures_every_row_and_compares_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let listed = text(&bench(folder.path(), &["list"]));
    let names: Vec<&str> = listed
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .filter(|name| !name.starts_with("network-"))
        .collect();

    let first = bench(folder.path(), &["run", "--smoke", "--out", "first"]);
    assert!(first.status.success(), "{}", text(&first));
    let results = std::fs::read(folder.path().join("first/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
    let measured: Vec<&str> = results["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(measured, names);
    for row in results["rows"].as_array().unwrap() {
        assert!(row["measured"]["median"].is_f64(), "{row}");
        assert!(row["limit"]["median"].is_f64(), "{row}");
    }
    let picture = std::fs::read_to_string(folder.path().join("first/results.svg")).unwrap();
    assert!(names.iter().all(|name| picture.contains(name)));

    let name = names[0];
    let compare = ["run", "--smoke", "--rows", name, "--out", "second", "--compare"];
    let second = bench(folder.path(), &[&compare[..], &["first/results.json"]].concat());
    assert!(second.status.success(), "{}", text(&second));
    let table = text(&second);
    let line = table.lines().find(|line| line.starts_with(name) && line.contains('%'));
    assert!(line.is_some(), "{table}");
}

#[test]
fn an_unknown_row_is_refused_with_the_names_of_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let refused = bench(folder.path(), &["run", "--rows", "nothing"]);
    assert!(!refused.status.success());
    assert!(text(&refused).contains("there is no row nothing; there are devnet-commit"));
}
