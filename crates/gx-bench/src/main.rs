//! Answers one question per row: how close is GX to what this machine can do, now?
//!
//! The orchestrator starts every server and every load generator as a process of its own (this
//! same binary with a hidden command), talks to it in lines of JSON, and measures in each
//! repetition the row's limit right before the row, so that a noisy neighbour hits both.

#![allow(clippy::float_arithmetic, reason = "rates and ratios are no money")]

mod error;
mod limits;
mod load;
mod machine;
mod orders;
mod part;
mod report;
mod rows;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::error::BenchError;
use crate::load::LoadKind;
use crate::report::Report;
use crate::rows::{Plan, ROWS, Row};

#[derive(Parser)]
#[command(name = "gx-bench", about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure rows and report
    Run(RunArgs),
    /// Name the rows
    List,
    /// A development ledger, until standard input ends
    #[command(hide = true)]
    ServeDevnet { data_dir: PathBuf },
    /// A gateway that does nothing, until standard input ends
    #[command(hide = true)]
    ServeEmpty,
    /// A load generator for the server whose first line is in a file
    #[command(hide = true)]
    Load { kind: LoadKind, target: PathBuf },
}

#[derive(Args)]
struct RunArgs {
    /// Rows to measure, separated by commas; all by default
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Earlier results to compare with
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Folder for results.json and results.svg
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Repetitions that count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Only prove that every row still runs: a handful of operations, figures without meaning
    #[arg(long)]
    smoke: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(why) => return failed(&why),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

fn failed(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("gx-bench: {why}");
    ExitCode::FAILURE
}

async fn run(command: Command) -> Result<(), BenchError> {
    match command {
        Command::Run(args) => measure(&args).await,
        Command::List => {
            for row in ROWS {
                println!("{:20}{}; limit: {}", row.name, row.about, row.limit);
            }
            Ok(())
        }
        Command::ServeDevnet { data_dir } => server::devnet(data_dir).await,
        Command::ServeEmpty => server::empty().await,
        Command::Load { kind, target } => load::run(kind, &target).await,
    }
}

async fn measure(args: &RunArgs) -> Result<(), BenchError> {
    let rows = chosen(&args.rows)?;
    let earlier = args.compare.as_deref().map(Report::read).transpose()?;
    let mut report = Report::new(args.smoke);
    for row in rows {
        for size in row.sizes {
            let plan =
                if args.smoke { Plan::smoke()? } else { Plan::full(*size, args.repetitions)? };
            eprintln!("{}: {} operations a repetition", row.name, plan.operations);
            let measurement = (row.measure)(&plan).await?;
            report.add(row, &plan, measurement);
        }
    }
    report.write(&args.out)?;
    print!("{}", report.table(earlier.as_ref()));
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Row>, BenchError> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let row = |name: &String| {
        let unknown = || BenchError::UnknownRow {
            name: name.clone(),
            known: ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", "),
        };
        ROWS.iter().find(|row| row.name == name).ok_or_else(unknown)
    };
    names.iter().map(row).collect()
}
