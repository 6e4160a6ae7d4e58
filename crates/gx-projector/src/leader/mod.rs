//! Lets one projector of a channel lead, by an advisory lock on its own connection (PRJ-10,
//! PRJ-16).
//!
//! The server releases the lock when the session of the connection ends, and ends the session when
//! it is silent for a while. This works even if the network does not report a broken connection: a
//! process that was stopped, or whose host is gone, sends nothing. A task keeps the session alive
//! while the current step makes progress, and gives up the lead if it makes none. The
//! compare-and-set of the checkpoint guards the moments between. The projector's step and the
//! reconciliation each have a [`Leader`], with locks of different names.

mod session_keeper;
mod step_progress;
mod store;

use std::time::Duration;

use gx_db::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

pub(crate) use self::store::wait_for_locks;
pub(crate) use step_progress::{StepProgress, WatchedSession};

use session_keeper::SessionKeeper;

/// The reason if the session keeper ended without one.
const NO_KEEPER: &str = "the task that keeps its session has ended";

/// Settings of the lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeadSettings {
    /// Interval at which the session is kept alive.
    pub ping: Duration,
    /// How long the session may be silent before the server ends it.
    pub silence: Duration,
    /// How long a step may make no progress before the lead is given up.
    pub progress_timeout: Duration,
}

impl Default for LeadSettings {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(3),
            silence: Duration::from_secs(12),
            progress_timeout: Duration::from_secs(20),
        }
    }
}

/// Takes and holds the lead of a channel.
#[derive(Debug)]
pub(crate) struct Leader {
    settings: LeadSettings,
    progress: StepProgress,
    /// The connection that tries to get the lock.
    standby: Option<PgConnection>,
    lead: Option<Lead>,
}

/// A lead that is held, with the task that keeps its session alive.
#[derive(Debug)]
struct Lead {
    questions: mpsc::Sender<oneshot::Sender<()>>,
    lost: watch::Receiver<Option<String>>,
    /// When the last question that the server answered was sent; the session was alive then.
    confirmed: Instant,
    /// The task ends when this is dropped.
    _keeper: JoinSet<()>,
}

impl Leader {
    pub(crate) fn new(settings: LeadSettings) -> Self {
        Self { settings, progress: StepProgress::default(), standby: None, lead: None }
    }

    /// Returns the handle by which steps report progress.
    pub(crate) fn step_progress(&self) -> &StepProgress {
        &self.progress
    }

    /// Returns whether this process leads now. Asks the server each time. Called at the start of
    /// each step; `false` makes the caller a standby, and an error gives up the lead.
    pub(crate) async fn hold(&mut self, pool: &PgPool, channel: &str) -> Result<bool, sqlx::Error> {
        let held = match &mut self.lead {
            Some(lead) => lead.confirm(self.settings.silence).await.map(|()| true),
            None => self.try_lead(pool, channel).await,
        };
        if held.is_err() {
            self.give_up();
        }
        held
    }

    /// Checks that the lead is still held, unless that was confirmed less than a ping ago. The
    /// process may have been stopped in the meantime. An error means that the lead is lost.
    pub(crate) async fn still_holds(&mut self) -> Result<(), sqlx::Error> {
        let settings = self.settings;
        let lead = self.lead.as_mut().ok_or_else(|| lost("this process does not lead"))?;
        if lead.confirmed.elapsed() < settings.ping && lead.lost.borrow().is_none() {
            return Ok(());
        }
        let held = lead.confirm(settings.silence).await;
        if held.is_err() {
            self.give_up();
        }
        held
    }

    /// Waits until the lead is lost and returns the reason. Never completes if this process does
    /// not lead.
    pub(crate) fn lost(&self) -> impl Future<Output = sqlx::Error> + use<> {
        let lead = self.lead.as_ref().map(|lead| lead.lost.clone());
        async move {
            let Some(mut lead) = lead else { return std::future::pending().await };
            let why = lead.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            lost(why.as_deref().unwrap_or(NO_KEEPER))
        }
    }

    /// Releases the lead so that a standby can take it.
    pub(crate) fn give_up(&mut self) {
        self.standby = None;
        self.lead = None;
    }

    /// Tries to take the lock and starts the session keeper if it gets it. Otherwise keeps the
    /// connection for the next try and returns `false`.
    async fn try_lead(&mut self, pool: &PgPool, channel: &str) -> Result<bool, sqlx::Error> {
        let LeadSettings { silence, .. } = self.settings;
        let mut conn = match self.standby.take() {
            Some(conn) => conn,
            None => {
                let mut conn = pool.acquire().await?.detach();
                gx_db::name_session(&mut conn, "leader").await?;
                conn
            }
        };
        let asked = Instant::now();
        let leads = timeout(silence, store::try_lead(&mut conn, channel, silence)).await;
        if !leads.map_err(|_| lost("the server does not answer"))?? {
            self.standby = Some(conn);
            return Ok(false);
        }
        let (questions, asks) = mpsc::channel(1);
        let (says, lost) = watch::channel(None);
        let keeper =
            SessionKeeper { conn, settings: self.settings, progress: self.progress.clone(), says };
        let mut task = JoinSet::new();
        task.spawn(keeper.keep(asks));
        self.lead = Some(Lead { questions, lost, confirmed: asked, _keeper: task });
        Ok(true)
    }
}

impl Lead {
    /// Asks the server through the connection that holds the lock. Fails if the server or the
    /// session keeper does not answer.
    async fn confirm(&mut self, silence: Duration) -> Result<(), sqlx::Error> {
        let asked = Instant::now();
        let (question, answer) = oneshot::channel();
        let confirmed = async {
            self.questions.send(question).await.ok()?;
            answer.await.ok()
        };
        match timeout(silence, confirmed).await {
            Ok(Some(())) => {
                self.confirmed = asked;
                Ok(())
            }
            Ok(None) => {
                let why = self.lost.borrow().clone();
                Err(lost(why.as_deref().unwrap_or(NO_KEEPER)))
            }
            Err(_) => Err(lost("the server does not answer")),
        }
    }
}

/// Returns the error of a lost lead, which is reported like a broken connection.
fn lost(why: &str) -> sqlx::Error {
    let why = format!("the lead was lost: {why}");
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::ConnectionAborted, why))
}

#[cfg(test)]
mod tests {

    use gx_db::testing::TestDatabase;

    use super::*;

    /// PRJ-16: a leader that asks before it applies blocks finds that the server has ended the
    /// session with the lock, and gives up the lead. The checkpoint would reject the blocks, too,
    /// but only after the work.
    #[tokio::test]
    async fn prj_16_a_lead_whose_session_has_ended_does_not_hold() {
        let database = TestDatabase::create().await;
        // Nothing that was confirmed counts as confirmed just now.
        let settings = LeadSettings { ping: Duration::ZERO, ..LeadSettings::default() };
        let mut leader = Leader::new(settings);
        assert!(leader.hold(database.pool(), "channel").await.unwrap());
        leader.still_holds().await.unwrap();
        let end = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name LIKE '%leader'";
        let ended = sqlx::query_scalar::<_, i64>(end).fetch_one(database.pool()).await.unwrap();
        assert_eq!(ended, 1);
        let lost = leader.still_holds().await.unwrap_err().to_string();
        assert!(lost.contains("the lead was lost"), "{lost}");
        let mut other = Leader::new(LeadSettings::default());
        assert!(other.hold(database.pool(), "channel").await.unwrap());
        assert!(!leader.hold(database.pool(), "channel").await.unwrap());
    }
}
