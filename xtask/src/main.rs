//! Checks over the repository as a whole, and the files that are generated from it.
//!
//! Every check is also a unit test of this crate, so that the test command proves it.

mod error;
mod mode;
mod promises;
mod reference;
mod repo;
mod rust_source;
mod sim;
mod sql;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::mode::Mode;
use crate::repo::Repo;

/// Checks and generated files of the GX repository.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Prints every promise and requirement with the tests that quote it.
    Promises {
        /// Prints only what no test quotes.
        #[arg(long)]
        missing: bool,
    },
    /// Checks the rules that hold for every file and every crate.
    Tidy,
    /// Compares the generated pages under docs/reference with the code.
    Reference {
        /// Writes what differs instead of failing.
        #[arg(long)]
        write: bool,
    },
    /// Compares the saved descriptions of the checked queries with the migrated schema.
    Sqlx {
        /// Writes what differs instead of failing.
        #[arg(long)]
        write: bool,
    },
    /// Plays services, workers and ledger under a seeded scheduler of faults; `-- --help` says
    /// how.
    Sim {
        /// Such as `--seed 7 --steps 150 --trace`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs one task; `false` when the repository breaks a rule.
fn run(task: &Task) -> Result<bool, Error> {
    let repo = Repo::of_this_crate();
    match task {
        Task::Promises { missing } => promises::run(&repo, *missing),
        Task::Tidy => tidy::run(&repo),
        Task::Reference { write } => reference::run(&repo, Mode::from_flag(*write)),
        Task::Sim { arguments } => sim::run(&repo, arguments),
        Task::Sqlx { write } => sql::run(&repo, Mode::from_flag(*write)),
    }
}
