//! The benchmarks' own PostgreSQL, which waits for the disk as in production. `main` starts it
//! before the rows and ends it after them, also if one fails.

use std::path::PathBuf;
use std::time::Instant;

use gx_db::cluster::{ClusterOptions, PrivateCluster};
use gx_model::Clock;
use sqlx::{Connection as _, PgConnection};

use crate::child_process::Usage;
use crate::error::BenchError;
use crate::store::databases;

/// Below the range of outgoing connections, and different from the ports of other clusters.
const FIRST_PORT: u16 = 17_432;

/// The database of small rows with which limits are measured.
const LIMITS: &str = "limits";

/// A running server. A server of an earlier run is stopped and deleted first.
pub(crate) struct Postgres {
    cluster: PrivateCluster,
}

impl Postgres {
    /// Starts the server, with the database in which commits are measured.
    pub(crate) async fn start() -> Result<Self, BenchError> {
        let folder = folder()?;
        PrivateCluster::delete(&folder).await?;
        std::fs::create_dir_all(&folder)?;
        let mut options = ClusterOptions::new(&folder);
        options.first_port = FIRST_PORT;
        // Enough memory for everything that a row writes, so that no query writes dirty pages to
        // the disk, and no checkpoint is forced during a row.
        options.settings =
            [("shared_buffers", "4GB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "15min")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        let postgres = Self { cluster: PrivateCluster::start(options).await? };
        let mut admin = postgres.connect("postgres").await?;
        databases::create(&mut admin, LIMITS, "template0").await?;
        databases::make_small_rows(&mut postgres.connect(LIMITS).await?).await?;
        Ok(postgres)
    }

    /// Returns the duration of each of `count` commits of one small row, in milliseconds.
    pub(crate) async fn commits_ms(&self, count: u64) -> Result<Vec<f64>, BenchError> {
        let (mut conn, mut times_ms) = (self.connect(LIMITS).await?, Vec::new());
        for id in (0..databases::SMALL_ROWS).cycle().take(usize::try_from(count).unwrap_or(0)) {
            let start = Instant::now();
            databases::write_small_row(&mut conn, id).await?;
            times_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times_ms)
    }

    /// Stops the server and deletes its data.
    pub(crate) async fn end(self) -> Result<(), BenchError> {
        self.cluster.stop().await?;
        Ok(PrivateCluster::delete(folder()?).await?)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        self.cluster.url_of(database)
    }

    pub(crate) async fn connect(&self, database: &str) -> Result<PgConnection, BenchError> {
        Ok(PgConnection::connect(&self.url(database)).await?)
    }

    /// Creates a database with GX's schema.
    pub(crate) async fn migrated(&self, name: &str) -> Result<(), BenchError> {
        let mut admin = self.connect("postgres").await?;
        databases::create(&mut admin, name, "template0").await?;
        let mut conn = self.connect(name).await?;
        gx_db::migrate(&mut conn, &Clock::system()).await?;
        Ok(conn.close().await?)
    }

    /// Copies a database that nobody uses, and writes everything to the disk.
    pub(crate) async fn copy(&self, name: &str, of: &str) -> Result<(), BenchError> {
        let mut admin = self.connect("postgres").await?;
        databases::create(&mut admin, name, of).await?;
        databases::write_dirty_pages(&mut admin).await?;
        Ok(admin.close().await?)
    }

    /// Removes a database, if it exists.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), BenchError> {
        let mut admin = self.connect("postgres").await?;
        databases::remove(&mut admin, name).await?;
        Ok(admin.close().await?)
    }

    /// Returns the resources that all its processes have used, including those that have ended.
    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        let file = self.cluster.folder().join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file)
            .map_err(|source| BenchError::File { path: file, source })?;
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        pid.map_or_else(|| Err(BenchError::Ended { part: "PostgreSQL" }), Usage::of_family)
    }
}

/// Returns the folder of the server, which an earlier run may have left.
fn folder() -> Result<PathBuf, BenchError> {
    Ok(std::path::absolute("target/bench/postgres")?)
}
