//! `cargo xtask sim`: plays seeds, and prints how to repeat a seed that failed. The exit code is 1
//! then.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::Parser;
use gx_sim::{Environment, Outcome, run_seed};

/// Runs services, workers and ledger under a seeded scheduler of faults, and checks that nothing is
/// lost, done twice or invented.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds, from the first one on.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Number of steps of each run before the faults end.
    #[arg(long, default_value_t = 150)]
    steps: u32,
    /// Number of environments in which seeds are played at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Plays only seeds with a storm whose description contains this text, for example `stalled`.
    #[arg(long)]
    storm: Option<String>,
    /// Prints what happened, also for seeds that pass.
    #[arg(long)]
    trace: bool,
    /// Continues after a seed that failed.
    #[arg(long)]
    keep_going: bool,
}

/// The state that all threads share.
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
    let envs: Vec<_> = (0..jobs)
        .map(|_| {
            let (arguments, progress) = (Arc::clone(&arguments), Arc::clone(&progress));
            std::thread::spawn(move || {
                // Each environment has its own runtime, so that it shares no worker threads with
                // another.
                let runtime = tokio::runtime::Runtime::new().expect("a runtime can start");
                runtime.block_on(work(&arguments, &progress));
            })
        })
        .collect();
    // All threads are joined, also after one has panicked.
    let died = envs.into_iter().filter_map(|env| env.join().err()).count() > 0;
    let (played, failed) =
        (progress.played.load(Ordering::SeqCst), progress.failed.load(Ordering::SeqCst));
    eprintln!("\r{played} seeds of {} steps played, {failed} failed", arguments.steps);
    if died || failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Plays seeds in an environment of its own until none is left or one has failed.
async fn work(arguments: &Arguments, progress: &Progress) {
    let mut env = Box::pin(Environment::create()).await;
    let end = arguments.seed.saturating_add(arguments.seeds);
    while !progress.stop.load(Ordering::SeqCst) {
        let seed = progress.next.fetch_add(1, Ordering::SeqCst);
        if seed >= end {
            return;
        }
        if arguments.storm.as_ref().is_some_and(|word| !has_storm(seed, arguments.steps, word)) {
            continue;
        }
        let outcome = run_seed(&mut env, seed, arguments.steps).await;
        report(arguments, progress, seed, &outcome);
    }
}

/// Returns whether a seed has a storm whose description contains a word.
fn has_storm(seed: u64, steps: u32, word: &str) -> bool {
    gx_sim::storms_of(seed, steps).iter().any(|storm| storm.contains(word))
}

/// Counts a seed and prints its violation, with its trace.
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
    // A progress line that cannot be written is no reason to stop.
    let _ = std::io::stderr().flush();
}
