//! Enqueues commands as services do: each in its own transaction, at a steady rate that does not
//! depend on earlier commands. Run by the row in a process of its own; the latency row enqueues
//! single commands with [`Enqueueing`].

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gx_db::{Database, PgPool};
use gx_model::Clock;
use gx_outbox::enqueue::{NewCommand, Waker};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::commands::CommandPattern;
use crate::error::BenchError;
use crate::worker::Workplace;

/// Number of connections that a service has by default.
const CONNECTIONS: usize = 10;
/// Interval at which the commands that are due are started. It is longer than a timer's resolution.
const TICK: Duration = Duration::from_millis(2);

/// The commands and their rate.
#[derive(Args)]
pub(crate) struct EnqueueArgs {
    place: PathBuf,
    wanted: CommandPattern,
    people: u64,
    per_second: u32,
    first: u64,
    end: u64,
}

/// Enqueues all commands, then prints a line. The first command that fails ends the process.
pub(crate) async fn run(args: &EnqueueArgs) -> Result<(), BenchError> {
    let (database, _) = Workplace::open(&args.place).await?;
    let waker = Waker::new(database.pool().clone());
    let free = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    let (mut under_way, mut tick) = (JoinSet::new(), interval(TICK));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut next, mut due) = (args.first, 0_u128);
    while next < args.end {
        tick.tick().await;
        due += u128::from(args.per_second) * TICK.as_micros();
        while due >= 1_000_000 && next < args.end {
            due -= 1_000_000;
            let free = std::sync::Arc::clone(&free);
            let one = Enqueueing { database: database.clone(), waker: waker.clone() };
            let (wanted, people) = (args.wanted, args.people);
            under_way.spawn(async move {
                let _turn = free.acquire_owned().await;
                one.enqueue(wanted, next, people).await
            });
            next += 1;
        }
        while let Some(ended) = under_way.try_join_next() {
            ended.map_err(|why| BenchError::Io(why.into()))??;
        }
    }
    while let Some(ended) = under_way.join_next().await {
        ended.map_err(|why| BenchError::Io(why.into()))??;
    }
    println!("null");
    Ok(())
}

/// The handles that a service needs to enqueue.
pub(crate) struct Enqueueing {
    pub(crate) database: Database,
    pub(crate) waker: Waker,
}

impl Enqueueing {
    fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// Enqueues one command and commits.
    pub(crate) async fn enqueue(
        &self,
        wanted: CommandPattern,
        number: u64,
        people: u64,
    ) -> Result<(), BenchError> {
        let (command_id, command) = wanted.command(number, people);
        let new = NewCommand {
            command_id,
            command: &command,
            profile_id: None,
            requested_by: "bench",
            request_id: None,
        };
        let mut tx = self.pool().begin().await?;
        gx_outbox::enqueue::enqueue(&mut tx, new, Clock::system().now()).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(())
    }
}
