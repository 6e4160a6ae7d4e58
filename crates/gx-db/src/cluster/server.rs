//! Runs the server programs on the folder of a cluster, for [`super::PrivateCluster`] and for
//! tests. All functions block.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::binaries::Binaries;
use super::postmaster::{self, Postmaster};
use super::{ClusterError, ClusterOptions, Owner, ROLE};

/// Number of ports after the first that are tried.
const PORTS: u16 = 200;
/// Time limits in seconds: a start with recovery, a stop, and an immediate stop.
const START_S: u16 = 60;
const STOP_S: u16 = 30;
const STOP_HARD_S: u16 = 6;
/// Limit of starts while processes of a killed server still exist.
const START_ATTEMPTS: u32 = 50;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(100);

/// Folder of a cluster, with the programs and the user to run it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    owner: Owner,
    binaries: Binaries,
}

impl Server {
    /// Returns the cluster in `folder`, which may be empty. Fails if the programs that its data
    /// needs are not installed.
    pub(crate) fn open(folder: PathBuf, owner: Owner) -> Result<Self, ClusterError> {
        let data = folder.join("data");
        let major = std::fs::read_to_string(data.join("PG_VERSION"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let binaries = Binaries::find(major, &data)?;
        Ok(Self { folder, owner, binaries })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Returns the cluster's password. The first start creates it with the data. An unfinished
    /// attempt is deleted: the data directory is complete or missing.
    pub(crate) fn ensure_data(&self, durable: bool) -> Result<SecretString, ClusterError> {
        let (data, file) = (self.data(), self.folder.join("password"));
        self.owner.give(&self.folder)?;
        if data.exists() {
            let password =
                std::fs::read_to_string(&file).map_err(ClusterError::folder("read", &file))?;
            return Ok(password.trim_end().into());
        }
        let unfinished = self.folder.join("data.unfinished");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)
                .map_err(ClusterError::folder("delete", &unfinished))?;
        }
        let password = SecretString::from(hex::encode(rand::random::<[u8; 24]>()));
        write_secret(&file, password.expose_secret())?;
        self.owner.give(&file)?;
        let mut initdb = self.command("initdb");
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--username", ROLE]);
        initdb.arg("--no-sync").arg("--pwfile").arg(&file).arg("-D").arg(&unfinished);
        self.finish("initdb", &mut initdb)?;
        if durable {
            // Syncing the whole file system takes a tenth of the time that initdb needs for each
            // file.
            let mut sync = self.owner.command(Path::new("sync"), &self.folder);
            self.finish("sync", sync.arg("--file-system").arg(&unfinished))?;
        }
        std::fs::rename(&unfinished, &data).map_err(ClusterError::folder("rename", &unfinished))?;
        Ok(password)
    }

    /// Starts the server on its previous port or the next free one, and returns the port. Tries
    /// again for a few seconds if another process took the port or a killed server is still ending.
    pub(crate) fn start(&self, options: &ClusterOptions) -> Result<u16, ClusterError> {
        let mut attempt = 1;
        loop {
            let port = self.choose_port(options.first_port)?;
            self.configure(port, options)?;
            let mut pg_ctl = self.command("pg_ctl");
            pg_ctl.arg("-D").arg(self.data()).arg("-l").arg(self.log());
            pg_ctl.args(["-w", "-s", "-t", &START_S.to_string(), "start"]);
            let log_before = length(&self.log());
            match self.finish("pg_ctl", &mut pg_ctl) {
                Ok(()) => return Ok(port),
                Err(error) => {
                    let said = tail(&self.log(), log_before);
                    if attempt == START_ATTEMPTS || !passes(&said) {
                        return Err(match error {
                            ClusterError::Program { program, log, .. } => {
                                ClusterError::Program { program, reason: last_words(&said), log }
                            }
                            other => other,
                        });
                    }
                    attempt += 1;
                    pause();
                }
            }
        }
    }

    /// Stops the server if it runs; if that takes too long, stops it immediately.
    pub(crate) fn stop(&self) -> Result<(), ClusterError> {
        if self.surviving()?.is_none() || self.stop_as("fast", STOP_S).is_ok() {
            return Ok(());
        }
        self.stop_hard()
    }

    /// Stops a server that may not respond. Committed data is kept.
    pub(crate) fn stop_hard(&self) -> Result<(), ClusterError> {
        if self.surviving()?.is_none() || self.stop_as("immediate", STOP_HARD_S).is_ok() {
            return Ok(());
        }
        while let Some(postmaster) = self.surviving()? {
            let mut kill = self.owner.command(Path::new("kill"), &self.folder);
            self.finish("kill", kill.args(["-KILL", &postmaster.pid.to_string()]))?;
            pause();
        }
        Ok(())
    }

    fn stop_as(&self, mode: &str, limit_s: u16) -> Result<(), ClusterError> {
        self.finish("pg_ctl", self.stop_command(mode).args(["-t", &limit_s.to_string()]))
    }

    /// Returns the running server of this data, whichever process started it.
    pub(crate) fn surviving(&self) -> Result<Option<Postmaster>, ClusterError> {
        let data = self.data();
        postmaster::surviving(&data).map_err(ClusterError::folder("read", &data))
    }

    pub(crate) fn stop_command(&self, mode: &str) -> Command {
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl.arg("-D").arg(self.data());
        pg_ctl.args(["-w", "-s", "-m", mode, "stop"]);
        pg_ctl
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        self.owner.command(&self.binaries.program(program), &self.folder)
    }

    /// Runs a command to its end. Its output becomes the error if it fails; the output goes through
    /// a file, because a server that the command starts would keep a pipe open.
    fn finish(&self, program: &'static str, command: &mut Command) -> Result<(), ClusterError> {
        let log = self.folder.join("programs.log");
        let file = std::fs::File::create(&log).map_err(ClusterError::folder("write", &log))?;
        let copy = file.try_clone().map_err(ClusterError::folder("write", &log))?;
        command.stdin(std::process::Stdio::null()).stdout(copy).stderr(file);
        let failed = |reason: String| ClusterError::Program { program, reason, log: log.clone() };
        let status = command.status().map_err(|error| failed(error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        Err(failed(last_words(&std::fs::read_to_string(&log).unwrap_or_default())))
    }

    /// Returns the port of earlier starts or the next free one, and stores it.
    fn choose_port(&self, first: u16) -> Result<u16, ClusterError> {
        let file = self.folder.join("port");
        let kept = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let first = kept.unwrap_or(first);
        let last = first.saturating_add(PORTS);
        let port = (first..=last)
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .ok_or_else(|| ClusterError::NoPort { first, last, file: file.clone() })?;
        std::fs::write(&file, format!("{port}\n")).map_err(ClusterError::folder("write", &file))?;
        Ok(port)
    }

    /// Writes the settings that differ from those of initdb.
    fn configure(&self, port: u16, options: &ClusterOptions) -> Result<(), ClusterError> {
        let mut lines = vec![
            ("port", port.to_string()),
            ("listen_addresses", "127.0.0.1".to_owned()),
            // The path of a socket has a length limit, which a deep folder exceeds.
            ("unix_socket_directories", String::new()),
            ("password_encryption", "scram-sha-256".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("log_timezone", "UTC".to_owned()),
            // The detail of a rejected row would put personal data into the log.
            ("log_error_verbosity", "terse".to_owned()),
        ];
        if options.durable {
            // The same holds for the start after a crash.
            lines.push(("recovery_init_sync_method", "syncfs".to_owned()));
        } else {
            // Committed data survives a crash of the server, but not of the machine.
            lines.extend(["fsync", "full_page_writes"].map(|name| (name, "off".to_owned())));
        }
        lines.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let text: String = lines
            .iter()
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect();
        let (own, main) = (self.data().join("gx.conf"), self.data().join("postgresql.conf"));
        std::fs::write(&own, text).map_err(ClusterError::folder("write", &own))?;
        self.owner.give(&own)?;
        let include = "\ninclude 'gx.conf'\n";
        let existing =
            std::fs::read_to_string(&main).map_err(ClusterError::folder("read", &main))?;
        if !existing.ends_with(include) {
            std::fs::write(&main, existing + include)
                .map_err(ClusterError::folder("write", &main))?;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "runs where blocking is allowed")]
fn pause() {
    std::thread::sleep(ATTEMPT_INTERVAL);
}

/// Returns whether a failed start may succeed later: another process took the port, or processes of
/// a killed server still hold its shared memory.
fn passes(said: &str) -> bool {
    ["could not bind", "pre-existing shared memory block", "is still in use"]
        .iter()
        .any(|words| said.contains(words))
}

/// Returns the last line with an error, without its prefix, or the last line.
fn last_words(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let named = ["FATAL:", "ERROR:", "error:"].iter().find_map(|word| {
        lines().filter_map(|line| line.split_once(word)).next_back().map(|(_, rest)| rest.trim())
    });
    named.or_else(|| lines().next_back()).unwrap_or("no reason given").to_owned()
}

fn length(file: &Path) -> usize {
    let length = file.metadata().map(|found| found.len()).unwrap_or_default();
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Returns the text that was appended to a log since it had this length.
fn tail(file: &Path, from: usize) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
}

fn write_secret(file: &Path, secret: &str) -> Result<(), ClusterError> {
    std::fs::write(file, "").map_err(ClusterError::folder("write", file))?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
        .map_err(ClusterError::folder("protect", file))?;
    std::fs::write(file, format!("{secret}\n")).map_err(ClusterError::folder("write", file))
}
