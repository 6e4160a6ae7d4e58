//! Applying many events: written together where that works, and halved until each of those
//! that do not fit is alone.

use std::collections::HashSet;

use gx_db::PgConnection;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::block::Applied;
use crate::dead::{Fate, apply_one};
use crate::error::NotApplied;
use crate::plan::Plan;
use crate::read::{Content, ReadEvent};
use crate::store::checkpoint;

/// Applies events in order: the rows are those of applying them one by one. `held` are the
/// keys that dead letters hold back.
pub(crate) async fn apply_all(
    conn: &mut PgConnection,
    events: &[&ReadEvent],
    held: &mut HashSet<String>,
    now: OffsetDateTime,
    applied: &mut Applied,
) -> Result<(), sqlx::Error> {
    let mut parts = if events.is_empty() { vec![] } else { vec![events] };
    while let Some(part) = parts.pop() {
        let together = Together::of(part, held);
        let (part, rest) = part.split_at(together.len());
        if !rest.is_empty() {
            parts.push(rest);
        }
        if let [alone] = part {
            applied.add(alone, apply_one(conn, alone, held, now).await?);
            continue;
        }
        let Together { plan, fitting, aside, .. } = together;
        match write(conn, &fitting, plan).await {
            Ok(()) => {
                fitting.iter().for_each(|(_, event)| applied.add(event, Fate::Applied));
                for event in aside {
                    applied.add(event, apply_one(conn, event, held, now).await?);
                }
            }
            Err(NotApplied::Inapplicable(reason)) => {
                tracing::debug!(events = part.len(), reason, "applying the events in halves");
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            Err(NotApplied::Database(error)) => return Err(error),
        }
    }
    Ok(())
}

/// The events at the head of some that can be applied together.
#[derive(Default)]
struct Together<'a> {
    plan: Plan<'a>,
    /// Under their names.
    fitting: Vec<(&'static str, &'a ReadEvent)>,
    /// Those that dead letters hold back or that are about to be such. They share no account
    /// with a fitting one that follows them, so that they may come after all of these.
    aside: Vec<&'a ReadEvent>,
    aside_keys: HashSet<&'a str>,
}

impl<'a> Together<'a> {
    fn of(events: &[&'a ReadEvent], held: &HashSet<String>) -> Self {
        let mut all = Self::default();
        for event in events.iter().copied() {
            let mut keys = event.keys.iter().map(String::as_str);
            let is_held = keys.any(|key| held.contains(key) || all.aside_keys.contains(key));
            match &event.content {
                Ok(Content::Rare(rare)) if !is_held => {
                    if all.len() == 0 {
                        all.fitting.push((rare.name(), event));
                    }
                    break;
                }
                Ok(Content::Rows(name, effects)) if !is_held => {
                    if !all.plan.add(effects, &event.place) {
                        break;
                    }
                    all.fitting.push((name, event));
                }
                Ok(_) | Err(_) => {
                    all.aside_keys.extend(event.keys.iter().map(String::as_str));
                    all.aside.push(event);
                }
            }
        }
        all
    }

    fn len(&self) -> usize {
        self.fitting.len() + self.aside.len()
    }
}

/// Logs and writes events that fit together, or nothing of them.
async fn write(
    conn: &mut PgConnection,
    events: &[(&'static str, &ReadEvent)],
    plan: Plan<'_>,
) -> Result<(), NotApplied> {
    if events.is_empty() {
        return Ok(());
    }
    let mut savepoint = conn.begin().await.map_err(NotApplied::Database)?;
    let written = async {
        checkpoint::log_events(&mut savepoint, events).await?;
        plan.write(&mut savepoint).await
    };
    let written = written.await;
    let ended = if written.is_ok() { savepoint.commit().await } else { savepoint.rollback().await };
    ended.map_err(NotApplied::Database)?;
    written
}
