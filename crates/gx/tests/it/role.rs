//! One service or worker as a process, and a ledger for it.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use gx_devnet::{Devnet, DevnetOptions, Faults};
use gx_model::{Clock, SignerRole};
use gx_testkit::eventually;
use gx_testkit::http::{request, send};
use tempfile::TempDir;

use crate::stack::{BOUND, signal};

/// A development ledger in this process, which other processes reach through Fabric's protocol.
pub(crate) struct Ledger {
    devnet: Devnet,
    folder: TempDir,
}

impl Ledger {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = DevnetOptions::new(folder.path(), Clock::system(), gx_contract::Contracts);
        let devnet = Devnet::start(DevnetOptions { fsync: false, ..options }).await.unwrap();
        std::fs::write(folder.path().join("root.pem"), devnet.tls_root_pem()).unwrap();
        Self { devnet, folder }
    }

    pub(crate) fn devnet(&self) -> &Devnet {
        &self.devnet
    }

    /// Returns the folder of the ledger.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn faults(&self) -> Faults {
        self.devnet.faults()
    }

    /// Returns the settings with which a worker uses this ledger.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let file = |role, name: &str| self.devnet.msp_dir(role).join(name).display().to_string();
        [
            ("FABRIC_PEER_ENDPOINT", self.devnet.endpoint()),
            ("FABRIC_MSP_ID", self.devnet.identity(SignerRole::Admin).msp_id),
            (
                "FABRIC_PEER_TLS_CA_CERT_PATH",
                self.folder.path().join("root.pem").display().to_string(),
            ),
            ("FABRIC_CERT_PATH", file(SignerRole::Admin, "signcerts/cert.pem")),
            ("FABRIC_KEY_PATH", file(SignerRole::Admin, "keystore/priv_sk")),
            ("FABRIC_SUPER_ADMIN_CERT_PATH", file(SignerRole::SuperAdmin, "signcerts/cert.pem")),
            ("FABRIC_SUPER_ADMIN_KEY_PATH", file(SignerRole::SuperAdmin, "keystore/priv_sk")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Rate limits that tests about other things do not reach: all their clients have one address.
pub(crate) const OUT_OF_REACH: [(&str, &str); 10] = [
    ("GX_LIMIT_LOGIN", "1000000/1s"),
    ("GX_LIMIT_LOGIN_CLIENT", "1000000/1s"),
    ("GX_LIMIT_CREDENTIAL_NETWORK", "1000000/1s"),
    ("GX_LIMIT_REGISTER", "1000000/1s"),
    ("GX_LIMIT_MAIL", "1000000/1s"),
    ("GX_LIMIT_MAIL_CLIENT", "1000000/1s"),
    ("GX_LIMIT_MAIL_NETWORK", "1000000/1s"),
    ("GX_LIMIT_REFRESH", "1000000/1s"),
    ("GX_LIMIT_FILES", "1000000/1s"),
    ("GX_LIMIT_GENERAL", "1000000/1s"),
];

/// `gx ROLE` as a process.
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Address of a service's internal listener.
    pub(crate) internal: SocketAddr,
    command: Command,
    child: Child,
}

impl Role {
    /// Starts a role with additional settings, without waiting for it.
    pub(crate) fn start(name: &'static str, database: &str, settings: &[(String, String)]) -> Self {
        let (address, internal) = (free_address(), free_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        command
            .arg(name)
            .env("GX_ENV", "development")
            .env("GX_LISTEN", address.to_string())
            .env("GX_LOG", "warn")
            .env("GX_DRAIN_NOTICE_MS", "500")
            .env("DATABASE_URL", database)
            .envs(settings.iter().cloned())
            .stdin(Stdio::null())
            .stderr(File::create(log(name, address)).unwrap());
        if !["outbox-submitter", "projector"].contains(&name) {
            command
                .env("GX_INTERNAL_LISTEN", internal.to_string())
                .env("GX_MASTER_KEY_FILE", master_keys())
                .env("GX_BIOMETRIC_KEY", "5a".repeat(32));
            if !settings.iter().any(|(name, _)| name == "GX_TOKEN_KEY_FILE") {
                command.env("JWT_SECRET", "a secret of this test alone, long enough");
            }
            if name != "svc-tokenomics" {
                let folder = document_folder(database);
                command
                    .env("GX_DOCUMENT_STORE", folder.join("documents"))
                    .env("GX_KEY_STORE", folder.join("person-keys"));
            }
            command.envs(OUT_OF_REACH).envs(settings.iter().cloned());
        }
        let child = command.spawn().unwrap();
        Self { name, address, internal, command, child }
    }

    /// Waits until `/readyz` answers with this status.
    pub(crate) async fn wait_for_readyz(&self, status: u16) {
        let what = format!("{} answers {status}", self.name);
        eventually(&what, BOUND, async || {
            let ask = request(http::Method::GET, "/readyz", None, None);
            let reply = send(self.address, ask).await.ok()?;
            (reply.status == status).then_some(())
        })
        .await;
    }

    /// Returns its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(log(self.name, self.address)).unwrap()
    }

    /// Returns the state of the process, its health report, its metrics and its standard error, for
    /// the message of a failed test.
    pub(crate) async fn describe(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or("no process");
        let health = self.ask_briefly("/health").await;
        let metrics = self.ask_briefly("/metrics").await;
        let own = metrics.lines().filter(|line| line.starts_with("gx_"));
        let metrics = own.collect::<Vec<_>>().join("\n");
        let (name, log) = (self.name, self.stderr());
        format!("{name}: {state}\nhealth: {health}\nmetrics: {metrics}\nstandard error: {log}")
    }

    /// Returns the answer to a GET request, or why there is none within 5 s.
    async fn ask_briefly(&self, path: &str) -> String {
        let ask = send(self.address, request(http::Method::GET, path, None, None));
        match tokio::time::timeout(Duration::from_secs(5), ask).await {
            Ok(Ok(reply)) => reply.text,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within 5 s".to_owned(),
        }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(name, &self.child.id().to_string());
    }

    /// Waits for the end of the process and returns its exit status.
    pub(crate) async fn wait_for_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process has ended", BOUND, || std::future::ready(child.try_wait().unwrap()))
            .await
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the process again, without waiting for it.
    pub(crate) fn restart(&mut self) {
        self.child = self.command.spawn().unwrap();
    }

    /// Kills the process, starts it again, and waits until it is ready.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
        self.wait_for_readyz(200).await;
    }
}

/// Returns a file with a master key, which all tests of this process share.
pub(crate) fn master_keys() -> PathBuf {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let name = format!("master-keys-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, format!("1:{}=\n", "A".repeat(43))).unwrap();
        path
    });
    FILE.clone()
}

/// Returns the folder of the documents that all roles of a database share.
pub(crate) fn document_folder(database: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    database.hash(&mut hasher);
    let name = format!("documents-{}-{:x}", std::process::id(), hasher.finish());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Ends all processes that the test has started.
impl Drop for Role {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the file in the build folder that keeps the standard error of a role.
pub(crate) fn log(name: &str, address: SocketAddr) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.log", address.port()))
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
