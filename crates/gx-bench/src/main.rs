//! Answers one question per row: how close is GX to what this machine can do, now?
//!
//! The orchestrator starts each server and each load generator as a separate process (this binary
//! with a hidden command) and exchanges lines of JSON with it. In each repetition it measures the
//! row's limit right before the row, so that other load on the machine affects both.

#![expect(clippy::float_arithmetic, reason = "rates and ratios are no money")]

mod child_process;
mod commands;
mod enqueuer;
mod environment;
mod error;
mod limits;
mod load;
mod machine;
mod people;
mod postgres;
mod progress;
mod report;
mod row;
mod rows;
mod server;
mod settled_count;
mod sql_only;
mod stdin_commands;
mod store;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::error::BenchError;
use crate::load::LoadKind;
use crate::people::Recipe;
use crate::postgres::Postgres;
use crate::progress::show_line;
use crate::report::Report;
use crate::row::{Plan, REPETITIONS, Row, RunContext};
use crate::rows::ROWS;
use crate::server::Target;

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
    /// Run a development ledger until standard input ends
    #[command(hide = true)]
    ServeDevnet { data_dir: PathBuf },
    /// Run a gateway that does nothing until standard input ends
    #[command(hide = true)]
    ServeEmpty,
    /// Run a load generator for the server that a file describes
    #[command(hide = true)]
    Load { kind: LoadKind, target: PathBuf },
    /// Fill a ledger with people and their transfers
    #[command(hide = true)]
    MakeChain { target: PathBuf, people: u64, transfers_each: u64 },
    /// Run a projector until standard input ends
    #[command(hide = true)]
    Projector {
        place: PathBuf,
        /// Print a line when each step of the protocol is reached
        #[arg(long)]
        watched: bool,
    },
    /// Run a submitter until standard input ends
    #[command(hide = true)]
    Submitter {
        place: PathBuf,
        /// Print a line when each step of the protocol is reached
        #[arg(long)]
        watched: bool,
    },
    /// Run only the SQL of both workers, without a ledger
    #[command(hide = true)]
    SqlAlone { place: PathBuf },
    /// Enqueue commands as services do, at a given rate
    #[command(hide = true)]
    Enqueue(enqueuer::EnqueueArgs),
    /// Have small transactions ordered at a given rate
    #[command(hide = true)]
    Pay { target: PathBuf, people: u64, per_second: u32, first: u64, count: u64 },
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
    #[arg(long, default_value_t = REPETITIONS, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Sizes to measure, separated by commas, instead of each row's own
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<u64>,
    /// Connection profile of a network, for the rows that are measured on one
    #[arg(long, env = "GX_FABRIC_PROFILE")]
    fabric: Option<PathBuf>,
    /// Folder in which chains that are only read are kept for later runs
    #[arg(long)]
    chains: Option<PathBuf>,
    /// Only check that every row runs: few operations, figures without meaning
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
    show_line(format_args!("gx-bench: {why}"));
    ExitCode::FAILURE
}

async fn run(command: Command) -> Result<(), BenchError> {
    match command {
        Command::Run(args) => measure(&args).await,
        Command::List => {
            for row in ROWS {
                println!("{:26}{}; limit: {}", row.name, row.about, row.limit);
            }
            Ok(())
        }
        Command::ServeDevnet { data_dir } => server::devnet(data_dir).await,
        Command::ServeEmpty => server::empty().await,
        Command::Load { kind, target } => load::run(kind, &target).await,
        Command::MakeChain { target, people, transfers_each } => {
            let recipe = Recipe { people, transfers_each };
            let made = load::chain::make(&Target::read(&target)?, recipe).await?;
            println!("{}", serde_json::to_string(&made)?);
            Ok(())
        }
        Command::Projector { place, watched } => worker::projector(&place, watched).await,
        Command::Submitter { place, watched } => worker::submitter(&place, watched).await,
        Command::SqlAlone { place } => sql_only::run(&place).await,
        Command::Enqueue(args) => enqueuer::run(&args).await,
        Command::Pay { target, people, per_second, first, count } => {
            let target = Target::read(&target)?;
            load::paying::run(&target, people, per_second, (first, first + count)).await
        }
    }
}

async fn measure(args: &RunArgs) -> Result<(), BenchError> {
    let rows = chosen(&args.rows)?;
    let earlier = args.compare.as_deref().map(Report::read).transpose()?;
    let mut report = Report::new(args.smoke);
    let postgres = Postgres::start().await?;
    let network = args.fabric.as_deref().map(Target::of_network).transpose();
    let measured = match network {
        Ok(network) => {
            let chains = args.chains.clone();
            let context = RunContext { chains, network, postgres: &postgres };
            measure_all(args, &rows, &context, &mut report).await
        }
        Err(why) => Err(why),
    };
    postgres.end().await?;
    measured?;
    report.write(&args.out)?;
    print!("{}", report.table(earlier.as_ref()));
    Ok(())
}

async fn measure_all(
    args: &RunArgs,
    rows: &[&Row],
    context: &RunContext<'_>,
    report: &mut Report,
) -> Result<(), BenchError> {
    for row in rows {
        if row.needs_network && context.network.is_none() {
            show_line(format_args!("{}: skipped because GX_FABRIC_PROFILE is not set", row.name));
            continue;
        }
        let sizes = match (args.smoke, args.sizes.as_slice()) {
            (true, _) => &row.sizes[..1],
            (false, []) => row.sizes,
            (false, sizes) => sizes,
        };
        for size in sizes {
            let plan = if args.smoke {
                Plan::smoke(context)?
            } else {
                Plan::full(row, *size, args.repetitions, context)?
            };
            show_line(format_args!("{}: {} operations a repetition", row.name, plan.operations));
            let measurement = (row.measure)(&plan).await?;
            report.add(row, &plan, measurement);
        }
        report.check(row);
    }
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
