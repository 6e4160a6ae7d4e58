//! The transaction of a request's work. If the request has a key, the answer becomes part of it.

use std::ops::{Deref, DerefMut};

use gx_db::{PgConnection, Postgres, Transaction};

use super::keyed::{self, Keyed};
use crate::problem::Problem;

/// A transaction of a request's work.
///
/// Without an idempotency key it is one of the database. With a key, [`commit`](Self::commit) only
/// says that the work is done: the transaction is committed with the stored answer, before the
/// client reads it. So after a commit, read with the values that you have and not on another
/// connection.
#[must_use = "a transaction that is dropped changes nothing"]
pub struct RequestTransaction {
    tx: Option<Transaction<'static, Postgres>>,
    keyed: Option<Keyed>,
}

impl RequestTransaction {
    /// Begins a transaction. A second one of the same request commits the first.
    ///
    /// # Errors
    /// [`IN_PROGRESS`](super::IN_PROGRESS) or [`KEY_REUSED`](super::KEY_REUSED) if another request
    /// has the key, or the problem of a database failure.
    pub async fn begin(pool: &sqlx::PgPool) -> Result<Self, Problem> {
        let (tx, keyed) = keyed::begin(pool).await?;
        Ok(Self { tx: Some(tx), keyed })
    }

    /// Commits the work, or leaves it to be committed with the answer.
    ///
    /// # Errors
    /// `sqlx::Error` if the commit fails.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        let tx = self.tx.take().expect("only commit and drop take it");
        match self.keyed.take() {
            None => tx.commit().await,
            Some(keyed) => {
                keyed.park(tx, true);
                Ok(())
            }
        }
    }
}

impl Deref for RequestTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.tx.as_ref().expect("only commit and drop take it")
    }
}

impl DerefMut for RequestTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.tx.as_mut().expect("only commit and drop take it")
    }
}

/// Without a key, dropping the transaction of the database rolls it back.
impl Drop for RequestTransaction {
    fn drop(&mut self) {
        if let (Some(tx), Some(keyed)) = (self.tx.take(), self.keyed.take()) {
            keyed.park(tx, false);
        }
    }
}
