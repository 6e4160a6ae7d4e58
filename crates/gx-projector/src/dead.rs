//! Dead letters: what cannot be applied is held, and holds back its aggregates only.

use std::collections::HashSet;

use gx_db::PgConnection;
use gx_model::{DomainEvent, EventRecord};
use gx_outbox::storable;
use sqlx::Connection;

use crate::apply::{apply, release};
use crate::block::Decode;
use crate::error::NotApplied;
use crate::place::Place;
use crate::store::{checkpoint, dead};

/// What events of no account in particular hold back: each other.
const SYSTEM_KEY: &str = "SYSTEM";
/// An event that changes no projected row, and so neither holds nor is held.
const COMMANDS_ONLY: &str = "CommandsCancelled";

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

/// Applies an event, or holds it. `held` are the keys that earlier dead letters hold back.
///
/// `Ok(None)` means that the event can be neither applied nor set aside: nobody can tell
/// what it concerns.
pub(crate) async fn apply_or_hold(
    conn: &mut PgConnection,
    record: &EventRecord,
    place: &Place<'_>,
    decode: Decode,
    held: &mut HashSet<String>,
) -> Result<Option<Fate>, sqlx::Error> {
    let decoded = decode(record);
    let keys = match &decoded {
        Ok(event) => keys_of_event(event),
        Err(_) => match keys_of_record(record) {
            Some(keys) => keys,
            None => return Ok(None),
        },
    };
    let reason = if let Some(key) = keys.iter().find(|key| held.contains(*key)) {
        if checkpoint::is_logged(conn, place).await? {
            if let Ok(event) = &decoded {
                release(conn, event, place).await?;
            }
            return Ok(Some(Fate::Known));
        }
        format!("held behind an earlier event of {key}")
    } else {
        match decoded {
            // Once applied, by a release that could read it, it stays so.
            Err(_) if checkpoint::is_logged(conn, place).await? => return Ok(Some(Fate::Known)),
            Err(why) => why.to_string(),
            Ok(event) => match try_apply(conn, record, &event, place).await {
                Ok(true) => return Ok(Some(Fate::Applied)),
                Ok(false) => return Ok(Some(Fate::Known)),
                Err(NotApplied::Inapplicable(reason)) => reason,
                Err(NotApplied::Database(error)) => return Err(error),
            },
        }
    };
    let payload = record.json().to_string();
    // Somebody else's texts: PostgreSQL takes no NUL, and would be asked for ever.
    let (name, reason) = (record.name().map(storable), storable(&reason));
    dead::hold(conn, place, name.as_deref(), &keys, &reason, &payload).await?;
    held.extend(keys);
    Ok(Some(Fate::Held(reason)))
}

/// Logs and applies an event inside a savepoint; `false` where it was applied before.
pub(crate) async fn try_apply(
    conn: &mut PgConnection,
    record: &EventRecord,
    event: &DomainEvent,
    place: &Place<'_>,
) -> Result<bool, NotApplied> {
    let mut savepoint = conn.begin().await.map_err(NotApplied::Database)?;
    let applied = log_and_apply(&mut savepoint, record, event, place).await;
    let ended = if applied.is_ok() { savepoint.commit().await } else { savepoint.rollback().await };
    ended.map_err(NotApplied::Database)?;
    applied
}

async fn log_and_apply(
    conn: &mut PgConnection,
    record: &EventRecord,
    event: &DomainEvent,
    place: &Place<'_>,
) -> Result<bool, NotApplied> {
    let is_new = checkpoint::log_event(conn, place, event.name(), record.json()).await?;
    if is_new {
        apply(conn, event, place).await?;
    }
    release(conn, event, place).await?;
    Ok(is_new)
}

/// What an event that can be read concerns.
pub(crate) fn keys_of_event(event: &DomainEvent) -> Vec<String> {
    if event.name() == COMMANDS_ONLY {
        return vec![];
    }
    or_system(event.aggregates().iter().map(ToString::to_string).collect())
}

/// What an event concerns by its own word, if it can be told at all.
fn keys_of_record(record: &EventRecord) -> Option<Vec<String>> {
    record.aggregates().map(|keys| or_system(keys.iter().map(|key| storable(key)).collect()))
}

fn or_system(keys: Vec<String>) -> Vec<String> {
    if keys.is_empty() { vec![SYSTEM_KEY.to_owned()] } else { keys }
}
