//! The simulation is a program of its own: it links everything, and the checks of this crate
//! need not wait for that.

use std::process::Command;

use crate::error::Error;
use crate::repo::Repo;

/// Builds and runs it with these arguments.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Result<bool, Error> {
    // Of all packages, so that nothing is built twice because of other features.
    let fixed = ["run", "--quiet", "--locked", "--bin", "gx-sim", "--"];
    let mut cargo = Command::new("cargo");
    cargo.current_dir(repo.path("")).args(fixed).args(arguments);
    let status = cargo
        .status()
        .map_err(|why| Error::Cargo { arguments: fixed.join(" "), message: why.to_string() })?;
    Ok(status.success())
}
