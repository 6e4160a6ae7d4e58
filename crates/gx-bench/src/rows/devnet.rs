//! Measures the development ledger with the project's own client. The rows are in `ROWS`.

use std::path::Path;

use crate::child_process::Process;
use crate::error::BenchError;
use crate::limits::{self, Signatures};
use crate::load::{CONCURRENCY, Done, Order, Ready};
use crate::progress::show_line;
use crate::row::{Measurement, Measuring, Plan, Repetition, Row, RowTarget};
use crate::row::{as_rate, cpu_us};

pub(crate) const COMMIT: Row = Row {
    name: "devnet-commit",
    about: "people created on the development ledger, each in a transaction, seen VALID in a block",
    unit: "transactions/s",
    target: RowTarget::AtLeast(3_000.0),
    limit: "the transaction's signatures on all cores and two empty gRPC calls; a disk wait shared by all under way",
    sizes: &[10_000],
    warm_up: 2_000,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(measure(plan, &COMMITTING)) as Measuring<'_>,
};

pub(crate) const EVALUATE: Row = Row {
    name: "devnet-evaluate",
    about: "questions answered by the development ledger",
    unit: "evaluations/s",
    target: RowTarget::AtLeast(8_000.0),
    limit: "the proposal's signature made and checked on all cores, and an empty gRPC call",
    sizes: &[20_000],
    warm_up: 4_000,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(measure(plan, &EVALUATING)) as Measuring<'_>,
};

/// The difference between the two rows.
struct Kind {
    load: &'static str,
    /// Number of gateway calls of an operation.
    calls: f64,
    waits_for_disk: bool,
    /// The signatures of an operation, by the number of endorsements.
    signatures: fn(u64) -> Signatures,
}

const COMMITTING: Kind = Kind {
    load: "commit",
    calls: 2.0,
    waits_for_disk: true,
    // The client signs proposal and envelope, and the peers sign their answers. The ledger verifies
    // only the client's two signatures, because it remembers its own.
    signatures: |endorsements| Signatures { made: 2 + endorsements, checked: 2 },
};

const EVALUATING: Kind = Kind {
    load: "evaluate",
    calls: 1.0,
    waits_for_disk: false,
    signatures: |_| Signatures { made: 1, checked: 1 },
};

struct Processes {
    server: Process,
    load: Process,
    empty_server: Process,
    empty_load: Process,
    endorsements: u64,
}

async fn measure(plan: &Plan<'_>, kind: &Kind) -> Result<Measurement, BenchError> {
    let mut processes = Processes::set(plan.scratch.path(), kind).await?;
    let warm_up = Order { operations: plan.warm_up };
    let _: Done = processes.load.ask(&warm_up).await?;
    let _: Done = processes.empty_load.ask(&warm_up).await?;
    let mut measurement = Measurement::default();
    for number in 1..=plan.repetitions {
        let repetition = processes.repeat(plan, kind).await?;
        show_line(format_args!(
            "  {number}: {:.0} of {:.0}",
            repetition.measured, repetition.limit
        ));
        measurement.repetitions.push(repetition);
    }
    for part in [&processes.server, &processes.load] {
        measurement.peak_kib.insert(part.name.to_owned(), part.usage()?.peak_kib);
    }
    let settings = [
        ("under way at once", CONCURRENCY.to_string()),
        ("endorsements a transaction", processes.endorsements.to_string()),
    ];
    let named = |(name, value): (&str, String)| (name.to_owned(), value);
    measurement.settings = settings.into_iter().map(named).collect();
    processes.clear().await?;
    Ok(measurement)
}

impl Processes {
    async fn set(scratch: &Path, kind: &Kind) -> Result<Self, BenchError> {
        let data_dir = scratch.join("ledger");
        let server = Process::start("devnet", &["serve-devnet".as_ref(), data_dir.as_os_str()])?;
        let (server, load, ready) = pair(scratch, server, kind.load).await?;
        let empty_server = Process::start("empty gateway", &["serve-empty"])?;
        let (empty_server, empty_load, _) = pair(scratch, empty_server, "empty").await?;
        Ok(Self { server, load, empty_server, empty_load, endorsements: ready.endorsements })
    }

    async fn repeat(&mut self, plan: &Plan<'_>, kind: &Kind) -> Result<Repetition, BenchError> {
        let order = Order { operations: plan.operations };
        let signatures = (kind.signatures)(self.endorsements);
        let during = plan.limit_time;
        let signing =
            tokio::task::spawn_blocking(move || limits::signatures(signatures, during)).await;
        let signing = signing.map_err(|why| BenchError::Io(why.into()))??;
        let calling = rate(plan.operations, &self.empty_load.ask(&order).await?);
        let mut repetition = Repetition::default();
        let mut limit = limits::both(signing, calling / kind.calls);
        let mut part = |name: &str, rate| repetition.limit_parts.insert(name.to_owned(), rate);
        part("signatures", signing);
        part("empty gRPC calls", calling);
        if kind.waits_for_disk {
            let syncing = limits::fsyncs(plan.scratch.path(), during)?;
            part("fsyncs", syncing);
            limit = limit.min(syncing * as_rate(CONCURRENCY));
        }
        let before = [self.server.usage()?, self.load.usage()?];
        let done: Done = self.load.ask(&order).await?;
        let after = [self.server.usage()?, self.load.usage()?];
        repetition.limit = limit;
        repetition.measured = rate(plan.operations, &done);
        for (at, part) in [&self.server, &self.load].into_iter().enumerate() {
            let cpu_us = cpu_us(before[at], after[at], plan.operations);
            repetition.cpu_us.insert(part.name.to_owned(), cpu_us);
        }
        Ok(repetition)
    }

    /// Ends the generators before their servers.
    async fn clear(self) -> Result<(), BenchError> {
        for part in [self.load, self.empty_load, self.server, self.empty_server] {
            part.end().await?;
        }
        Ok(())
    }
}

/// Waits until the server has printed its address, and starts a generator that has connected to it.
async fn pair(
    scratch: &Path,
    mut server: Process,
    load: &'static str,
) -> Result<(Process, Process, Ready), BenchError> {
    let target = scratch.join(format!("{load}.json"));
    std::fs::write(&target, server.line().await?)?;
    let mut load = Process::start("load", &["load".as_ref(), load.as_ref(), target.as_os_str()])?;
    let ready = load.receive().await?;
    Ok((server, load, ready))
}

fn rate(operations: u64, done: &Done) -> f64 {
    as_rate(operations) * 1e9 / as_rate(done.elapsed_ns)
}
