//! A server for one test, which the test can stop, kill, copy and promote.

use std::path::Path;

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::new_folder;
use super::shared::{open, watch};
use super::volume::Volume;
use crate::cluster::{ClusterOptions, Owner, PrivateCluster};

/// The server of one test with an empty database `gx_protocol`. It is stopped and deleted when
/// dropped, and stopped when the test process dies.
#[derive(Debug)]
pub struct TestServer {
    options: ClusterOptions,
    cluster: Option<PrivateCluster>,
    _users: std::fs::File,
    /// The last field, so that it is deleted last.
    _folder: TempDir,
}

impl TestServer {
    /// Starts a new cluster.
    pub async fn start() -> Self {
        Self::start_in(new_folder()).await
    }

    /// Starts a standby of this server: a copy by `pg_basebackup` that follows its log.
    pub async fn start_standby(&self) -> Self {
        let folder = new_folder();
        let source = self.running();
        let mut copy = source.command("pg_basebackup");
        copy.arg("-D").arg(folder.path().join("data")).args(["-d", &self.url()]);
        copy.args([
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--no-sync",
        ]);
        let copied = tokio::task::spawn_blocking(move || copy.status()).await.unwrap().unwrap();
        assert!(copied.success(), "pg_basebackup failed");
        std::fs::copy(source.folder().join("password"), folder.path().join("password")).unwrap();
        Self::start_in(folder).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let mut options = ClusterOptions::new(folder.path());
        options.durable = false;
        // Below the ports of outgoing connections, one of which could take it during a restart.
        options.first_port = 20_000 + u16::from(rand::random::<u8>()) * 32;
        options.settings = [("max_connections", "60"), ("shared_buffers", "16MB")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let owner = Owner::of(folder.path()).unwrap();
        let users = open(&folder.path().join("users"), owner);
        users.lock_shared().unwrap();
        watch(folder.path(), owner);
        let cluster = PrivateCluster::start(options.clone()).await.unwrap();
        Self { options, cluster: Some(cluster), _users: users, _folder: folder }
    }

    /// Returns the URL of the database `gx_protocol`, which stays the same after a restart.
    pub fn url(&self) -> String {
        self.running().url()
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.running().port()
    }

    /// Opens a connection to the database.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// Returns the folder of the cluster.
    pub fn folder(&self) -> &Path {
        self.running().folder()
    }

    /// Stops the server as a crash would: connections break, nothing is flushed.
    pub fn crash(&self) {
        self.running().crash();
    }

    /// Starts the server again on the same port.
    pub async fn restart(&mut self) {
        drop(self.cluster.take());
        self.cluster = Some(PrivateCluster::start(self.options.clone()).await.unwrap());
    }

    /// Makes a standby the writer.
    pub fn promote(&self) {
        let mut promote = self.running().command("pg_ctl");
        promote.arg("-D").arg(self.folder().join("data")).args(["-w", "-s", "promote"]);
        assert!(promote.status().unwrap().success(), "pg_ctl promote failed");
    }

    /// Moves the database `gx_protocol` to a volume; no session may be connected to it. The
    /// write-ahead log stays.
    pub async fn move_to(&self, volume: &Volume) {
        let mut conn = PgConnection::connect(&self.running().url_of("postgres")).await.unwrap();
        let folder = volume.folder().display();
        for sql in [
            format!("CREATE TABLESPACE small LOCATION '{folder}'"),
            "ALTER DATABASE gx_protocol SET TABLESPACE small".to_owned(),
        ] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        }
    }

    /// Gives the role the password of the other server, so that both accept the same URL.
    pub async fn take_password_of(&self, other: &Self) {
        let password = std::fs::read_to_string(other.folder().join("password")).unwrap();
        let sql = format!("ALTER ROLE gx PASSWORD '{}'", password.trim_end());
        let mut conn = self.connection().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    }

    fn running(&self) -> &PrivateCluster {
        self.cluster.as_ref().expect("there from start to drop")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.crash();
        }
    }
}
