//! Checks of the whole repository, and files that are generated from it.
//!
//! Called as `cargo xtask TASK`. The exit code is 0 if all is well, 1 if the repository breaks a
//! rule, and 2 if the check could not be made. Every check is also a unit test of this crate, so
//! that `make test` runs it, too.

mod error;
mod mode;
mod promises;
mod reference;
mod repo;
mod rust_source;
mod schema;
mod sim;
mod sql;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::mode::Mode;
use crate::repo::Repo;

/// Checks of the GX repository, and files that are generated from it
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Print every promise and requirement with the tests that quote it
    Promises {
        /// Print only promises and requirements that no test quotes
        #[arg(long)]
        missing: bool,
    },
    /// Check the rules for all files and all crates
    Tidy,
    /// Compare the generated pages under docs/reference with the code
    Reference {
        /// Write the files that differ instead of failing
        #[arg(long)]
        write: bool,
    },
    /// Compare the files that belong to each migration with its SQL
    Schema {
        /// Write the files that differ, and the descriptions of the checked queries
        #[arg(long)]
        write: bool,
    },
    /// Compare the saved descriptions of the checked queries with the migrated schema
    Sqlx {
        /// Write the files that differ instead of failing
        #[arg(long)]
        write: bool,
    },
    /// Run services, workers and ledger in a simulation with faults; `-- --help` prints its options
    Sim {
        /// Arguments of the simulation, such as `--seed 7 --steps 150 --trace`
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

/// Runs one task. Returns `false` if the repository breaks a rule.
fn run(task: &Task) -> Result<bool, Error> {
    let repo = Repo::of_this_crate();
    match task {
        Task::Promises { missing } => promises::run(&repo, *missing),
        Task::Tidy => tidy::run(&repo),
        Task::Reference { write } => reference::run(&repo, Mode::from_flag(*write)),
        Task::Schema { write } => schema::run(&repo, Mode::from_flag(*write)),
        Task::Sim { arguments } => sim::run(&repo, arguments),
        Task::Sqlx { write } => sql::run(&repo, Mode::from_flag(*write)),
    }
}
