//! `gx dev` as a process that tests start, kill and start again.

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
use gx_testkit::story::{ServiceEndpoint, Services};
use sqlx::Connection as _;
use sqlx::PgConnection;
use tempfile::TempDir;

use crate::role::OUT_OF_REACH;

/// Longest time of a start or stop on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_secs(180);

/// A data folder, and the `gx dev` that runs in it.
pub(crate) struct Stack {
    dir: TempDir,
    offset: u16,
    /// Settings that are not the usual ones.
    settings: Vec<(String, String)>,
    child: Option<Child>,
}

impl Stack {
    /// Creates a folder and ports for a stack, without starting it.
    pub(crate) fn prepare() -> Self {
        Self::with_settings(Vec::new())
    }

    /// Creates a folder and ports for a stack with these settings, such as those of another ledger.
    pub(crate) fn with_settings(settings: Vec<(String, String)>) -> Self {
        let everybody_may_look_in = fs::Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new()
            .permissions(everybody_may_look_in)
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        Self { dir, offset: free_offset(), settings, child: None }
    }

    /// Starts a stack and waits until it is ready.
    pub(crate) async fn start() -> Self {
        let mut stack = Self::prepare();
        stack.run().await;
        stack
    }

    /// Starts `gx dev` and waits until it is ready.
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

    /// Returns the command `gx dev` for this folder and these ports.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        command
            .arg("dev")
            .args(["--port-offset", &self.offset.to_string()])
            .arg("--data-dir")
            .arg(self.data_dir())
            .env_remove("DATABASE_URL")
            .envs(OUT_OF_REACH)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Returns the id of the process `gx dev`, which is running.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Returns the port of this stack for a usual port.
    pub(crate) fn port(&self, usual: u16) -> u16 {
        usual + self.offset
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("gx")
    }

    /// Kills `gx dev` with SIGKILL; PostgreSQL survives.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Kills the first process of PostgreSQL with SIGKILL; its other processes then end by
    /// themselves.
    pub(crate) fn kill_postgres(&self) {
        signal("KILL", &self.postmaster());
    }

    /// Sends a signal to `gx dev`.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, &self.pid().to_string());
    }

    /// Returns a figure of the memory of `gx dev`, such as `VmRSS`, in KiB.
    pub(crate) fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Lets the peak of the memory of `gx dev`, `VmHWM`, begin with what it has now.
    pub(crate) fn forget_peak_memory(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").unwrap();
    }

    /// Sends a signal to every process of PostgreSQL.
    pub(crate) fn signal_postgres(&self, name: &str) {
        let postmaster = self.postmaster();
        // A frozen first process starts no others.
        signal(name, &postmaster);
        for child in children(&postmaster) {
            // A process that has ended since needs no signal.
            let _ = Command::new("kill").args(["-s", name, &child]).stderr(Stdio::null()).status();
        }
    }

    fn postmaster(&self) -> String {
        first_line(&self.data_dir().join("postgres/data/postmaster.pid"))
    }

    /// Stops `gx dev` as Ctrl-C does, and returns its exit status.
    pub(crate) async fn interrupt(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        signal("INT", &child.id().to_string());
        eventually("gx dev has stopped", BOUND, || std::future::ready(child.try_wait().unwrap()))
            .await
    }

    /// Returns the output since the last start.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    /// Returns a value of the folder's `env` file.
    pub(crate) fn env(&self, name: &str) -> String {
        let text = fs::read_to_string(self.data_dir().join("env")).unwrap();
        let exports: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
        exports[name].trim_matches('\'').to_owned()
    }

    /// Returns the services at the addresses in the `env` file.
    pub(crate) fn gx(&self) -> Services {
        let endpoint = |name| ServiceEndpoint::Tcp(address(&self.env(name)));
        Services {
            identity: endpoint("GX_IDENTITY_URL"),
            tokenomics: endpoint("GX_TOKENOMICS_URL"),
            admin: endpoint("GX_ADMIN_URL"),
        }
    }

    /// Logs the first administrator in and returns the access token.
    pub(crate) async fn admin_token(&self) -> String {
        self.gx().log_in_admin(&self.env("GX_ADMIN_EMAIL"), &self.env("GX_ADMIN_PASSWORD")).await
    }

    /// Connects to the stack's database.
    pub(crate) async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.env("DATABASE_URL")).await.unwrap()
    }
}

/// Ends all processes that the test has started.
impl Drop for Stack {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if self.data_dir().join("postgres/data/postmaster.pid").exists() {
            // Its frozen processes would never end.
            self.signal_postgres("CONT");
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

/// Returns the running child processes of a process.
fn children(of: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let ids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let is_child = |id: &String| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name may contain anything. After it come the state and the parent.
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(of)
    };
    ids.filter(is_child).collect()
}

/// Returns the address in an `http://host:port` URL.
pub(crate) fn address(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

/// Sends a GET without a token.
pub(crate) async fn get(to: SocketAddr, path: &str) -> Reply {
    send(to, request(http::Method::GET, path, None, None)).await.unwrap()
}

fn first_line(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned()
}

/// Returns an offset at which all ports of a stack are free, below the ports that the system hands
/// out. Each stack of this process begins its search at another offset.
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
