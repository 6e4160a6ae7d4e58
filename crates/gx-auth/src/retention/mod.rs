//! Removes rows that have expired, in small batches and never in a request (DB-09). One process at
//! a time does it; called by the process of the outbox submitter and by `gx retention run`.

mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gx_db::PgConnection;
use gx_model::Clock;
use gx_serve::problem::ErrorChain;
use gx_serve::settings::duration;
use sqlx::{Acquire as _, PgPool};
use time::OffsetDateTime;

use crate::sign_in_throttle::FAILURES_KEPT_FOR;

/// Limit of the rows of one table that a step removes.
const BATCH_ROWS: i64 = 200;
/// Pause after a step that found nothing left, or failed.
const PASS_PAUSE: Duration = Duration::from_secs(60);
/// Pause between two steps of a pass, so that the sweeper takes a small part of the database's
/// time.
const STEP_PAUSE: Duration = Duration::from_millis(100);
/// Time after which the cursors begin at the oldest row again, because a locked row is passed over.
const CURSOR_LIFE: time::Duration = time::Duration::hours(24);

/// How long rows are kept after they have expired.
#[derive(Clone, Debug, clap::Args)]
pub struct RetentionSettings {
    /// How long the answer to a request with an Idempotency-Key is kept after its 24 hours, such as
    /// 1h.
    #[arg(long, env = "GX_RETENTION_IDEMPOTENCY", default_value = "1h", value_parser = duration)]
    pub retention_idempotency: Duration,
    /// How long a person's session is kept after the end of its time, such as 30d, also if it was
    /// ended earlier. It has the client's address.
    #[arg(long, env = "GX_RETENTION_USER_SESSIONS", default_value = "30d", value_parser = duration)]
    pub retention_user_sessions: Duration,
    /// How long an administrator's session is kept after the end of its time.
    #[arg(long, env = "GX_RETENTION_ADMIN_SESSIONS", default_value = "365d",
          value_parser = duration)]
    pub retention_admin_sessions: Duration,
    /// How long failed sign-ins of an address are kept after the last one; at least 24h, because
    /// they count for so long.
    #[arg(long, env = "GX_RETENTION_SIGN_IN_FAILURES", default_value = "24h",
          value_parser = at_least_a_day)]
    pub retention_sign_in_failures: Duration,
    /// How long a mail is kept after it was sent or given up, without its content if it was sent.
    #[arg(long, env = "GX_RETENTION_MAIL", default_value = "7d", value_parser = duration)]
    pub retention_mail: Duration,
    /// How long the code and the link of a mail are kept after they have expired.
    #[arg(long, env = "GX_RETENTION_MAIL_TOKENS", default_value = "1h", value_parser = duration)]
    pub retention_mail_tokens: Duration,
    /// How long a known device is kept after the year since its last sign-in.
    #[arg(long, env = "GX_RETENTION_DEVICES", default_value = "1h", value_parser = duration)]
    pub retention_devices: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            retention_idempotency: Duration::from_hours(1),
            retention_user_sessions: DAY * 30,
            retention_admin_sessions: DAY * 365,
            retention_sign_in_failures: DAY,
            retention_mail: DAY * 7,
            retention_mail_tokens: Duration::from_hours(1),
            retention_devices: Duration::from_hours(1),
        }
    }
}

fn at_least_a_day(text: &str) -> Result<Duration, String> {
    let given = duration(text)?;
    if given < FAILURES_KEPT_FOR {
        return Err("must be at least 24h".to_owned());
    }
    Ok(given)
}

/// A table whose rows expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SweptTable {
    HttpIdempotency,
    UserSession,
    AdminSession,
    SignInFailure,
    QueuedMail,
    MailToken,
    KnownDevice,
}

impl SweptTable {
    const ALL: [Self; 7] = [
        Self::HttpIdempotency,
        Self::UserSession,
        Self::AdminSession,
        Self::SignInFailure,
        Self::QueuedMail,
        Self::MailToken,
        Self::KnownDevice,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::HttpIdempotency => "HttpIdempotency",
            Self::UserSession => "UserSession",
            Self::AdminSession => "AdminSession",
            Self::SignInFailure => "SignInFailure",
            Self::QueuedMail => "QueuedMail",
            Self::MailToken => "MailToken",
            Self::KnownDevice => "KnownDevice",
        }
    }

    fn kept_for(self, settings: &RetentionSettings) -> Duration {
        match self {
            Self::HttpIdempotency => settings.retention_idempotency,
            Self::UserSession => settings.retention_user_sessions,
            Self::AdminSession => settings.retention_admin_sessions,
            Self::SignInFailure => settings.retention_sign_in_failures,
            Self::QueuedMail => settings.retention_mail,
            Self::MailToken => settings.retention_mail_tokens,
            Self::KnownDevice => settings.retention_devices,
        }
    }
}

/// Expired rows of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweptRows {
    /// The table.
    pub table: &'static str,
    /// Rows that expired until then are removed.
    pub until: OffsetDateTime,
    /// Number of rows that were removed, or in a dry run would be.
    pub rows: u64,
}

/// Removes expired rows step by step. A cursor for each table is where the last step ended, so that
/// a step does not read the index entries of removed rows again.
#[derive(Debug)]
pub struct Sweeper {
    settings: RetentionSettings,
    cursors: [OffsetDateTime; SweptTable::ALL.len()],
    cursors_since: Option<OffsetDateTime>,
}

/// Result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepStep {
    /// Another process removes rows at the moment.
    Elsewhere,
    /// These rows were removed; `is_complete` if none is left.
    Removed {
        /// One entry for each table.
        tables: Vec<SweptRows>,
        /// Whether the step found less than its limit in every table.
        is_complete: bool,
    },
}

impl Sweeper {
    /// Creates a sweeper that begins at the oldest rows.
    pub fn new(settings: RetentionSettings) -> Self {
        let cursors = [OffsetDateTime::UNIX_EPOCH; SweptTable::ALL.len()];
        Self { settings, cursors, cursors_since: None }
    }

    /// Removes up to [`BATCH_ROWS`] rows of each table.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails. Tables before it have been swept.
    pub async fn step(
        &mut self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
    ) -> Result<SweepStep, sqlx::Error> {
        if self.cursors_since.is_none_or(|since| now - since >= CURSOR_LIFE || now < since) {
            self.cursors = [OffsetDateTime::UNIX_EPOCH; SweptTable::ALL.len()];
            self.cursors_since = Some(now);
        }
        let (mut tables, mut is_complete) = (Vec::new(), true);
        for (table, cursor) in SweptTable::ALL.into_iter().zip(&mut self.cursors) {
            let until = now - table.kept_for(&self.settings);
            let mut tx = conn.begin().await?;
            if !store::try_lock(&mut tx).await? {
                return Ok(SweepStep::Elsewhere);
            }
            let removed = store::remove(&mut tx, table, *cursor, until, BATCH_ROWS).await?;
            tx.commit().await?;
            *cursor = removed.iter().copied().max().unwrap_or(*cursor);
            let rows = u64::try_from(removed.len()).unwrap_or(u64::MAX);
            metrics::counter!("gx_retention_removed_total", "table" => table.name())
                .increment(rows);
            is_complete &= i64::try_from(removed.len()).is_ok_and(|rows| rows < BATCH_ROWS);
            tables.push(SweptRows { table: table.name(), until, rows });
        }
        Ok(SweepStep::Removed { tables, is_complete })
    }
}

/// Counts the rows that a sweep would remove now.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn expired(
    conn: &mut PgConnection,
    settings: &RetentionSettings,
    now: OffsetDateTime,
) -> Result<Vec<SweptRows>, sqlx::Error> {
    let mut tables = Vec::new();
    for table in SweptTable::ALL {
        let until = now - table.kept_for(settings);
        let rows = u64::try_from(store::count(conn, table, until).await?).unwrap_or_default();
        tables.push(SweptRows { table: table.name(), until, rows });
    }
    Ok(tables)
}

/// Removes expired rows until the future is dropped. After a failure it continues with the next
/// pass.
pub async fn sweep(pool: PgPool, settings: RetentionSettings, clock: Clock) {
    let mut sweeper = Sweeper::new(settings);
    loop {
        let step = async {
            let mut conn = pool.acquire().await?;
            sweeper.step(&mut conn, clock.now()).await
        };
        let pause = match step.await {
            Ok(SweepStep::Removed { is_complete: false, .. }) => STEP_PAUSE,
            Ok(SweepStep::Removed { .. } | SweepStep::Elsewhere) => PASS_PAUSE,
            Err(error) => {
                metrics::counter!("gx_retention_failures_total").increment(1);
                tracing::warn!(error = %ErrorChain(&error),
                    "expired rows cannot be removed; trying again in 60 s");
                PASS_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
