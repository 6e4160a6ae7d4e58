//! The environment of the rows with workers: a development ledger with people on it, and databases
//! in which these people are approved. Each such row sets one and clears it at its end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gx_fabric_client::{Ledger, PeerHeight};
use sqlx::{Connection as _, PgConnection};

use crate::child_process::Process;
use crate::error::BenchError;
use crate::load::chain::Made;
use crate::load::{ledger, signers};
use crate::people::{self, Recipe};
use crate::postgres::Postgres;
use crate::progress::{ProgressCounter, show_line};
use crate::row::Plan;
use crate::server::Target;
use crate::store::{databases, rows};
use crate::worker::Workplace;

/// Time without progress after which a row fails.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// Interval at which the database is asked for its progress.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// A ledger and the databases in front of it.
pub(crate) struct Environment<'a> {
    pub(crate) devnet: Process,
    pub(crate) target: Target,
    pub(crate) ledger: Ledger,
    pub(crate) recipe: Recipe,
    pub(crate) postgres: &'a Postgres,
    folder: PathBuf,
    template: String,
}

impl<'a> Environment<'a> {
    /// Makes a chain for this row alone, and the template of its databases.
    pub(crate) async fn set(plan: &'a Plan<'a>, recipe: Recipe) -> Result<Self, BenchError> {
        Self::set_in(plan.scratch.path(), plan, recipe).await
    }

    /// Like [`Environment::set`], but uses a chain that an earlier run has kept, if there is one.
    /// Only for rows that add nothing to the chain, because a later run would find it there.
    pub(crate) async fn set_kept(plan: &'a Plan<'a>, recipe: Recipe) -> Result<Self, BenchError> {
        let folder = plan.chains.as_deref().unwrap_or(plan.scratch.path());
        Self::set_in(folder, plan, recipe).await
    }

    async fn set_in(folder: &Path, plan: &'a Plan<'a>, recipe: Recipe) -> Result<Self, BenchError> {
        let Recipe { people, transfers_each } = recipe;
        let name = format!("chain_{people}_{transfers_each}");
        let scratch = plan.scratch.path();
        let chain = folder.join(&name);
        let target_file = scratch.join(format!("{name}.json"));
        let (devnet, target) = start_devnet(&chain, &target_file).await?;
        let made = chain.join("made.json");
        if !made.exists() {
            show_line(format_args!("  making a chain of {} events", recipe.events()));
            let numbers = [people, transfers_each].map(|number| number.to_string());
            let file = target_file.display().to_string();
            let arguments = ["make-chain", &file, &numbers[0], &numbers[1]];
            let mut maker = Process::start("chain maker", &arguments)?;
            let made_events: Made = maker.receive().await?;
            maker.end().await?;
            std::fs::write(&made, serde_json::to_vec(&made_events)?)?;
        }
        let ledger = ledger(&target, signers(&target)?.1)?;
        let (postgres, folder) = (plan.postgres, scratch.to_owned());
        let template = format!("people_{people}");
        let env = Self { devnet, target, ledger, recipe, postgres, folder, template };
        env.make_template().await?;
        Ok(env)
    }

    /// Makes the database that [`Environment::database`] copies.
    async fn make_template(&self) -> Result<(), BenchError> {
        self.postgres.remove(&self.template).await?;
        self.postgres.migrated(&self.template).await?;
        let mut conn = self.postgres.connect(&self.template).await?;
        people::add(&mut conn, 0..self.recipe.people).await?;
        databases::vacuum_analyze(&mut conn).await?;
        Ok(conn.close().await?)
    }

    /// Returns a new database in which nothing is projected.
    pub(crate) async fn database(&self, name: &str) -> Result<PgConnection, BenchError> {
        self.postgres.remove(name).await?;
        self.postgres.copy(name, &self.template).await?;
        self.postgres.connect(name).await
    }

    /// Starts a worker for the ledger and a database.
    pub(crate) fn worker(&self, role: &'static str, database: &str) -> Result<Process, BenchError> {
        self.workplace(database).worker(role, &self.folder, &[])
    }

    /// Like [`Environment::worker`], with a worker that prints a line at each step of the protocol.
    pub(crate) fn watched_worker(
        &self,
        role: &'static str,
        database: &str,
    ) -> Result<Process, BenchError> {
        self.workplace(database).worker(role, &self.folder, &["--watched"])
    }

    /// Writes the file that tells a process its ledger and database, and returns its path.
    pub(crate) fn workplace_file(&self, database: &str) -> Result<PathBuf, BenchError> {
        self.workplace(database).write(&self.folder)
    }

    fn workplace(&self, database: &str) -> Workplace {
        Workplace { target: self.target.clone(), url: self.postgres.url(database) }
    }

    /// Returns the path of the file that describes the ledger.
    pub(crate) fn target_file(&self) -> PathBuf {
        let Recipe { people, transfers_each } = self.recipe;
        self.folder.join(format!("chain_{people}_{transfers_each}.json"))
    }

    /// Returns the number of the newest block.
    pub(crate) async fn tip(&self) -> Result<u64, BenchError> {
        let height = PeerHeight::tip(&self.ledger.heights().await)?;
        Ok(height.saturating_sub(1))
    }

    /// Ends the ledger and removes its databases.
    pub(crate) async fn clear(self, databases: &[&str]) -> Result<(), BenchError> {
        self.devnet.end().await?;
        for name in databases.iter().chain([&self.template.as_str()]) {
            self.postgres.remove(name).await?;
        }
        Ok(())
    }
}

/// Starts a ledger in this folder and writes its address to a file.
async fn start_devnet(chain: &Path, target_file: &Path) -> Result<(Process, Target), BenchError> {
    let mut devnet = Process::start("devnet", &["serve-devnet".as_ref(), chain.as_os_str()])?;
    let line = devnet.line().await?;
    std::fs::write(target_file, &line)?;
    Ok((devnet, serde_json::from_str(&line)?))
}

/// Waits until a block is applied and returns the time at which that was seen. Fails with
/// [`BenchError::Stuck`] after a time without progress.
pub(crate) async fn applied(
    conn: &mut PgConnection,
    block: u64,
    mut progress: Option<ProgressCounter>,
) -> Result<Instant, BenchError> {
    let (mut last, mut moved) = (None, Instant::now());
    loop {
        let at = rows::checkpoint(conn).await?;
        if at.is_some_and(|at| at >= block) {
            return Ok(Instant::now());
        }
        if at != last {
            (last, moved) = (at, Instant::now());
        }
        if moved.elapsed() > STUCK_AFTER {
            let seconds = STUCK_AFTER.as_secs();
            return Err(BenchError::Stuck { what: "the projector", seconds });
        }
        if let (Some(progress), Some(at)) = (&mut progress, at) {
            progress.show(at);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
