//! Address of the database and how to use it, from the command line or the environment. Every role
//! and command that needs the database has these settings.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::endpoint::{self, Endpoint};
use crate::migrate::MigrationSettings;
use crate::session::SessionSettings;

/// Longest wait of a session for a lock before health reports it.
const MAX_UNREPORTED_WAIT: Duration = Duration::from_secs(1);

/// Settings of the connection to PostgreSQL: either the URL, or host, name and user. The password
/// may be set separately in both cases.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/name`; several hosts as `host1:port,host2:port`, or
    /// several URLs, separated by commas. The writer among them is used.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        required_unless_present = "database_host"
    )]
    pub database_url: Option<SecretString>,
    /// Host, or several separated by commas; with its own port as `host:port`.
    #[arg(long, env = "DATABASE_HOST")]
    pub database_host: Option<String>,
    /// Port of the hosts that have none of their own.
    #[arg(long, env = "DATABASE_PORT", default_value_t = 5432)]
    pub database_port: u16,
    /// Name of the database.
    #[arg(long, env = "DATABASE_NAME", default_value = "gx_protocol")]
    pub database_name: String,
    /// Role to connect as.
    #[arg(long, env = "DATABASE_USER")]
    pub database_user: Option<String>,
    /// Password; overrides the one in DATABASE_URL.
    #[arg(long, env = "DATABASE_PASSWORD", hide_env_values = true)]
    pub database_password: Option<SecretString>,
    /// File that contains the password; a line end at the end of the file is ignored.
    #[arg(long, env = "DATABASE_PASSWORD_FILE", conflicts_with = "database_password")]
    pub database_password_file: Option<PathBuf>,
    /// TLS: disable, prefer, require, verify-ca or verify-full; overrides DATABASE_URL.
    #[arg(long, env = "DATABASE_SSL_MODE")]
    pub database_ssl_mode: Option<PgSslMode>,
    /// File with the root certificates that the server's certificate must be signed by.
    #[arg(long, env = "DATABASE_SSL_ROOT_CERT")]
    pub database_ssl_root_cert: Option<PathBuf>,
    /// System identifier of the only cluster to accept (`gx db check` prints it); if it is not set,
    /// the first cluster that is accepted.
    #[arg(long, env = "DATABASE_SYSTEM_ID")]
    pub database_system_id: Option<u64>,
    /// Limit of the connections of one process, 1 to 1000.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,
    /// Milliseconds for opening and checking one connection, 100 to 60000.
    #[arg(long, env = "DATABASE_CONNECT_TIMEOUT_MS", default_value_t = 3_000,
          value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub database_connect_timeout_ms: u64,
    /// Milliseconds to wait for a usable connection, 100 to 60000.
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT_MS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub database_acquire_timeout_ms: u64,
    /// Milliseconds that one statement may take, 100 to 3600000.
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT_MS", default_value_t = 30_000,
          value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub database_statement_timeout_ms: u64,
    /// Milliseconds between checks of the instance in use, 100 to 60000.
    #[arg(long, env = "DATABASE_RECHECK_MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub database_recheck_ms: u64,
    /// Settings of every session on the server.
    #[command(flatten)]
    pub session: SessionSettings,
    /// How migrations wait for locks.
    #[command(flatten)]
    pub migration: MigrationSettings,
    /// Whether a lock, a subscription or a setting must outlast a transaction on the server. A
    /// pooler that shares sessions is rejected then.
    #[arg(skip)]
    pub needs_sessions: bool,
}

/// All settings that are wrong, each with what to do. No text contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct SettingsError(pub Vec<String>);

impl DatabaseSettings {
    /// Creates settings with this URL and defaults.
    pub fn from_url(url: SecretString) -> Self {
        Self {
            database_url: Some(url),
            database_host: None,
            database_port: 5432,
            database_name: "gx_protocol".to_owned(),
            database_user: None,
            database_password: None,
            database_password_file: None,
            database_ssl_mode: None,
            database_ssl_root_cert: None,
            database_system_id: None,
            database_max_connections: 10,
            database_connect_timeout_ms: 3_000,
            database_acquire_timeout_ms: 5_000,
            database_statement_timeout_ms: 30_000,
            database_recheck_ms: 1_000,
            session: SessionSettings::default(),
            migration: MigrationSettings::default(),
            needs_sessions: false,
        }
    }

    /// Returns these settings for a process of this role: unless another name is set, the server
    /// lists its sessions as `gx` and the role.
    #[must_use]
    pub fn named(&self, role: &str) -> Self {
        let mut named = self.clone();
        named.session.database_application_name.get_or_insert_with(|| format!("gx {role}"));
        named
    }

    /// Returns these settings for a process that needs its own sessions: locks, subscriptions and
    /// settings that outlast a transaction.
    #[must_use]
    pub fn with_sessions(&self) -> Self {
        Self { needs_sessions: true, ..self.clone() }
    }

    /// Checks settings that depend on each other, and reads the password file.
    pub fn verify(&self) -> Result<(), SettingsError> {
        self.endpoints().map(drop)
    }

    /// Returns the instances to choose from, in the order of the settings. The error names every
    /// setting that is wrong.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, SettingsError> {
        let mut problems = Vec::new();
        let password = self.password().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let instances = match &self.database_url {
            Some(url) => endpoint::from_url(url.expose_secret()).map_err(|problem| vec![problem]),
            None => self.instances_from_parts(),
        };
        let session = self.session.session(self.database_statement_timeout_ms);
        match instances {
            Ok(instances) if problems.is_empty() => Ok(instances
                .into_iter()
                .map(|options| Endpoint::new(self.finish(options, password.as_ref()), &session))
                .collect()),
            Ok(_) => Err(SettingsError(problems)),
            Err(more) => {
                problems.extend(more);
                Err(SettingsError(problems))
            }
        }
    }

    /// Returns the limit of the time for opening and checking one connection.
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.database_connect_timeout_ms)
    }

    /// Returns the interval of checks of the instance in use.
    pub(crate) fn recheck(&self) -> Duration {
        Duration::from_millis(self.database_recheck_ms)
    }

    /// Returns the wait for a lock after which health reports a session, well before the wait times
    /// out.
    pub(crate) fn reported_after(&self) -> Duration {
        MAX_UNREPORTED_WAIT.min(Duration::from_millis(self.session.database_lock_timeout_ms) / 4)
    }

    fn password(&self) -> Result<Option<SecretString>, String> {
        let Some(file) = &self.database_password_file else {
            return Ok(self.database_password.clone());
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("DATABASE_PASSWORD_FILE: cannot read `{}`: {error}", file.display())
        })?;
        Ok(Some(
            text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t)).into(),
        ))
    }

    fn instances_from_parts(&self) -> Result<Vec<PgConnectOptions>, Vec<String>> {
        let mut problems = Vec::new();
        let host = self.database_host.as_deref().unwrap_or_default();
        if host.is_empty() {
            problems.push("DATABASE_URL or DATABASE_HOST: set one of them".to_owned());
        }
        let user = self.database_user.as_deref().unwrap_or_default();
        if user.is_empty() {
            problems.push("DATABASE_USER: set it, because DATABASE_URL is not set".to_owned());
        }
        let mut instances = Vec::new();
        for host in host.split(',').map(str::trim).filter(|host| !host.is_empty()) {
            match endpoint::host_and_port(host) {
                Ok((host, port)) => instances.push(
                    PgConnectOptions::new_without_pgpass()
                        .host(host)
                        .port(port.unwrap_or(self.database_port))
                        .username(user)
                        .database(&self.database_name),
                ),
                Err(problem) => problems.push(format!("DATABASE_HOST: {problem}")),
            }
        }
        if problems.is_empty() { Ok(instances) } else { Err(problems) }
    }

    /// Adds the options that all instances share.
    fn finish(
        &self,
        mut options: PgConnectOptions,
        password: Option<&SecretString>,
    ) -> PgConnectOptions {
        if let Some(password) = password {
            options = options.password(password.expose_secret());
        }
        if let Some(mode) = self.database_ssl_mode {
            options = options.ssl_mode(mode);
        }
        if let Some(file) = &self.database_ssl_root_cert {
            options = options.ssl_root_cert(file);
        }
        options
    }
}

#[cfg(test)]
mod tests;
