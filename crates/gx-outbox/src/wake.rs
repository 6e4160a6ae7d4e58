//! Wakes the submitter by a notification after a commit. A caller that has enqueued or released
//! commands calls [`Waker::wake`]; the submitter has a [`Listener`]. A lost notification costs only
//! time.

use std::io;
use std::time::Duration;

use gx_db::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc;

/// The PostgreSQL notification channel.
const CHANNEL: &str = "gx_outbox";

/// Shortest time between two notifications of one process. A notification for each enqueued command
/// would halve the throughput.
const MIN_GAP: Duration = Duration::from_millis(5);

/// Tells the submitter that there may be work. All clones share one notifier task.
#[derive(Clone, Debug)]
pub struct Waker(mpsc::Sender<()>);

impl Waker {
    /// Starts the notifier task, which ends with the last clone of the waker.
    pub fn new(pool: PgPool) -> Self {
        // One place is enough: a waiting request covers all that arrive until it is served.
        let (request, mut requests) = mpsc::channel(1);
        tokio::spawn(async move {
            while requests.recv().await.is_some() {
                if let Err(error) = notify(&pool).await {
                    tracing::debug!(error = %error, "the submitter was not notified; it polls instead");
                }
                tokio::time::sleep(MIN_GAP).await;
            }
        });
        Self(request)
    }

    /// Requests a notification. Call this after the commit; it neither waits nor fails.
    pub fn wake(&self) {
        // If the channel is full, a notification is about to be sent.
        let _ = self.0.try_send(());
    }
}

async fn notify(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut conn = pool.acquire().await?;
    crate::store::commands::notify(&mut conn, CHANNEL).await
}

/// Receives notifications on its own connection. Register before looking for work, or one is
/// missed.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Opens a connection that listens for notifications.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub async fn register(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut listener = PgListener::connect_with(pool).await?;
        // The caller opens a new connection, and looks for work after that.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// Waits until a notification arrives or the connection is lost.
    ///
    /// # Errors
    /// `sqlx::Error` if the database fails; register again then.
    pub async fn heard(&mut self) -> Result<(), sqlx::Error> {
        match self.0.try_recv().await? {
            Some(_) => Ok(()),
            // The connection was closed without a message of the server.
            None => Err(sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}
