//! Removes rows that have expired, in small batches and never in a request (DB-09). One process at
//! a time does it; called by the process of the outbox submitter and by `gx retention run`.
//! Sessions and devices of an account on legal hold stay until the hold ends.

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
/// Limit of the waits for the turn of another process, each as long as a wait for any lock.
const MAX_WAITS: u32 = 12;
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
    /// How long a challenge of a passkey is kept after its five minutes.
    #[arg(long, env = "GX_RETENTION_PASSKEY_CHALLENGES", default_value = "1s",
          value_parser = duration)]
    pub retention_passkey_challenges: Duration,
    /// How long a mail is kept after it was sent or given up, without its content if it was sent.
    #[arg(long, env = "GX_RETENTION_MAIL", default_value = "7d", value_parser = duration)]
    pub retention_mail: Duration,
    /// How long the code and the link of a mail are kept after they have expired.
    #[arg(long, env = "GX_RETENTION_MAIL_TOKENS", default_value = "1h", value_parser = duration)]
    pub retention_mail_tokens: Duration,
    /// How long a known device is kept after the year since its last sign-in.
    #[arg(long, env = "GX_RETENTION_DEVICES", default_value = "1h", value_parser = duration)]
    pub retention_devices: Duration,
    /// How long a reviewer's claim is kept after the end of its lease.
    #[arg(long, env = "GX_RETENTION_REVIEW_CLAIMS", default_value = "1h", value_parser = duration)]
    pub retention_review_claims: Duration,
    /// How long the invitation of an administrator is kept after it has expired.
    #[arg(long, env = "GX_RETENTION_INVITATIONS", default_value = "30d", value_parser = duration)]
    pub retention_invitations: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            retention_idempotency: Duration::from_hours(1),
            retention_user_sessions: DAY * 30,
            retention_admin_sessions: DAY * 365,
            retention_sign_in_failures: DAY,
            retention_passkey_challenges: Duration::from_secs(1),
            retention_mail: DAY * 7,
            retention_mail_tokens: Duration::from_hours(1),
            retention_devices: Duration::from_hours(1),
            retention_review_claims: Duration::from_hours(1),
            retention_invitations: DAY * 30,
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
    PasskeyChallenge,
    QueuedMail,
    MailToken,
    KnownDevice,
    ReviewClaim,
    AdminInvitation,
}

impl SweptTable {
    const ALL: [Self; 10] = [
        Self::HttpIdempotency,
        Self::UserSession,
        Self::AdminSession,
        Self::SignInFailure,
        Self::PasskeyChallenge,
        Self::QueuedMail,
        Self::MailToken,
        Self::KnownDevice,
        Self::ReviewClaim,
        Self::AdminInvitation,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::HttpIdempotency => "HttpIdempotency",
            Self::UserSession => "UserSession",
            Self::AdminSession => "AdminSession",
            Self::SignInFailure => "SignInFailure",
            Self::PasskeyChallenge => "PasskeyChallenge",
            Self::QueuedMail => "QueuedMail",
            Self::MailToken => "MailToken",
            Self::KnownDevice => "KnownDevice",
            Self::ReviewClaim => "ReviewClaim",
            Self::AdminInvitation => "AdminInvitation",
        }
    }

    fn kept_for(self, settings: &RetentionSettings) -> Duration {
        match self {
            Self::HttpIdempotency => settings.retention_idempotency,
            Self::UserSession => settings.retention_user_sessions,
            Self::AdminSession => settings.retention_admin_sessions,
            Self::SignInFailure => settings.retention_sign_in_failures,
            Self::PasskeyChallenge => settings.retention_passkey_challenges,
            Self::QueuedMail => settings.retention_mail,
            Self::MailToken => settings.retention_mail_tokens,
            Self::KnownDevice => settings.retention_devices,
            Self::ReviewClaim => settings.retention_review_claims,
            Self::AdminInvitation => settings.retention_invitations,
        }
    }
}

/// Expired rows of one table.
#[derive(Debug)]
pub struct SweptRows {
    /// The table.
    pub table: &'static str,
    /// Rows that expired until then are removed.
    pub until: OffsetDateTime,
    /// Number of rows that were removed, or in a dry run would be; or why the statement failed.
    pub rows: Result<u64, sqlx::Error>,
}

/// What a step does while another process removes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Leaves all tables to it.
    IfFree,
    /// Waits until that process has removed one batch, which takes milliseconds.
    Waiting,
}

/// Removes expired rows step by step; the steps until no table has more rows are a pass. A cursor
/// for each table is where the last step ended, so that a step does not read the index entries of
/// removed rows again.
#[derive(Debug)]
pub struct Sweeper {
    settings: RetentionSettings,
    tables: [SweptTableState; SweptTable::ALL.len()],
    cursors_since: Option<OffsetDateTime>,
}

/// State of one table.
#[derive(Clone, Copy, Debug)]
struct SweptTableState {
    cursor: OffsetDateTime,
    /// Whether this pass has nothing more to do here: no more rows have expired, or a statement has
    /// failed.
    is_finished: bool,
}

/// Result of a step.
#[derive(Debug)]
pub struct SweepStep {
    /// One entry for each table.
    pub tables: Vec<SweptRows>,
    /// Whether another process removes rows at the moment, so that this one has left some out.
    pub is_elsewhere: bool,
    /// Whether the pass is over: no table has more expired rows, except tables that have failed.
    pub is_over: bool,
}

impl Sweeper {
    /// Creates a sweeper that begins at the oldest rows.
    pub fn new(settings: RetentionSettings) -> Self {
        let table = SweptTableState { cursor: OffsetDateTime::UNIX_EPOCH, is_finished: false };
        Self { settings, tables: [table; SweptTable::ALL.len()], cursors_since: None }
    }

    /// Removes up to [`BATCH_ROWS`] rows of each table. A table that fails holds back no other, and
    /// is left out until the next pass.
    pub async fn step(
        &mut self,
        conn: &mut PgConnection,
        now: OffsetDateTime,
        turn: Turn,
    ) -> SweepStep {
        if self.cursors_since.is_none_or(|since| now - since >= CURSOR_LIFE || now < since) {
            self.tables.iter_mut().for_each(|table| table.cursor = OffsetDateTime::UNIX_EPOCH);
            self.cursors_since = Some(now);
        }
        let (mut tables, mut is_elsewhere) = (Vec::new(), false);
        for (table, state) in SweptTable::ALL.into_iter().zip(&mut self.tables) {
            let until = now - table.kept_for(&self.settings);
            let rows = if state.is_finished || is_elsewhere {
                Ok(0)
            } else {
                let removed = remove(conn, table, state.cursor, until, turn).await;
                is_elsewhere = matches!(removed, Ok(None));
                state.add(removed)
            };
            let (name, removed) = (table.name(), *rows.as_ref().unwrap_or(&0));
            metrics::counter!("gx_retention_removed_total", "table" => name).increment(removed);
            tables.push(SweptRows { table: name, until, rows });
        }
        let is_over = is_elsewhere || self.tables.iter().all(|table| table.is_finished);
        if is_over {
            self.tables.iter_mut().for_each(|table| table.is_finished = false);
        }
        SweepStep { tables, is_elsewhere, is_over }
    }
}

impl SweptTableState {
    /// Adds the result of a batch, and returns the number of its rows.
    fn add(
        &mut self,
        removed: Result<Option<Vec<OffsetDateTime>>, sqlx::Error>,
    ) -> Result<u64, sqlx::Error> {
        let removed = removed.inspect_err(|_| self.is_finished = true)?;
        let Some(removed) = removed else { return Ok(0) };
        self.cursor = removed.iter().copied().max().unwrap_or(self.cursor);
        self.is_finished = i64::try_from(removed.len()).is_ok_and(|rows| rows < BATCH_ROWS);
        Ok(u64::try_from(removed.len()).unwrap_or(u64::MAX))
    }
}

/// Removes one batch of a table in a transaction of its own, and returns when its rows expired.
/// `None` if it is another process's turn.
async fn remove(
    conn: &mut PgConnection,
    table: SweptTable,
    cursor: OffsetDateTime,
    until: OffsetDateTime,
    turn: Turn,
) -> Result<Option<Vec<OffsetDateTime>>, sqlx::Error> {
    let mut waits = 0;
    let mut tx = loop {
        let mut tx = conn.begin().await?;
        let locked = match turn {
            Turn::IfFree => store::try_lock(&mut tx).await,
            Turn::Waiting => store::lock(&mut tx).await.map(|()| true),
        };
        match locked {
            Ok(true) => break tx,
            Ok(false) => return tx.rollback().await.map(|()| None),
            // The other process is slow or frozen. Its transaction ends by itself, or is ended by
            // the server.
            Err(error) if gx_db::is_lock_timeout(&error) && waits < MAX_WAITS => waits += 1,
            Err(error) => return Err(error),
        }
        tx.rollback().await?;
    };
    let removed = store::remove(&mut tx, table, cursor, until, BATCH_ROWS).await?;
    tx.commit().await?;
    Ok(Some(removed))
}

/// Counts the rows of each table that a sweep would remove now.
pub async fn expired(
    conn: &mut PgConnection,
    settings: &RetentionSettings,
    now: OffsetDateTime,
) -> Vec<SweptRows> {
    let mut tables = Vec::new();
    for table in SweptTable::ALL {
        let until = now - table.kept_for(settings);
        let counted = store::count(conn, table, until).await;
        let rows = counted.map(|rows| u64::try_from(rows).unwrap_or_default());
        tables.push(SweptRows { table: table.name(), until, rows });
    }
    tables
}

/// Removes expired rows until the future is dropped. After a failure it continues with the next
/// pass.
pub async fn sweep(pool: PgPool, settings: RetentionSettings, clock: Clock) {
    let mut sweeper = Sweeper::new(settings);
    loop {
        let pause = match pool.acquire().await {
            Ok(mut conn) => {
                let step = sweeper.step(&mut conn, clock.now(), Turn::IfFree).await;
                for SweptRows { table, rows, .. } in &step.tables {
                    if let Err(error) = rows {
                        report_failure(&format!(" of {table}"), error);
                    }
                }
                if step.is_over { PASS_PAUSE } else { STEP_PAUSE }
            }
            Err(error) => {
                report_failure("", &error);
                PASS_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn report_failure(of_table: &str, error: &sqlx::Error) {
    metrics::counter!("gx_retention_failures_total").increment(1);
    tracing::warn!(error = %ErrorChain(error),
        "expired rows{of_table} cannot be removed; trying again in 60 s");
}
