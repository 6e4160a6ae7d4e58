//! Dead letters: what cannot be applied is held, and holds back its aggregates only.

use std::collections::HashSet;

use gx_db::PgConnection;
use gx_outbox::storable;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::error::NotApplied;
use crate::plan::Plan;
use crate::rare;
use crate::read::{Content, ReadEvent};
use crate::store::{checkpoint, dead};

/// What became of one event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Applied now.
    Applied,
    /// Applied before.
    Known,
    /// Held as a dead letter, with the reason.
    Held(String),
}

/// Applies one event, or holds it. `held` are the keys that earlier dead letters hold back.
pub(crate) async fn apply_one(
    conn: &mut PgConnection,
    event: &ReadEvent,
    held: &mut HashSet<String>,
    now: OffsetDateTime,
) -> Result<Fate, sqlx::Error> {
    let reason = if let Some(key) = event.keys.iter().find(|key| held.contains(*key)) {
        if checkpoint::is_logged(conn, &event.place).await? {
            if let Ok(content) = &event.content {
                release(conn, content, now).await?;
            }
            return Ok(Fate::Known);
        }
        format!("held behind an earlier event of {key}")
    } else {
        match &event.content {
            // Once applied, by a release that could read it, it stays so.
            Err(_) if checkpoint::is_logged(conn, &event.place).await? => return Ok(Fate::Known),
            Err(why) => why.clone(),
            Ok(content) => match try_apply(conn, event, content, now).await {
                Ok(true) => return Ok(Fate::Applied),
                Ok(false) => return Ok(Fate::Known),
                Err(NotApplied::Inapplicable(reason)) => reason,
                Err(NotApplied::Database(error)) => return Err(error),
            },
        }
    };
    // Somebody else's texts: PostgreSQL takes no NUL, and would be asked for ever.
    let (name, reason) = (event.name.as_deref().map(storable), storable(&reason));
    dead::hold(conn, event, name.as_deref(), &reason, now).await?;
    held.extend(event.keys.iter().cloned());
    Ok(Fate::Held(reason))
}

/// Logs and applies an event inside a savepoint; `false` where it was applied before.
pub(crate) async fn try_apply(
    conn: &mut PgConnection,
    event: &ReadEvent,
    content: &Content,
    now: OffsetDateTime,
) -> Result<bool, NotApplied> {
    let mut savepoint = conn.begin().await.map_err(NotApplied::Database)?;
    let applied = log_and_apply(&mut savepoint, event, content, now).await;
    let ended = if applied.is_ok() { savepoint.commit().await } else { savepoint.rollback().await };
    ended.map_err(NotApplied::Database)?;
    applied
}

async fn log_and_apply(
    conn: &mut PgConnection,
    event: &ReadEvent,
    content: &Content,
    now: OffsetDateTime,
) -> Result<bool, NotApplied> {
    let is_new = checkpoint::log_event(conn, event, content.name()).await?;
    if is_new {
        match content {
            Content::Rows(_, effects) => {
                let mut plan = Plan::default();
                plan.add(effects, &event.place);
                plan.write(conn).await?;
            }
            Content::Rare(rare) => rare::apply(conn, rare, &event.place).await?,
        }
    }
    release(conn, content, now).await?;
    Ok(is_new)
}

/// Frees the commands that waited for what an event brought. An event that was applied
/// before does so again: a chain that is read again blocks such commands on its way.
async fn release(
    conn: &mut PgConnection,
    content: &Content,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    match content {
        Content::Rows(..) => Ok(()),
        Content::Rare(event) => rare::release(conn, event, now).await,
    }
}
