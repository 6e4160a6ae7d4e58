//! The task that keeps a leader's session alive. [`super::Leader`] starts it when it takes the
//! lead, and learns from it why the lead was lost.

use gx_db::PgConnection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::store;
use super::{LeadSettings, StepProgress};

/// Owns the connection that holds the lock: when the keeper ends, the lead is lost.
pub(super) struct SessionKeeper {
    pub(super) conn: PgConnection,
    pub(super) settings: LeadSettings,
    pub(super) progress: StepProgress,
    /// Receives the reason when the lead is lost.
    pub(super) says: watch::Sender<Option<String>>,
}

impl SessionKeeper {
    /// Asks the server for each question of the leader, and at each ping without one, until the
    /// leader is gone, the server fails, or the current step makes no progress.
    pub(super) async fn keep(mut self, mut questions: mpsc::Receiver<oneshot::Sender<()>>) {
        let mut due = Instant::now() + self.settings.ping;
        loop {
            let question = tokio::select! {
                question = questions.recv() => match question {
                    Some(question) => Some(question),
                    None => return,
                },
                () = sleep_until(due) => None,
            };
            due = Instant::now() + self.settings.ping;
            // A question shows that the step is making progress.
            let kept = if question.is_some() { self.ping().await } else { self.look().await };
            if let Err(error) = kept {
                tracing::warn!(error, "the lead is lost");
                self.says.send_replace(Some(error));
                return;
            }
            if let Some(question) = question {
                // The leader may no longer wait for the answer.
                let _ = question.send(());
            }
        }
    }

    /// Keeps the session alive if the current step makes progress. Otherwise returns the reason,
    /// and the caller ends the session.
    async fn look(&mut self) -> Result<(), String> {
        let limit = self.settings.progress_timeout;
        let is_quiet = self.progress.silent_for().is_some_and(|silent| silent > limit);
        if !is_quiet {
            return self.ping().await;
        }
        // One statement of the step may take longer than the timeout; the server limits it. This
        // question keeps the session alive, too.
        let sessions = self.progress.sessions();
        let worked = store::have_worked(&mut self.conn, &sessions, limit);
        let worked = timeout(self.settings.silence, worked).await;
        let worked = worked.map_err(|_| "the server does not answer")?;
        let worked = worked.map_err(|error| error.to_string())?;
        if !worked {
            return Err(format!("the step has made no progress for {} s", limit.as_secs()));
        }
        self.progress.beat();
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), String> {
        match timeout(self.settings.silence, store::ping(&mut self.conn)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("the server does not answer".to_owned()),
        }
    }
}
