//! PgBouncer in front of a test's server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::time::timeout;

use super::leash::Leash;
use super::new_folder;
use super::shared::target_folder;
use crate::cluster::Owner;

/// Paths in distributions.
const USUAL: [&str; 2] = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
/// Path of the one that `scripts/pgbouncer` builds, in cargo's target folder.
const BUILT: &str = "pgbouncer/pgbouncer";
/// Oldest version that keeps prepared statements apart.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);
/// Sessions of the server that all connections to one database share.
const POOL_SIZE: u32 = 4;
const BOUND: Duration = Duration::from_secs(60);

/// An installed PgBouncer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Path of the program.
    pub path: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// A running PgBouncer. It is stopped when dropped or when the test process ends.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    _leash: Leash,
    _folder: TempDir,
}

impl Program {
    /// Returns all installed versions.
    ///
    /// # Panics
    /// If none is new enough for GX, because the tests would prove nothing.
    pub fn all() -> Vec<Self> {
        let built = target_folder().join(BUILT);
        let places = USUAL.iter().map(PathBuf::from).chain([built]);
        let found: Vec<Self> = places.filter_map(|path| Self::at(&path)).collect();
        let enough = found.iter().any(Self::keeps_statements);
        assert!(enough, "no PgBouncer 1.21 or newer is on this machine: run scripts/pgbouncer");
        found
    }

    /// Returns the newest installed version.
    pub fn newest() -> Self {
        Self::all().into_iter().max_by_key(|program| program.version).expect("there is one")
    }

    /// Returns whether it keeps prepared statements apart.
    pub fn keeps_statements(&self) -> bool {
        self.version >= KEEPS_STATEMENTS
    }

    fn at(path: &Path) -> Option<Self> {
        let said = Command::new(path).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let mut numbers = said.strip_prefix("PgBouncer ")?.split(['.', '\n', ' ']);
        let version = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        Some(Self { path: path.to_owned(), version })
    }
}

impl PgBouncer {
    /// Starts it in front of the server of this URL. `settings` of its file, such as `pool_mode`,
    /// may repeat a name; the last one counts.
    pub async fn start(program: &Program, url: &str, settings: &[(&str, &str)]) -> Self {
        let (user, password, host, port) = parts(url);
        let folder = new_folder();
        let owner = Owner::of(folder.path()).unwrap();
        let own_port = free_port();
        let mut file = format!(
            "[databases]\n* = host={host} port={port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own_port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = {POOL_SIZE}\nmax_client_conn = 500\n"
        );
        for (name, value) in settings {
            file.push_str(&format!("{name} = {value}\n"));
        }
        let config = folder.path().join("pgbouncer.ini");
        std::fs::write(&config, file).unwrap();
        owner.give(&config).unwrap();
        let script = "\"$1\" -q \"$2\" & bouncer=$!; cat >/dev/null; kill -KILL $bouncer; wait";
        let args = [program.path.to_str().unwrap(), config.to_str().unwrap()];
        let shell = owner.command(Path::new("/bin/sh"), folder.path());
        let mut leash = Leash::start(shell, script, &args);
        let through: PgConnectOptions = with_port(url, own_port).parse().unwrap();
        let through = through.extra_float_digits(None);
        timeout(BOUND, async {
            while through.connect().await.is_err() {
                assert!(leash.holds(), "PgBouncer has ended");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("PgBouncer answers");
        Self { port: own_port, _leash: leash, _folder: folder }
    }

    /// Returns the URL of the same database through this PgBouncer.
    pub fn url(&self, of: &str) -> String {
        with_port(of, self.port)
    }
}

/// Returns user, password, host and port of a URL that was made for a test.
fn parts(url: &str) -> (&str, &str, &str, &str) {
    let parts = || {
        let (credentials, rest) = url.strip_prefix("postgres://")?.split_once('@')?;
        let (user, password) = credentials.split_once(':')?;
        let (host, port) = rest.split_once('/')?.0.split_once(':')?;
        Some((user, password, host, port))
    };
    parts().expect("it has all of them")
}

fn with_port(url: &str, port: u16) -> String {
    let (.., old) = parts(url);
    url.replacen(&format!(":{old}/"), &format!(":{port}/"), 1)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
