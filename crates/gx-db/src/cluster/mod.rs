//! A private PostgreSQL cluster that GX creates, starts, adopts and stops: for `gx dev`, the
//! benchmark and tests.
//!
//! Its folder contains `data`, `password` (0600), `port`, `log` and `lock`. The server listens only
//! on 127.0.0.1, asks for its password, and outlives the process that started it, so that the next
//! start finds either a running server to adopt or data to recover.

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

/// Oldest supported major version.
const MIN_MAJOR: u32 = 15;
/// Role that owns the cluster and all its databases.
const ROLE: &str = "gx";
/// Limits for an answer of the server and for its recovery.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Options of a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Folder of the cluster, created if missing. Becomes a link if the unprivileged user that runs
    /// the server cannot reach it.
    pub folder: PathBuf,
    /// Database of the cluster, created if missing.
    pub database: String,
    /// First port to try at the first start; later starts use the same port. A port below the range
    /// of outgoing connections is still free then.
    pub first_port: u16,
    /// Whether commits are forced to disk. Only tests set `false`.
    pub durable: bool,
    /// Further lines of the server's configuration: name and value.
    pub settings: Vec<(String, String)>,
}

impl ClusterOptions {
    /// Creates options of a durable cluster in `folder` with the database `gx_protocol`.
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

/// A running private cluster. Dropping it leaves the server running; [`PrivateCluster::stop`] stops
/// it.
#[derive(Debug)]
pub struct PrivateCluster {
    server: Server,
    port: u16,
    password: SecretString,
    database: String,
    adopted: bool,
    /// Lock of the cluster, which one process at a time holds.
    _lock: File,
}

impl PrivateCluster {
    /// Starts the cluster, or adopts its server if that still runs. A running server that does not
    /// answer is restarted.
    ///
    /// # Errors
    /// [`ClusterError`] says what to do. A server that was started may be running; the next start
    /// adopts it.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let blocking = options.clone();
        let mut cluster = run(move || Self::prepare(&blocking)).await?;
        if cluster.adopted {
            if let Err(error) = cluster.make_database().await {
                tracing::warn!(%error, "the running PostgreSQL does not answer; restarting it");
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

    /// Stops the server within a time limit. The data stays.
    pub async fn stop(self) -> Result<(), ClusterError> {
        run(move || self.server.stop()).await
    }

    /// Stops the server of `folder`, if one runs, and deletes the folder.
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

    /// Returns the URL of the cluster's database with the password, as psql takes it.
    pub fn url(&self) -> String {
        self.url_of(&self.database)
    }

    /// Returns the URL of any database of the cluster.
    pub fn url_of(&self, database: &str) -> String {
        let password = encode(self.password.expose_secret());
        format!("postgres://{ROLE}:{password}@127.0.0.1:{}/{}", self.port, encode(database))
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the real folder of the cluster.
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// Returns whether a running server was adopted.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Stops the server as a crash would. Blocks; for tests.
    #[cfg(feature = "testing")]
    pub(crate) fn crash(&self) {
        self.server.stop_command("immediate").status().ok();
    }

    /// Returns a command of the server's version that runs as the server's user.
    #[cfg(feature = "testing")]
    pub(crate) fn command(&self, program: &str) -> std::process::Command {
        self.server.command(program)
    }

    /// Waits until the server answers with the right password, then creates the database if it is
    /// missing.
    async fn make_database(&self) -> Result<(), ClusterError> {
        let mut conn = self.answer().await?;
        let made = create_database(&mut conn, &self.database).await;
        made.map_err(|error| self.no_answer(&error))?;
        conn.close().await.map_err(|error| self.no_answer(&error))
    }

    /// Connects to the server. Waits while the server is starting, up to a limit; any other error,
    /// or silence, is returned at once.
    async fn answer(&self) -> Result<PgConnection, ClusterError> {
        let url = self.url_of("postgres");
        let deadline = tokio::time::Instant::now() + RECOVERY_TIMEOUT;
        loop {
            match tokio::time::timeout(ANSWER_TIMEOUT, PgConnection::connect(&url)).await {
                Ok(Ok(conn)) => return Ok(conn),
                Ok(Err(error)) if passing(&error) && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                Ok(Err(error)) => return Err(self.no_answer(&error)),
                Err(_) => return Err(self.no_answer(&"no answer in time")),
            }
        }
    }

    fn no_answer(&self, reason: &dyn std::fmt::Display) -> ClusterError {
        ClusterError::NoAnswer { port: self.port, reason: reason.to_string() }
    }
}

/// Creates the database `name` unless it exists.
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

/// Returns whether a failed connection means that the server is starting or stopping.
fn passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

/// Runs `work`, which waits for other programs, on a thread that may block.
async fn run<T, F>(work: F) -> Result<T, ClusterError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ClusterError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.expect("neither cancelled nor panicking")
}

/// Takes the lock of a cluster, which ends with the returned file. Fails if another process has it.
fn lock(folder: &Path) -> Result<File, ClusterError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(ClusterError::folder("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ClusterError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(ClusterError::folder("lock", &path)(error)),
    }
}

/// Removes what is at `path` if it is a link; [`Owner::place`] creates such links.
fn remove_link(path: &Path) -> Result<(), ClusterError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            std::fs::remove_file(path).map_err(ClusterError::folder("delete", path))
        }
        _ => Ok(()),
    }
}
