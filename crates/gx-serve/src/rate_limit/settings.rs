//! Settings of rate limits: a quota for each policy, and the Redis in which processes share their
//! counts. Services read them at their start.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::policy::LimitPolicy;
use crate::settings::duration;

/// Largest number of requests of a quota.
const MAX_REQUESTS: u32 = 1_000_000;
/// Longest window of a quota.
const MAX_WINDOW: Duration = Duration::from_hours(24);

/// Rate limits, and where they are counted.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Rate limits")]
pub struct RateLimitSettings {
    /// Redis in which all processes share their counts, as `redis://:password@host:port/0`; without
    /// it each process counts alone
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<RedisServer>,
    /// Longest wait for an answer of Redis before a process counts alone, 1 to 60000 milliseconds
    #[arg(long, env = "REDIS_TIMEOUT_MS", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub redis_timeout_ms: u64,
    /// Sign-ins of one client with one e-mail address, as `requests/duration`
    #[arg(long, env = "GX_LIMIT_LOGIN", default_value = "10/60s")]
    pub limit_login: Quota,
    /// Sign-ins of one client
    #[arg(long, env = "GX_LIMIT_LOGIN_CLIENT", default_value = "100/60s")]
    pub limit_login_client: Quota,
    /// Sign-ins with passkeys, their options and codes of mails, by the clients of one IPv6 network
    /// of 48 bits, or of one IPv4 address
    #[arg(long, env = "GX_LIMIT_CREDENTIAL_NETWORK", default_value = "1000/60s")]
    pub limit_credential_network: Quota,
    /// Registrations of one client
    #[arg(long, env = "GX_LIMIT_REGISTER", default_value = "100/60s")]
    pub limit_register: Quota,
    /// Mails to one e-mail address
    #[arg(long, env = "GX_LIMIT_MAIL", default_value = "5/1h")]
    pub limit_mail: Quota,
    /// Mails that one client asks for
    #[arg(long, env = "GX_LIMIT_MAIL_CLIENT", default_value = "30/1h")]
    pub limit_mail_client: Quota,
    /// Mails that the clients of one IPv6 network of 48 bits ask for, or of one IPv4 address
    #[arg(long, env = "GX_LIMIT_MAIL_NETWORK", default_value = "300/1h")]
    pub limit_mail_network: Quota,
    /// Refreshes of one session
    #[arg(long, env = "GX_LIMIT_REFRESH", default_value = "600/60s")]
    pub limit_refresh: Quota,
    /// Files that one session sends or fetches
    #[arg(long, env = "GX_LIMIT_FILES", default_value = "120/1h")]
    pub limit_files: Quota,
    /// All other requests of one session, or of one client without a session
    #[arg(long, env = "GX_LIMIT_GENERAL", default_value = "1000/60s")]
    pub limit_general: Quota,
}

impl Default for RateLimitSettings {
    fn default() -> Self {
        const MINUTE_S: u64 = 60;
        const HOUR_S: u64 = 3_600;
        Self {
            redis_url: None,
            redis_timeout_ms: 100,
            limit_login: Quota::of(10, MINUTE_S),
            limit_login_client: Quota::of(100, MINUTE_S),
            limit_credential_network: Quota::of(1_000, MINUTE_S),
            limit_register: Quota::of(100, MINUTE_S),
            limit_mail: Quota::of(5, HOUR_S),
            limit_mail_client: Quota::of(30, HOUR_S),
            limit_mail_network: Quota::of(300, HOUR_S),
            limit_refresh: Quota::of(600, MINUTE_S),
            limit_files: Quota::of(120, HOUR_S),
            limit_general: Quota::of(1_000, MINUTE_S),
        }
    }
}

impl RateLimitSettings {
    /// Returns the quota of a policy.
    pub fn quota(&self, policy: LimitPolicy) -> Quota {
        match policy {
            LimitPolicy::Login => self.limit_login,
            LimitPolicy::LoginClient => self.limit_login_client,
            LimitPolicy::CredentialNetwork => self.limit_credential_network,
            LimitPolicy::Register => self.limit_register,
            LimitPolicy::Mail => self.limit_mail,
            LimitPolicy::MailClient => self.limit_mail_client,
            LimitPolicy::MailNetwork => self.limit_mail_network,
            LimitPolicy::Refresh => self.limit_refresh,
            LimitPolicy::Files => self.limit_files,
            LimitPolicy::General => self.limit_general,
        }
    }

    /// Returns limits that no test reaches which is not about limits.
    #[cfg(feature = "testing")]
    pub fn generous() -> Self {
        let most = Quota::of(MAX_REQUESTS, 1);
        Self {
            limit_login: most,
            limit_login_client: most,
            limit_credential_network: most,
            limit_register: most,
            limit_mail: most,
            limit_mail_client: most,
            limit_mail_network: most,
            limit_refresh: most,
            limit_files: most,
            limit_general: most,
            ..Self::default()
        }
    }
}

/// A quota: this many requests at once, and as many again, evenly spread, in each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests that are admitted at once, and in each window after them.
    pub requests: NonZeroU32,
    /// The window, in whole seconds.
    pub window: Duration,
}

impl Quota {
    const fn of(requests: u32, window_s: u64) -> Self {
        let requests = NonZeroU32::new(requests).expect("a quota admits at least one request");
        Self { requests, window: Duration::from_secs(window_s) }
    }

    /// Returns the time after which one more request is admitted.
    pub(crate) fn interval(self) -> Duration {
        self.window / self.requests.get()
    }

    /// Returns a third of the rate, and of the requests at once, but at least one.
    pub(crate) fn third(self) -> (NonZeroU32, Duration) {
        let at_once = NonZeroU32::new(self.requests.get() / 3).unwrap_or(NonZeroU32::MIN);
        (at_once, self.interval() * 3)
    }
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!("write requests and duration, such as 10/60s; at most {MAX_REQUESTS} in 24h")
        };
        let (requests, window) = text.trim().split_once('/').ok_or_else(refused)?;
        let requests: NonZeroU32 = requests.trim().parse().map_err(|_| refused())?;
        let window = duration(window.trim())?;
        if requests.get() > MAX_REQUESTS || window > MAX_WINDOW {
            return Err(refused());
        }
        Ok(Self { requests, window })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.requests, self.window.as_secs())
    }
}

/// The address of a Redis server, with its credentials. It is never printed.
#[derive(Clone)]
pub struct RedisServer(pub(super) redis::Client);

impl FromStr for RedisServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The error's own text may contain the URL.
        redis::Client::open(text).map(Self).map_err(|_| {
            "cannot be read; write redis://:password@host:port/0 (there is no TLS)".to_owned()
        })
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisServer")
    }
}
