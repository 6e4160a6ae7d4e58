//! Applies many events together where possible. Events that name what the read model lacks are left
//! out at once; other events that cannot be applied are found by splitting. Called by `block` for
//! new events and by `operate::replay` for dead letters; both store the reason of each failure.

use std::collections::VecDeque;

use gx_db::{PgConnection, savepoint};
use time::OffsetDateTime;

use super::new_people::NewPeople;
use super::read::{Content, ReadEvent};
use super::row_plan::RowPlan;
use super::single_events;
use super::store::checkpoint;
use crate::error::{Missing, NotApplied};

/// Number of events down to which a failing part is split in halves. A smaller part is applied
/// event by event, which takes fewer statements if many of them fail.
const SPLIT_LIMIT: usize = 8;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApplyResult {
    /// It was applied now.
    Applied,
    /// It was applied before.
    AlreadyApplied,
    /// It cannot be applied, for this reason.
    DeadLetter(String),
}

/// Applies events in the order of the chain and returns the result of each. The rows are the same
/// as if the events were applied one by one. An error is the database's: the caller must roll back.
pub(crate) async fn apply_all(
    conn: &mut PgConnection,
    events: &[&ReadEvent],
    now: OffsetDateTime,
) -> Result<Vec<ApplyResult>, sqlx::Error> {
    let mut results = Vec::with_capacity(events.len());
    for part in events.chunk_by(|one, next| !is_single(one) && !is_single(next)) {
        if let [alone] = part
            && is_single(alone)
        {
            results.push(apply_one(conn, alone, &NewPeople::default(), now).await?);
        } else {
            results.extend(apply_rows(conn, part, now).await?);
        }
    }
    Ok(results)
}

fn is_single(event: &ReadEvent) -> bool {
    matches!(event.content, Ok(Content::Single(_)))
}

/// Applies events that are written as rows, and those that cannot be read.
async fn apply_rows(
    conn: &mut PgConnection,
    events: &[&ReadEvent],
    now: OffsetDateTime,
) -> Result<Vec<ApplyResult>, sqlx::Error> {
    let new_people = NewPeople::find(conn, events).await?;
    let mut results = unreadable(conn, events).await?;
    let readable = (0..events.len()).filter(|n| results[*n].is_none()).collect();
    let mut parts: VecDeque<Vec<usize>> = VecDeque::from([readable]);
    while let Some(mut part) = parts.pop_front() {
        let plan = together(events, &part);
        let rest = part.split_off(plan.1);
        if !rest.is_empty() {
            parts.push_front(rest);
        }
        match part[..] {
            [] => continue,
            [alone] => {
                results[alone] = Some(apply_one(conn, events[alone], &new_people, now).await?);
                continue;
            }
            _ => {}
        }
        match write(conn, events, &part, plan.0, &new_people).await {
            Ok(()) => part.iter().for_each(|n| results[*n] = Some(ApplyResult::Applied)),
            Err(NotApplied::Missing(missing)) => {
                let left = leave_out(events, &part, &missing, &mut results);
                parts.push_front(left);
            }
            Err(NotApplied::Inapplicable(reason)) => {
                tracing::debug!(
                    events = part.len(),
                    error = reason,
                    "applying fewer events at once than {}",
                    part.len()
                );
                if part.len() <= SPLIT_LIMIT {
                    part.into_iter().rev().for_each(|n| parts.push_front(vec![n]));
                } else {
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
            }
            Err(NotApplied::Database(error)) => return Err(error),
        }
    }
    Ok(results.into_iter().map(|result| result.expect("each event was in a part")).collect())
}

/// Returns results for the events that cannot be read: dead letters, or already applied by a
/// release that could read them. The others have `None`.
async fn unreadable(
    conn: &mut PgConnection,
    events: &[&ReadEvent],
) -> Result<Vec<Option<ApplyResult>>, sqlx::Error> {
    let mut results: Vec<Option<ApplyResult>> = events
        .iter()
        .map(|event| event.content.as_ref().err().map(|why| ApplyResult::DeadLetter(why.clone())))
        .collect();
    let numbers: Vec<usize> = (0..events.len()).filter(|n| results[*n].is_some()).collect();
    let Some(first) = numbers.first() else { return Ok(results) };
    let places: Vec<_> = numbers.iter().map(|n| &events[*n].place).collect();
    for number in checkpoint::logged(conn, &events[*first].place.channel, &places).await? {
        let number = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        if let Some(known) = number.and_then(|number| numbers.get(number)) {
            results[*known] = Some(ApplyResult::AlreadyApplied);
        }
    }
    Ok(results)
}

/// Returns a plan of the first events that can be written together, and their number.
fn together<'a>(events: &[&'a ReadEvent], part: &[usize]) -> (RowPlan<'a>, usize) {
    let mut plan = RowPlan::default();
    for (count, n) in part.iter().enumerate() {
        if let Ok(Content::Rows(_, effects)) = &events[*n].content
            && !plan.add(effects, &events[*n].place)
        {
            return (plan, count);
        }
    }
    (plan, part.len())
}

/// Logs and writes events together, or none of them. After an error the caller leaves out events,
/// or tries fewer at once.
async fn write(
    conn: &mut PgConnection,
    events: &[&ReadEvent],
    part: &[usize],
    plan: RowPlan<'_>,
    new_people: &NewPeople,
) -> Result<(), NotApplied> {
    let mut named = Vec::with_capacity(part.len());
    for event in part.iter().map(|n| events[*n]) {
        if let Ok(content) = &event.content {
            named.push((content.name(), event));
        }
    }
    savepoint::begin(conn).await.map_err(NotApplied::Database)?;
    let written = async {
        checkpoint::log_events(conn, &named).await?;
        plan.write(conn, new_people).await
    };
    let written = written.await;
    savepoint::end(conn, &written).await.map_err(NotApplied::Database)?;
    written
}

/// Marks the events that need what is missing as dead letters, and returns the others.
fn leave_out(
    events: &[&ReadEvent],
    part: &[usize],
    missing: &Missing,
    results: &mut [Option<ApplyResult>],
) -> Vec<usize> {
    let mut left = Vec::with_capacity(part.len());
    for n in part {
        let content = events[*n].content.as_ref().ok();
        let lacks = content.and_then(|content| match content {
            Content::Rows(_, effects) => effects.lacks(missing),
            Content::Single(_) => None,
        });
        match lacks {
            Some(reason) => results[*n] = Some(ApplyResult::DeadLetter(reason)),
            None => left.push(*n),
        }
    }
    left
}

/// Logs and applies one event within a savepoint.
async fn apply_one(
    conn: &mut PgConnection,
    event: &ReadEvent,
    new_people: &NewPeople,
    now: OffsetDateTime,
) -> Result<ApplyResult, sqlx::Error> {
    let content = match &event.content {
        Ok(content) => content,
        Err(why) => return Ok(ApplyResult::DeadLetter(why.clone())),
    };
    savepoint::begin(conn).await?;
    let applied = log_and_apply(conn, event, content, new_people, now).await;
    savepoint::end(conn, &applied).await?;
    match applied {
        Ok(true) => Ok(ApplyResult::Applied),
        Ok(false) => Ok(ApplyResult::AlreadyApplied),
        Err(NotApplied::Inapplicable(reason)) => Ok(ApplyResult::DeadLetter(reason)),
        Err(NotApplied::Missing(missing)) => {
            let lacks = match content {
                Content::Rows(_, effects) => effects.lacks(&missing),
                Content::Single(_) => None,
            };
            let reason = lacks.unwrap_or_else(|| format!("the read model lacks {missing:?}"));
            Ok(ApplyResult::DeadLetter(reason))
        }
        Err(NotApplied::Database(error)) => Err(error),
    }
}

/// Logs and applies one event. Returns `false` and writes no rows if it was applied before.
async fn log_and_apply(
    conn: &mut PgConnection,
    event: &ReadEvent,
    content: &Content,
    new_people: &NewPeople,
    now: OffsetDateTime,
) -> Result<bool, NotApplied> {
    let is_new = checkpoint::log_event(conn, event, content.name()).await?;
    match content {
        Content::Rows(_, effects) if is_new => {
            let mut plan = RowPlan::default();
            plan.add(effects, &event.place);
            plan.write(conn, new_people).await?;
        }
        Content::Rows(..) => {}
        Content::Single(single) => {
            if is_new {
                single_events::apply(conn, single, &event.place).await?;
            }
            // Commands are released also by an event that was applied before: reading the chain
            // again has blocked them again.
            single_events::release(conn, single, now).await?;
        }
    }
    Ok(is_new)
}
