//! The workers, each in its own process, assembled as the roles of `gx` are. They end with their
//! standard input. Rows start them with [`Workplace::worker`]; a halt ends the process with an
//! error.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use gx_db::{Database, DatabaseSettings};
use gx_model::{Clock, EventRecord};
use gx_outbox::enqueue::Waker;
use gx_outbox::failure::RetryPolicy;
use gx_outbox::sync_points::SyncPoints;
use gx_projector::{ApplySettings, Projector, ProjectorSettings};
use gx_serve::HealthBoard;
use gx_serve::telemetry::{self, LogFormat, LogSettings};
use gx_submitter::{Signers, Submitter, SubmitterSettings};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::child_process::Process;
use crate::error::BenchError;
use crate::load::{ledger, signers};
use crate::server::{Target, until_input_ends};

/// The ledger and the database of a worker. Passed in a file, because it contains a password.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Workplace {
    pub(crate) target: Target,
    pub(crate) url: String,
}

/// Runs a projector until standard input ends.
pub(crate) async fn projector(place: &Path, watched: bool) -> Result<(), BenchError> {
    let (database, target) = Workplace::open(place).await?;
    let (_, reader) = signers(&target)?;
    let clock = Clock::system();
    let pool = database.pool().clone();
    let parts = gx_projector::ProjectorContext {
        waker: Waker::new(pool.clone()),
        pool,
        ledger: ledger(&target, reader)?,
        settings: ApplySettings {
            channel: target.channel.clone(),
            chaincode: target.chaincode.clone(),
            decode: EventRecord::decode,
            retry: RetryPolicy::default(),
        },
        clock: clock.clone(),
    };
    let (stop, board) = (stop_with_input(), HealthBoard::new("projector", clock));
    let projector = Projector::new(parts, rng()).with_sync_points(probe(watched));
    gx_projector::run(projector, ProjectorSettings::default(), rng(), stop, board)
        .await
        .map_err(|halt| BenchError::Worker(halt.to_string()))
}

/// Runs a submitter until standard input ends.
pub(crate) async fn submitter(place: &Path, watched: bool) -> Result<(), BenchError> {
    let (database, target) = Workplace::open(place).await?;
    let (super_admin, admin) = signers(&target)?;
    let clock = Clock::system();
    let parts = gx_submitter::SubmitterContext {
        pool: database.pool().clone(),
        ledger: ledger(&target, admin.clone())?,
        signers: Signers { admin, super_admin },
        channel: target.channel.clone(),
        retry: RetryPolicy::default(),
        clock: clock.clone(),
    };
    let submitter = Submitter::new(parts, SubmitterSettings::default(), rng())
        .map_err(|why| BenchError::Worker(why.to_string()))?
        .with_sync_points(probe(watched));
    let board = HealthBoard::new("outbox-submitter", clock);
    gx_submitter::run(submitter, stop_with_input(), board)
        .await
        .map_err(|halt| BenchError::Worker(halt.to_string()))
}

/// A step of the protocol, and the time at which a worker reached it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stepped {
    pub(crate) step: String,
    pub(crate) at_ns: i128,
}

/// Returns test hooks that print a line at each step, if the worker is watched.
fn probe(watched: bool) -> SyncPoints {
    if !watched {
        return SyncPoints::default();
    }
    let clock = Clock::system();
    SyncPoints::new(move |step| {
        let stepped = Stepped { step: step.to_owned(), at_ns: clock.now().unix_timestamp_nanos() };
        if let Ok(line) = serde_json::to_string(&stepped) {
            println!("{line}");
        }
        Box::pin(std::future::ready(()))
    })
}

impl Workplace {
    /// Starts a worker for this ledger and database.
    pub(crate) fn worker(
        &self,
        role: &'static str,
        folder: &Path,
        further: &[&str],
    ) -> Result<Process, BenchError> {
        let file = self.write(folder)?;
        let mut arguments = vec![role.as_ref(), file.as_os_str()];
        arguments.extend(further.iter().map(OsStr::new));
        Process::start(role, &arguments)
    }

    /// Writes the file for a process. It is replaced as a whole, because another process may be
    /// reading it.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, BenchError> {
        let database = self.url.rsplit('/').next().unwrap_or_default();
        let file = folder.join(format!("{database}.json"));
        let new = file.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(self)?)?;
        std::fs::rename(&new, &file)?;
        Ok(file)
    }

    /// Reads the file, starts the log and connects to the database.
    pub(crate) async fn open(file: &Path) -> Result<(Database, Target), BenchError> {
        // Errors of a worker are logged to standard error, where the run is watched.
        let log = LogSettings { log_format: LogFormat::Human, log: "warn".to_owned() };
        telemetry::init(&log).map_err(|why| BenchError::Worker(why.to_string()))?;
        let Self { target, url } = serde_json::from_str(&std::fs::read_to_string(file)?)?;
        Ok((gx_db::connect(&DatabaseSettings::from_url(url.into())).await?, target))
    }
}

/// Returns a token that is cancelled at the end of standard input.
fn stop_with_input() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopping = stop.clone().drop_guard();
    tokio::spawn(async move {
        until_input_ends().await;
        drop(stopping);
    });
    stop
}

fn rng() -> StdRng {
    StdRng::from_rng(&mut rand::rng())
}
