//! One projector a channel: an advisory lock on a connection of its own.

use gx_db::{PgConnection, PgPool};

use crate::store::checkpoint;

/// The connection that holds the lock, or tries to. The server frees the lock when the
/// connection ends, however its owner died; the checkpoint's compare-and-set guards the
/// moment in between.
#[derive(Debug, Default)]
pub(crate) struct Leader {
    conn: Option<PgConnection>,
    leads: bool,
}

impl Leader {
    /// Whether this process leads now.
    pub(crate) async fn hold(&mut self, pool: &PgPool, channel: &str) -> Result<bool, sqlx::Error> {
        let held = self.try_hold(pool, channel).await;
        if held.is_err() {
            self.give_up();
        }
        held
    }

    async fn try_hold(&mut self, pool: &PgPool, channel: &str) -> Result<bool, sqlx::Error> {
        if self.conn.is_none() {
            self.conn = Some(pool.acquire().await?.detach());
        }
        let conn = self.conn.as_mut().expect("it was just connected");
        if self.leads {
            checkpoint::ping(conn).await?;
        } else {
            self.leads = checkpoint::try_lead(conn, channel).await?;
        }
        Ok(self.leads)
    }

    /// Lets another one lead.
    pub(crate) fn give_up(&mut self) {
        self.conn = None;
        self.leads = false;
    }
}
