//! The development ledger, with the project's own client.

use std::path::Path;

use super::{as_rate, cpu_us};
use crate::error::BenchError;
use crate::limits::{self, Signatures};
use crate::load::{CONCURRENCY, Done, Order, Ready};
use crate::part::Part;
use crate::rows::{Measurement, Measuring, Plan, Repetition, Row, Target};

pub(crate) const COMMIT: Row = Row {
    name: "devnet-commit",
    about: "people created on the development ledger, each in a transaction, seen VALID in a block",
    unit: "transactions/s",
    target: Target::AtLeast(3_000.0),
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
    target: Target::AtLeast(8_000.0),
    limit: "the proposal's signature made and checked on all cores, and an empty gRPC call",
    sizes: &[20_000],
    warm_up: 4_000,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(measure(plan, &EVALUATING)) as Measuring<'_>,
};

/// What tells the two rows apart.
struct Kind {
    load: &'static str,
    /// Calls of the gateway an operation.
    calls: f64,
    waits_for_disk: bool,
    /// Signatures by the number of endorsements.
    signatures: fn(u64) -> Signatures,
}

const COMMITTING: Kind = Kind {
    load: "commit",
    calls: 2.0,
    waits_for_disk: true,
    // The client signs proposal and envelope and the peers their answers. The ledger checks the
    // client's two; what its own process has just signed it need not check.
    signatures: |endorsements| Signatures { made: 2 + endorsements, checked: 2 },
};

const EVALUATING: Kind = Kind {
    load: "evaluate",
    calls: 1.0,
    waits_for_disk: false,
    signatures: |_| Signatures { made: 1, checked: 1 },
};

struct Stage {
    server: Part,
    load: Part,
    empty_server: Part,
    empty_load: Part,
    endorsements: u64,
}

async fn measure(plan: &Plan<'_>, kind: &Kind) -> Result<Measurement, BenchError> {
    let mut stage = Stage::set(plan.scratch.path(), kind).await?;
    let warm_up = Order { operations: plan.warm_up };
    let _: Done = stage.load.ask(&warm_up).await?;
    let _: Done = stage.empty_load.ask(&warm_up).await?;
    let mut measurement = Measurement::default();
    for number in 1..=plan.repetitions {
        let repetition = stage.repeat(plan, kind).await?;
        eprintln!("  {number}: {:.0} of {:.0}", repetition.measured, repetition.limit);
        measurement.repetitions.push(repetition);
    }
    for part in [&stage.server, &stage.load] {
        measurement.peak_kib.insert(part.name.to_owned(), part.usage()?.peak_kib);
    }
    let settings = [
        ("under way at once", CONCURRENCY.to_string()),
        ("endorsements a transaction", stage.endorsements.to_string()),
    ];
    let named = |(name, value): (&str, String)| (name.to_owned(), value);
    measurement.settings = settings.into_iter().map(named).collect();
    stage.clear().await?;
    Ok(measurement)
}

impl Stage {
    async fn set(scratch: &Path, kind: &Kind) -> Result<Self, BenchError> {
        let data_dir = scratch.join("ledger");
        let server = Part::start("devnet", &["serve-devnet".as_ref(), data_dir.as_os_str()])?;
        let (server, load, ready) = pair(scratch, server, kind.load).await?;
        let empty_server = Part::start("empty gateway", &["serve-empty"])?;
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

    /// Ends generators before what they talk to.
    async fn clear(self) -> Result<(), BenchError> {
        for part in [self.load, self.empty_load, self.server, self.empty_server] {
            part.end().await?;
        }
        Ok(())
    }
}

/// A server that has said how it is reached, and a generator that has reached it.
async fn pair(
    scratch: &Path,
    mut server: Part,
    load: &'static str,
) -> Result<(Part, Part, Ready), BenchError> {
    let target = scratch.join(format!("{load}.json"));
    std::fs::write(&target, server.line().await?)?;
    let mut load = Part::start("load", &["load".as_ref(), load.as_ref(), target.as_os_str()])?;
    let ready = load.hear().await?;
    Ok((server, load, ready))
}

fn rate(operations: u64, done: &Done) -> f64 {
    as_rate(operations) * 1e9 / as_rate(done.elapsed_ns)
}
