//! Replaying dead letters, once the decoder or the data that they needed is there.

use std::collections::HashSet;

use gx_db::PgConnection;
use gx_model::EventRecord;
use sqlx::Connection;
use time::OffsetDateTime;

use crate::block::Decode;
use crate::dead::try_apply;
use crate::error::NotApplied;
use crate::place::Place;
use crate::read::ReadEvent;
use crate::store::{checkpoint, dead};

/// Which held events to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// One, by its id.
    One(i64),
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Ids of the events that are applied now.
    pub replayed: Vec<i64>,
    /// Those that were tried and are still held.
    pub still_held: Vec<StillHeld>,
}

/// An event that is still held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillHeld {
    /// Its id.
    pub dead_event_id: i64,
    /// Why.
    pub reason: String,
}

/// Applies held events in the chain's order, in one transaction, while no block is applied.
/// An event that cannot be applied goes on holding back its aggregates.
///
/// # Errors
/// The database's; then nothing was replayed.
pub async fn replay_dead(
    conn: &mut PgConnection,
    channel: &str,
    selection: Selection,
    decode: Decode,
    now: OffsetDateTime,
) -> Result<ReplayReport, sqlx::Error> {
    let mut tx = conn.begin().await?;
    checkpoint::lock(&mut tx, channel).await?;
    let mut report = ReplayReport::default();
    let mut held_back: HashSet<String> = HashSet::new();
    for row in dead::held(&mut tx, channel).await? {
        let wanted = match selection {
            Selection::All => true,
            Selection::One(id) => id == row.dead_event_id,
        };
        let outcome = if wanted {
            try_row(&mut tx, channel, &row, &held_back, decode, now).await?
        } else {
            Err(None)
        };
        match outcome {
            Ok(()) => {
                dead::resolve(&mut tx, row.dead_event_id, now).await?;
                report.replayed.push(row.dead_event_id);
            }
            Err(reason) => {
                held_back.extend(row.aggregates);
                if let Some(reason) = reason {
                    dead::still(&mut tx, row.dead_event_id, &gx_outbox::storable(&reason)).await?;
                    let dead_event_id = row.dead_event_id;
                    report.still_held.push(StillHeld { dead_event_id, reason });
                }
            }
        }
    }
    tx.commit().await?;
    Ok(report)
}

/// Applies one held event; `Ok(Err(Some(reason)))` where it stays held.
async fn try_row(
    conn: &mut PgConnection,
    channel: &str,
    row: &dead::HeldRow,
    held_back: &HashSet<String>,
    decode: Decode,
    now: OffsetDateTime,
) -> Result<Result<(), Option<String>>, sqlx::Error> {
    let json = match serde_json::from_str(&row.payload) {
        Ok(json) => json,
        Err(why) => return Ok(Err(Some(format!("the stored payload is no JSON: {why}")))),
    };
    let record = EventRecord::from_json(json);
    let place = Place {
        channel: channel.into(),
        block_number: row.block_number,
        tx_id: row.tx_id.as_str().into(),
        tx_index: row.tx_index,
        event_index: row.event_index,
        command_id: row.command_id.as_str().into(),
        ledger_at: row.ledger_at,
    };
    let Some(event) = ReadEvent::read(&record, place, decode) else {
        return Ok(Err(Some("it does not say what it concerns".to_owned())));
    };
    let content = match &event.content {
        Ok(content) => content,
        Err(why) => return Ok(Err(Some(why.clone()))),
    };
    // A corrected decoder may see aggregates that the event's own word left out.
    let mut keys = event.keys.iter().chain(&row.aggregates);
    if let Some(key) = keys.find(|key| held_back.contains(*key)) {
        return Ok(Err(Some(format!("held behind an earlier event of {key}"))));
    }
    match try_apply(conn, &event, content, now).await {
        Ok(_) => Ok(Ok(())),
        Err(NotApplied::Inapplicable(reason)) => Ok(Err(Some(reason))),
        Err(NotApplied::Database(error)) => Err(error),
    }
}
