//! The server of a target folder.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use gx_model::{Clock, CountryList};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::OnceCell;

use super::PREFIX;
use crate::cluster::{ClusterOptions, Owner, PrivateCluster, Server};
use crate::migrate::{MIGRATIONS, migrate};

/// Seconds for which a new watcher waits for the previous one to end.
const WATCHER_CHANGE_S: &str = "5";

/// The server, as this process uses it until it ends.
pub(super) struct SharedServer {
    url_without_database: String,
    template: OnceCell<String>,
    /// Lock that all test processes share; the watcher waits until it is free.
    _users: File,
}

static SERVER: OnceCell<SharedServer> = OnceCell::const_new();

impl SharedServer {
    /// Returns the server, and starts it if no process has.
    pub(super) async fn get() -> &'static Self {
        SERVER.get_or_init(Self::attach).await
    }

    async fn attach() -> Self {
        let folder = target_folder().join("test-postgres");
        let owner = Owner::of(&folder).unwrap();
        let place = owner.place(&folder).unwrap();
        // One process at a time checks and starts.
        let starting = open(&place.join("starting"), owner);
        let (starting, users) = tokio::task::spawn_blocking({
            let place = place.clone();
            move || {
                starting.lock().unwrap();
                // Waits while a watcher is stopping the server.
                let users = open(&place.join("users"), owner);
                users.lock_shared().unwrap();
                (starting, users)
            }
        })
        .await
        .unwrap();
        watch(&place, owner);
        let cluster = PrivateCluster::start(options(&folder)).await.unwrap();
        let url = cluster.url_of("");
        if !cluster.adopted() {
            drop_leftovers(&cluster.url_of("postgres")).await;
        }
        drop(cluster);
        drop(starting);
        Self { url_without_database: url, template: OnceCell::new(), _users: users }
    }

    pub(super) fn url_of(&self, database: &str) -> String {
        format!("{}{database}", self.url_without_database)
    }

    pub(super) async fn create_database(&self, name: &str, template: &str) {
        let mut conn = self.admin().await;
        create_database(&mut conn, name, template).await;
        conn.close().await.unwrap();
    }

    /// Returns the name of the template database, which the first process creates. The name
    /// contains a hash of its content.
    pub(super) async fn template(&self) -> String {
        self.template.get_or_init(|| self.make_template()).await.clone()
    }

    async fn make_template(&self) -> String {
        let name = template_name();
        let mut conn = self.admin().await;
        // Other processes wait here until the template is complete.
        sqlx::query("SELECT pg_advisory_lock(1)").execute(&mut conn).await.unwrap();
        let found: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
                .bind(&name)
                .fetch_one(&mut conn)
                .await
                .unwrap();
        if !found {
            // Until it is complete, it has the name of a test's database, so that the one of a
            // killed run is dropped.
            let unfinished = format!("{PREFIX}{}", hex::encode(rand::random::<[u8; 10]>()));
            create_database(&mut conn, &unfinished, "template0").await;
            let mut inside = PgConnection::connect(&self.url_of(&unfinished)).await.unwrap();
            migrate(&mut inside, &Clock::system()).await.unwrap();
            inside.close().await.unwrap();
            let sql = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        }
        conn.close().await.unwrap();
        name
    }

    pub(super) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.url_of("postgres")).await.unwrap()
    }
}

/// Returns the options of the shared server: fast and not durable.
fn options(folder: &Path) -> ClusterOptions {
    ClusterOptions {
        first_port: 16_432,
        durable: false,
        settings: [
            ("max_connections", "1000"),
            ("shared_buffers", "64MB"),
            ("autovacuum", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("max_wal_size", "2GB"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        ..ClusterOptions::new(folder)
    }
}

/// Starts a small process that stops the server when no test process is left. It waits for the lock
/// that each of them holds, which the kernel releases however they end. It starts before the
/// server, so that the server is never without one.
pub(super) fn watch(place: &Path, owner: Owner) {
    let stop = Server::open(place.to_owned(), owner).unwrap().stop_command("fast");
    let mut watcher = owner.command(Path::new("flock"), place);
    watcher.args(["-w", WATCHER_CHANGE_S]).arg(place.join("watcher"));
    watcher.arg("flock").arg(place.join("users")).arg(stop.get_program()).args(stop.get_args());
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    open(&place.join("watcher"), owner);
    #[expect(clippy::zombie_processes, reason = "it is meant to outlive this process")]
    watcher.spawn().expect("`flock` of util-linux is installed");
}

/// Opens a lock file that the server's user can open, too.
pub(super) fn open(path: &Path, owner: Owner) -> File {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    owner.give(path).unwrap();
    file
}

/// Drops databases of killed tests, and templates of other schemas.
async fn drop_leftovers(url: &str) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE starts_with(datname, 'gx_t') AND datname <> $1",
    )
    .bind(template_name())
    .fetch_all(&mut conn)
    .await
    .unwrap();
    for name in names {
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
}

async fn create_database(conn: &mut PgConnection, name: &str, template: &str) {
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.unwrap();
}

/// Returns `gx_template_` with a hash of everything that the migrations put into a database.
fn template_name() -> String {
    let mut hash = Sha256::new();
    for migration in MIGRATIONS {
        hash.update(migration.name);
        hash.update(migration.checksum());
        hash.update(migration.schema);
    }
    hash.update(format!("{:?}", CountryList::embedded()));
    format!("gx_template_{}", &hex::encode(hash.finalize())[..20])
}

/// Returns cargo's target folder, which contains this test program.
pub(super) fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
    program.ancestors().find(marked).map_or_else(std::env::temp_dir, Path::to_owned)
}
