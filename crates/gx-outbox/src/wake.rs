//! Waking the submitter: a notification after commit, which nothing depends on.

use std::time::Duration;

use gx_db::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc;

/// The channel on which workers listen.
const CHANNEL: &str = "gx_outbox";

/// Least time between two notifications of one process: inside each enqueue they would
/// halve throughput.
const MIN_GAP: Duration = Duration::from_millis(5);

/// Tells the submitter that there may be work. Clones share one notifier.
#[derive(Clone, Debug)]
pub struct Waker(mpsc::Sender<()>);

impl Waker {
    /// Starts the notifier, which ends with the last clone of the waker.
    pub fn new(pool: PgPool) -> Self {
        // Room for one: a wish that is waiting already covers all that come meanwhile.
        let (wish, mut wishes) = mpsc::channel(1);
        tokio::spawn(async move {
            while wishes.recv().await.is_some() {
                if let Err(why) = notify(&pool).await {
                    tracing::debug!(error = %why, "the submitter was not woken; it will poll");
                }
                tokio::time::sleep(MIN_GAP).await;
            }
        });
        Self(wish)
    }

    /// Says that there may be work. Call it after the commit; it never waits or fails.
    pub fn wake(&self) {
        // A full channel means that a notification is about to be sent anyway.
        let _ = self.0.try_send(());
    }
}

async fn notify(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut conn = pool.acquire().await?;
    crate::store::commands::notify(&mut conn, CHANNEL).await
}

/// Hears notifications on a connection of its own. Register before looking for work.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Registers.
    ///
    /// # Errors
    /// The database's.
    pub async fn register(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        // A lost connection must come back as an error, not be waited for in here.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// Waits until there may be work. A lost connection counts as such.
    ///
    /// # Errors
    /// The database's; register again then.
    pub async fn heard(&mut self) -> Result<(), sqlx::Error> {
        self.0.try_recv().await.map(drop)
    }
}
