//! `gx dev` as a process of its own: started, killed and started again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use gx_testkit::eventually;
use gx_testkit::http::{Reply, request, send};
use gx_testkit::story::{Door, Gx};
use sqlx::Connection as _;
use sqlx::PgConnection;
use tempfile::TempDir;

/// The longest that any start or stop may take on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// A data folder, and the `gx dev` that runs in it.
pub(crate) struct Stack {
    dir: TempDir,
    offset: u16,
    /// Where another ledger is than the stack's own.
    ledger: Vec<(String, String)>,
    child: Option<Child>,
}

impl Stack {
    /// A folder and ports for a stack that is not running yet.
    pub(crate) fn prepare() -> Self {
        Self::on(Vec::new())
    }

    /// The same, for a ledger that these settings lead to.
    pub(crate) fn on(ledger: Vec<(String, String)>) -> Self {
        let everybody_may_look_in = fs::Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new()
            .permissions(everybody_may_look_in)
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        Self { dir, offset: free_offset(), ledger, child: None }
    }

    /// A running stack that answers everywhere.
    pub(crate) async fn start() -> Self {
        let mut stack = Self::prepare();
        stack.run().await;
        stack
    }

    /// Starts `gx dev` and waits until it says that it is ready.
    pub(crate) async fn run(&mut self) {
        self.spawn();
        let (log, child) = (self.log_path(), self.child.as_mut().unwrap());
        eventually("gx dev is ready", BOUND, || {
            let said = fs::read_to_string(&log).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "gx dev ended: {said}");
            std::future::ready(said.contains("GX is ready").then_some(()))
        })
        .await;
    }

    /// Starts `gx dev` without waiting.
    pub(crate) fn spawn(&mut self) {
        let log = File::create(self.log_path()).unwrap();
        let child = self.command().stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// `gx dev` in this folder on these ports.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        command
            .arg("dev")
            .args(["--port-offset", &self.offset.to_string()])
            .arg("--data-dir")
            .arg(self.data_dir())
            .env_remove("DATABASE_URL")
            .envs(self.ledger.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// The port that a part has here instead of its usual one.
    pub(crate) fn port(&self, usual: u16) -> u16 {
        usual + self.offset
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("gx")
    }

    /// SIGKILL to `gx dev` alone; PostgreSQL survives it.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL to every PostgreSQL process of this stack.
    pub(crate) fn kill_postgres(&self) {
        let pid_file = self.data_dir().join("postgres/data/postmaster.pid");
        let postmaster = first_line(&pid_file);
        signal("KILL", &postmaster);
    }

    /// What Ctrl-C does; how `gx dev` ended.
    pub(crate) async fn interrupt(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        signal("INT", &child.id().to_string());
        eventually("gx dev has stopped", BOUND, || std::future::ready(child.try_wait().unwrap()))
            .await
    }

    /// A value of the folder's `env` file.
    pub(crate) fn env(&self, name: &str) -> String {
        let text = fs::read_to_string(self.data_dir().join("env")).unwrap();
        let exports: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
        exports[name].trim_matches('\'').to_owned()
    }

    /// The services by their doors.
    pub(crate) fn gx(&self) -> Gx {
        let door = |name| Door::Tcp(address(&self.env(name)));
        Gx {
            identity: door("GX_IDENTITY_URL"),
            tokenomics: door("GX_TOKENOMICS_URL"),
            admin: door("GX_ADMIN_URL"),
        }
    }

    /// Logs in as the first administrator.
    pub(crate) async fn admin_token(&self) -> String {
        self.gx().log_in_admin(&self.env("GX_ADMIN_EMAIL"), &self.env("GX_ADMIN_PASSWORD")).await
    }

    /// A connection to the stack's database.
    pub(crate) async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.env("DATABASE_URL")).await.unwrap()
    }
}

/// Nothing that a test started outlives it.
impl Drop for Stack {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if self.data_dir().join("postgres/data/postmaster.pid").exists() {
            self.kill_postgres();
        }
    }
}

impl Stack {
    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

/// Sends a signal by its name.
pub(crate) fn signal(name: &str, pid: &str) {
    let status = Command::new("kill").args(["-s", name, pid]).status().unwrap();
    assert!(status.success(), "signal {name} to {pid}");
}

/// The address in an `http://host:port` URL.
pub(crate) fn address(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

/// GET without a token.
pub(crate) async fn get(to: SocketAddr, path: &str) -> Reply {
    send(to, request(http::Method::GET, path, None, None)).await.unwrap()
}

fn first_line(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned()
}

/// A distance from the usual ports at which all of them are free, below the range from which
/// the system takes ports of its own. Each stack of this process searches from another start.
fn free_offset() -> u16 {
    const USED: [u16; 10] = [3001, 3002, 3006, 7051, 8443, 9090, 9091, 13001, 13002, 13006];
    static STACKS: AtomicU16 = AtomicU16::new(0);
    let free = |offset: &u16| {
        USED.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port + offset)).is_ok())
    };
    let process = u16::try_from(std::process::id() % 10).unwrap();
    let first = 14_000 + process * 500 + STACKS.fetch_add(1, Ordering::Relaxed) * 20;
    (first..19_700).step_by(20).find(free).expect("some of these ports are free")
}
