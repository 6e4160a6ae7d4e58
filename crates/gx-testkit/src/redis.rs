//! A Redis for one test, which the test can kill, freeze and start again. Called by tests of rate
//! limits. It needs Debian's `redis-server`, which `scripts/setup redis` installs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use gx_db::testing::Leash;
use rand::RngExt as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::eventually;

/// Limit for the server to start or to end.
const BOUND: Duration = Duration::from_secs(60);
/// The key that checks of health write, which is gone after a millisecond.
const HEALTH_KEY: &str = "gx:limit:health";
/// Ports of the servers: below those of outgoing connections, one of which could take the port
/// while the server is dead.
const PORTS: std::ops::Range<u16> = 10_500..12_500;

/// A Redis without persistence. It ends when it is dropped, and with the test process.
pub struct RedisServer {
    port: u16,
    folder: TempDir,
    leash: Option<Leash>,
}

impl RedisServer {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If there is no `redis-server`, or it does not start.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { port: free_port(), folder, leash: None };
        server.restart().await;
        server
    }

    /// Returns the address for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills the server as a crash would. What it has counted is lost.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.leash = None;
        let port = self.port;
        eventually("Redis has ended", BOUND, async || {
            TcpStream::connect(("127.0.0.1", port)).await.is_err().then_some(())
        })
        .await;
    }

    /// Starts the server again on the same port, with nothing counted.
    pub async fn restart(&mut self) {
        let port = self.port.to_string();
        let script = "redis-server --bind 127.0.0.1 --port \"$1\" --dir \"$2\" --pidfile \"$3\" \
                      --save '' --appendonly no & server=$!; cat >/dev/null; \
                      kill -KILL $server 2>/dev/null; wait";
        let (folder, pid_file) = (self.folder.path().to_owned(), self.pid_file());
        let arguments = [&*port, folder.to_str().unwrap(), pid_file.to_str().unwrap()];
        let _absent = std::fs::remove_file(&pid_file);
        self.leash = Some(Leash::start(Command::new("/bin/sh"), script, &arguments));
        let port = self.port;
        eventually("Redis answers; `scripts/setup redis` installs it", BOUND, async || {
            (ask(port, "PING").await? == "+PONG").then_some(())
        })
        .await;
    }

    /// Stops the server's process without ending it: connections stay open, and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Makes the server a replica, as a failover does: it answers, and refuses to write.
    pub async fn make_read_only(&self) {
        self.command("REPLICAOF 127.0.0.1 1").await;
    }

    /// Makes a replica a server of its own again.
    pub async fn make_writable(&self) {
        self.command("REPLICAOF NO ONE").await;
    }

    /// Returns all keys of the server but that of checks of health.
    pub async fn keys(&self) -> Vec<String> {
        let answer = self.command("KEYS *").await;
        let keys = answer.lines().filter(|line| !line.starts_with(['*', '$']));
        keys.filter(|key| *key != HEALTH_KEY).map(str::to_owned).collect()
    }

    async fn command(&self, command: &str) -> String {
        ask(self.port, command).await.expect("Redis answers")
    }

    fn signal(&self, signal: Signal) {
        let pid = std::fs::read_to_string(self.pid_file()).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).expect("a process has an id");
        kill_process(pid, signal).unwrap();
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }
}

/// Sends one command and returns the answer in Redis' own format, or `None` if there is none.
async fn ask(port: u16, command: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer.trim_end().trim_end_matches("+OK").trim_end().to_owned())
}

fn free_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut random = rand::rng();
    std::iter::repeat_with(|| random.random_range(PORTS))
        .take(PORTS.len())
        .find(is_free)
        .expect("some of these ports are free")
}
