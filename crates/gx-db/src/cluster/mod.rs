//! A private PostgreSQL cluster: made, started, adopted and stopped by GX itself.
//!
//! In its folder lie `data`, `password` (0600), `port`, `log` and `lock`. The server listens
//! on 127.0.0.1 only, asks for its password, and outlives the process that started it, so
//! that the next start finds either a running server to adopt or one to recover.

mod binaries;
mod error;
mod owner;
mod postmaster;
mod server;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection};

pub use error::ClusterError;
pub(crate) use owner::Owner;
pub(crate) use server::Server;

use crate::endpoint::encode;

/// Name of the role that owns the cluster and all in it.
const ROLE: &str = "gx";
/// How long a server may take to say anything, and to finish its recovery.
const SILENCE: Duration = Duration::from_secs(3);
const RECOVERY: Duration = Duration::from_secs(60);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);

/// What cluster is wanted.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Its folder; made where it is missing. Becomes a link where the unprivileged user that
    /// runs the server cannot get at it.
    pub folder: PathBuf,
    /// The database to have; made where it is missing.
    pub database: String,
    /// The port to try first at the first start. Later starts keep theirs. Better one below the
    /// range of outgoing connections, so that it is still free then.
    pub first_port: u16,
    /// Whether commits are forced to disk. Only tests say no.
    pub durable: bool,
    /// More lines for the server's configuration: name and value.
    pub settings: Vec<(String, String)>,
}

impl ClusterOptions {
    /// A durable cluster in `folder` with the database `gx_protocol`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            database: "gx_protocol".to_owned(),
            first_port: 15_432,
            durable: true,
            settings: Vec::new(),
        }
    }
}

/// A running private cluster. Dropping it leaves the server running; see
/// [`PrivateCluster::stop`].
#[derive(Debug)]
pub struct PrivateCluster {
    server: Server,
    port: u16,
    password: SecretString,
    database: String,
    adopted: bool,
    /// Held as long as this value lives: one holder a cluster.
    _lock: File,
}

impl PrivateCluster {
    /// Starts the cluster, or adopts its server where one survived. A surviving server that
    /// does not answer is stopped and started again.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let blocking = options.clone();
        let mut cluster = run(move || Self::prepare(&blocking)).await?;
        if cluster.adopted {
            if let Err(error) = cluster.make_database().await {
                tracing::warn!(%error, "the surviving PostgreSQL does not answer; restarting it");
                cluster = run(move || {
                    cluster.server.stop_hard()?;
                    cluster.port = cluster.server.start(&options)?;
                    cluster.adopted = false;
                    Ok(cluster)
                })
                .await?;
                cluster.make_database().await?;
            }
        } else {
            cluster.make_database().await?;
        }
        Ok(cluster)
    }

    fn prepare(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let owner = Owner::of(&options.folder)?;
        let folder = owner.place(&options.folder)?;
        let lock = lock(&folder)?;
        let server = Server::open(folder, owner)?;
        let password = server.ensure_data(options.durable)?;
        let (port, adopted) = match server.surviving()? {
            Some(postmaster) => (postmaster.port, true),
            None => (server.start(options)?, false),
        };
        let database = options.database.clone();
        Ok(Self { server, port, password, database, adopted, _lock: lock })
    }

    /// Stops the server after finishing what is committed, within its time limit. The data
    /// stays.
    pub async fn stop(self) -> Result<(), ClusterError> {
        run(move || self.server.stop()).await
    }

    /// Stops the server that runs in `folder`, if any, and deletes everything there.
    pub async fn delete(folder: impl Into<PathBuf>) -> Result<(), ClusterError> {
        let folder = folder.into();
        run(move || {
            let Ok(real) = folder.canonicalize() else { return remove_link(&folder) };
            let lock = lock(&real)?;
            Server::open(real.clone(), Owner::of(&real)?)?.stop()?;
            std::fs::remove_dir_all(&real).map_err(ClusterError::folder("delete", &real))?;
            drop(lock);
            remove_link(&folder)
        })
        .await
    }

    /// URL of the cluster's database, password included, usable by psql as it stands.
    pub fn url(&self) -> String {
        self.url_of(&self.database)
    }

    /// URL of any database of the cluster.
    pub fn url_of(&self, database: &str) -> String {
        let password = encode(self.password.expose_secret());
        format!("postgres://{ROLE}:{password}@127.0.0.1:{}/{}", self.port, encode(database))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the cluster really lies.
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// Whether a surviving server was found instead of starting one.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Stops the server the hard way, as a crash would. For tests, and blocks.
    #[cfg(feature = "testing")]
    pub(crate) fn crash(&self) {
        self.server.stop_command("immediate").status().ok();
    }

    /// A command of the server's version, run as the server's user.
    #[cfg(feature = "testing")]
    pub(crate) fn command(&self, program: &str) -> std::process::Command {
        self.server.command(program)
    }

    /// Waits until the server answers with the right password, then makes the database
    /// where it is missing.
    async fn make_database(&self) -> Result<(), ClusterError> {
        let mut conn = self.answer().await?;
        let made = create_database(&mut conn, &self.database).await;
        made.map_err(|error| self.no_answer(&error))?;
        conn.close().await.map_err(|error| self.no_answer(&error))
    }

    async fn answer(&self) -> Result<PgConnection, ClusterError> {
        let url = self.url_of("postgres");
        let deadline = tokio::time::Instant::now() + RECOVERY;
        loop {
            match tokio::time::timeout(SILENCE, PgConnection::connect(&url)).await {
                Ok(Ok(conn)) => return Ok(conn),
                Ok(Err(error)) if passing(&error) && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(BETWEEN_QUESTIONS).await;
                }
                Ok(Err(error)) => return Err(self.no_answer(&error)),
                Err(_) => return Err(self.no_answer(&"it is silent")),
            }
        }
    }

    fn no_answer(&self, reason: &dyn std::fmt::Display) -> ClusterError {
        ClusterError::NoAnswer { port: self.port, reason: reason.to_string() }
    }
}

/// Makes `name` unless it exists.
async fn create_database(conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut *conn)
            .await?;
    if !exists {
        let quoted = name.replace('"', "\"\"");
        let sql = format!("CREATE DATABASE \"{quoted}\"");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(conn).await?;
    }
    Ok(())
}

/// Whether an error of connecting is one of a server on its way up or down.
fn passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

/// Runs what waits for other programs where it may block.
async fn run<T, F>(work: F) -> Result<T, ClusterError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ClusterError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.expect("neither cancelled nor panicking")
}

fn lock(folder: &Path) -> Result<File, ClusterError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(ClusterError::folder("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ClusterError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(ClusterError::folder("lock", &path)(error)),
    }
}

fn remove_link(path: &Path) -> Result<(), ClusterError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            std::fs::remove_file(path).map_err(ClusterError::folder("delete", path))
        }
        _ => Ok(()),
    }
}
