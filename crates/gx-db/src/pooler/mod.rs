//! Detects poolers that give each transaction another session of the server (DB-11). The monitor of
//! the pool, migrations and `gx db check` open their connections with [`open`].
//!
//! They are detected by their behaviour, because none of them identifies itself. Two connections
//! are opened. While the second one holds a transaction open, the first one is asked again for its
//! session: without a shared pool, the session stays the same and no other connection has it.

mod store;
#[cfg(test)]
mod tests;

use sqlx::PgConnection;

use crate::endpoint::Endpoint;
use crate::instance::{NotProven, UnusableInstance};
use crate::pooler_refusal::PoolerRefusal;

/// Number of attempts to get another session. One is enough if no other client uses the pooler; a
/// busy pooler hands out sessions in another order.
const ROUNDS: u32 = 3;
/// Limits that every session must have (DB-08). GX cannot set them behind a pooler.
const LIMITS: [&str; 3] =
    ["idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"];

/// A pooler that gives each transaction another session of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooler {
    /// Whether prepared statements work in every session.
    pub keeps_statements: bool,
    /// Names of the limits that its sessions lack.
    pub without_limits: Vec<String>,
}

impl Pooler {
    /// Checks that GX can work with the pooler. `needs_sessions` means that a lock, a subscription
    /// or a setting must outlast a transaction. An error means that the instance is not used.
    pub(crate) fn serves(&self, needs_sessions: bool) -> Result<(), PoolerRefusal> {
        if needs_sessions {
            Err(PoolerRefusal::SessionsNeeded)
        } else if !self.keeps_statements {
            Err(PoolerRefusal::StatementsForgotten)
        } else if !self.without_limits.is_empty() {
            Err(PoolerRefusal::WithoutLimits(self.without_limits.clone()))
        } else {
            Ok(())
        }
    }
}

/// Opens a connection and returns it with the pooler that shares its session; `None` means that the
/// connection has a session of its own. Only an own session is set up, because a shared one serves
/// other clients next.
///
/// # Errors
/// [`NotProven`] if the instance does not answer or the pooler rejects the connection.
pub(crate) async fn open(
    endpoint: &Endpoint,
    purpose: &str,
) -> Result<(PgConnection, Option<Pooler>), NotProven> {
    let opened =
        tokio::try_join!(Box::pin(endpoint.open(purpose)), Box::pin(endpoint.open("pooler check")));
    let (mut conn, mut other) = opened.map_err(named)?;
    if !shares_sessions(&mut conn, &mut other).await? {
        endpoint.session.prepare(&mut conn).await?;
        return Ok((conn, None));
    }
    let keeps_statements = keeps_statements(&mut conn, &mut other).await?;
    let without_limits = store::unlimited_settings(&mut conn, &LIMITS).await?;
    Ok((conn, Some(Pooler { keeps_statements, without_limits })))
}

/// Returns the error of a failed connection; a pooler that rejects startup parameters has its own.
fn named(error: sqlx::Error) -> NotProven {
    let Some(said) = error.as_database_error() else { return error.into() };
    let refused = said.code().as_deref() == Some("08P01");
    if refused && said.message().contains("startup parameter") {
        let said = said.message().to_owned();
        return UnusableInstance::Pooler(PoolerRefusal::OptionsRefused(said)).into();
    }
    error.into()
}

/// Returns whether the two connections use each other's session, or the first one changes its own.
async fn shares_sessions(one: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<bool> {
    let own = store::session_id(one).await?;
    for round in 0..ROUNDS {
        // The second connection asks first: if the pooler has no other session, the first one would
        // wait for it.
        let shares = store::begin(other).await? == own || store::session_id(one).await? != own;
        store::rollback(other).await?;
        if shares || swaps_sessions(one, other, round % 2 == 0).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether the second connection gets another session after both have held one. A pooler
/// gives out the session that was released last or first, so that `own_first` must vary. There must
/// be two sessions.
async fn swaps_sessions(
    one: &mut PgConnection,
    other: &mut PgConnection,
    own_first: bool,
) -> sqlx::Result<bool> {
    store::begin(one).await?;
    let held = store::begin(other).await?;
    let [first, last] = if own_first { [&mut *one, &mut *other] } else { [&mut *other, &mut *one] };
    store::rollback(first).await?;
    store::rollback(last).await?;
    let next = store::begin(other).await?;
    store::rollback(other).await?;
    Ok(next != held)
}

/// Returns whether prepared statements work behind the pooler. Prepares statements on both
/// connections under the same names, as the driver does. A pooler that mixes them up fails, or runs
/// the wrong one.
async fn keeps_statements(one: &mut PgConnection, other: &mut PgConnection) -> sqlx::Result<bool> {
    for _ in 0..ROUNDS {
        let first = store::is_first_statement_kept(one).await;
        for said in [first, store::is_second_statement_kept(other).await] {
            match said {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if is_about_statements(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(true)
}

/// Returns whether a prepared statement was missing or existed already, or PgBouncer rejected it.
fn is_about_statements(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("26000" | "42P05" | "08P01"))
}
