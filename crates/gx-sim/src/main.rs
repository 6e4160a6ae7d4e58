//! `cargo xtask sim`: plays seeds, and says how each can be seen again.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::Parser;
use gx_sim::{Outcome, Stage, play};

/// Plays services, workers and ledger under a seeded scheduler of faults, and checks that
/// nothing was lost, done twice or made up.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, from the first one on.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Steps of each run before the faults end.
    #[arg(long, default_value_t = 150)]
    steps: u32,
    /// Stages on which seeds are played side by side.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Prints what happened, also when all is well.
    #[arg(long)]
    trace: bool,
    /// Goes on after a seed that failed.
    #[arg(long)]
    keep_going: bool,
}

/// What all stages share.
struct Progress {
    next: AtomicU64,
    played: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

fn main() -> ExitCode {
    let arguments = Arc::new(Arguments::parse());
    let progress = Arc::new(Progress {
        next: AtomicU64::new(arguments.seed),
        played: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let jobs = arguments.jobs.clamp(1, arguments.seeds.max(1));
    let stages: Vec<_> = (0..jobs)
        .map(|_| {
            let (arguments, progress) = (Arc::clone(&arguments), Arc::clone(&progress));
            std::thread::spawn(move || {
                // One of its own: a stage does not share its worker threads with another.
                let runtime = tokio::runtime::Runtime::new().expect("a runtime can start");
                runtime.block_on(work(&arguments, &progress));
            })
        })
        .collect();
    // Every stage is waited for, also after one has died.
    let died = stages.into_iter().filter_map(|stage| stage.join().err()).count() > 0;
    let (played, failed) =
        (progress.played.load(Ordering::SeqCst), progress.failed.load(Ordering::SeqCst));
    eprintln!("\r{played} seeds of {} steps played, {failed} failed", arguments.steps);
    if died || failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

async fn work(arguments: &Arguments, progress: &Progress) {
    let mut stage = Stage::set().await;
    let end = arguments.seed.saturating_add(arguments.seeds);
    while !progress.stop.load(Ordering::SeqCst) {
        let seed = progress.next.fetch_add(1, Ordering::SeqCst);
        if seed >= end {
            return;
        }
        let outcome = play(&mut stage, seed, arguments.steps).await;
        report(arguments, progress, seed, &outcome);
    }
}

fn report(arguments: &Arguments, progress: &Progress, seed: u64, outcome: &Outcome) {
    let played = progress.played.fetch_add(1, Ordering::SeqCst) + 1;
    if arguments.trace || outcome.violation.is_some() {
        for (number, line) in outcome.trace.iter().enumerate() {
            println!("{seed}:{number:<4} {line}");
        }
    }
    if let Some(violation) = &outcome.violation {
        progress.failed.fetch_add(1, Ordering::SeqCst);
        println!("seed {seed} FAILED: {violation}");
        println!("again: cargo xtask sim --seed {seed} --steps {}", arguments.steps);
        if !arguments.keep_going {
            progress.stop.store(true, Ordering::SeqCst);
        }
    }
    eprint!("\r{played} of {} seeds", arguments.seeds);
    // Progress that cannot be shown is no reason to stop.
    let _ = std::io::stderr().flush();
}
