//! `cargo xtask sim`: builds and runs the simulation. It is a program of its own, because it links
//! all crates and the checks need not wait for that. Called by `main`.

use std::process::Command;

use crate::error::Error;
use crate::repo::Repo;

/// Builds the simulation and runs it with these arguments. Returns whether it succeeded.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Result<bool, Error> {
    // For the whole workspace, so that no crate is built twice with different features.
    let fixed = ["run", "--quiet", "--locked", "--bin", "gx-sim", "--"];
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo.path("")).args(fixed).args(arguments);
    let status = cargo
        .status()
        .map_err(|why| Error::Cargo { arguments: fixed.join(" "), message: why.to_string() })?;
    Ok(status.success())
}
