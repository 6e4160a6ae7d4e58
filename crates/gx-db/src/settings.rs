//! Where the database is and how to use it, from the command line or the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::endpoint::{self, Endpoint};

/// Settings of the connection to PostgreSQL. Either the URL, or host, name and user; the
/// password may come separately in both cases.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// `postgres://user:password@host:port/name`; several hosts as `host1:port,host2:port`,
    /// or several URLs, separated by commas. The writer among them is found.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        required_unless_present = "database_host"
    )]
    pub database_url: Option<SecretString>,
    /// Host, or several separated by commas; with a port of its own as `host:port`.
    #[arg(long, env = "DATABASE_HOST")]
    pub database_host: Option<String>,
    /// Port of the hosts that name none.
    #[arg(long, env = "DATABASE_PORT", default_value_t = 5432)]
    pub database_port: u16,
    /// Name of the database.
    #[arg(long, env = "DATABASE_NAME", default_value = "gx_protocol")]
    pub database_name: String,
    /// Role to connect as.
    #[arg(long, env = "DATABASE_USER")]
    pub database_user: Option<String>,
    /// Its password, as it is; wins over one in DATABASE_URL.
    #[arg(long, env = "DATABASE_PASSWORD", hide_env_values = true)]
    pub database_password: Option<SecretString>,
    /// File that holds the password; a line end at its end is not part of it.
    #[arg(long, env = "DATABASE_PASSWORD_FILE", conflicts_with = "database_password")]
    pub database_password_file: Option<PathBuf>,
    /// TLS: disable, prefer, require, verify-ca or verify-full; wins over DATABASE_URL.
    #[arg(long, env = "DATABASE_SSL_MODE")]
    pub database_ssl_mode: Option<PgSslMode>,
    /// File with the certificates that the server's must come from.
    #[arg(long, env = "DATABASE_SSL_ROOT_CERT")]
    pub database_ssl_root_cert: Option<PathBuf>,
    /// System identifier of the only cluster to accept (`gx db check` prints it); without it,
    /// that of the first one accepted.
    #[arg(long, env = "DATABASE_SYSTEM_ID")]
    pub database_system_id: Option<u64>,
    /// Connections one process holds at most, 1 to 1000.
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
    /// Milliseconds between looks at whether the instance in use is still right, 100 to 60000.
    #[arg(long, env = "DATABASE_RECHECK_MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub database_recheck_ms: u64,
}

/// Every setting that is wrong, each with what to do. No text contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct SettingsError(pub Vec<String>);

impl DatabaseSettings {
    /// Settings with this URL and defaults for the rest.
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
        }
    }

    /// Checks the settings that only make sense together; reads the password file.
    pub fn verify(&self) -> Result<(), SettingsError> {
        self.endpoints().map(drop)
    }

    /// The instances to choose from, in the order given.
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
        match instances {
            Ok(instances) if problems.is_empty() => Ok(instances
                .into_iter()
                .map(|options| Endpoint::new(self.finish(options, password.as_ref())))
                .collect()),
            Ok(_) => Err(SettingsError(problems)),
            Err(more) => {
                problems.extend(more);
                Err(SettingsError(problems))
            }
        }
    }

    /// How long opening and checking one connection may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.database_connect_timeout_ms)
    }

    /// How often the instance in use is looked at.
    pub(crate) fn recheck(&self) -> Duration {
        Duration::from_millis(self.database_recheck_ms)
    }

    fn password(&self) -> Result<Option<SecretString>, String> {
        let Some(file) = &self.database_password_file else {
            return Ok(self.database_password.clone());
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("DATABASE_PASSWORD_FILE: cannot read {}: {error}", file.display())
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
            problems.push("DATABASE_USER: set it, for DATABASE_URL is not set".to_owned());
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

    /// Adds what is the same for every instance.
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
        let timeout = self.database_statement_timeout_ms.to_string();
        options.options([("statement_timeout", timeout.as_str()), ("timezone", "UTC")])
    }
}

#[cfg(test)]
mod tests;
