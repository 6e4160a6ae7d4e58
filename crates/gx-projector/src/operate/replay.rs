//! Applies dead letters again after the decoder or the data that they lacked has arrived, in parts
//! with a limited number of events, each in its own transaction. Called by `housekeeping` for the
//! operators' tasks, and by a rebuild. An event that still cannot be applied stays a dead letter.

use gx_db::PgConnection;
use gx_model::EventRecord;
use gx_outbox::failure::storable;
use serde::{Deserialize, Serialize};
use sqlx::Connection;
use time::OffsetDateTime;

use crate::apply::Decode;
use crate::apply::ReadEvent;
use crate::apply::store::checkpoint;
use crate::apply::store::dead;
use crate::apply::store::dead::HeldRow;
use crate::apply::{ApplyResult, apply_all};
use crate::place::{BEFORE_ALL, Place};

/// Limit of the events in one part.
const PART_EVENTS: i64 = 500;
/// Limit of the events of each kind that a report names; all are counted.
const MAX_NAMED: usize = 200;

/// Which dead letters to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// The one with this id.
    One(i64),
}

/// Result of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// Number of events that are applied now.
    pub replayed_count: u64,
    /// Number of events that are still dead letters.
    pub still_held_count: u64,
    /// Ids of the first events that are applied now.
    pub replayed: Vec<i64>,
    /// The first events that are still dead letters.
    pub still_held: Vec<StillHeld>,
}

/// An event that is still a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StillHeld {
    /// Its id.
    pub dead_event_id: i64,
    /// Why it cannot be applied.
    pub reason: String,
}

impl ReplayReport {
    fn add_replayed(&mut self, dead_event_id: i64) {
        self.replayed_count += 1;
        if self.replayed.len() < MAX_NAMED {
            self.replayed.push(dead_event_id);
        }
    }

    fn add_still_held(&mut self, dead_event_id: i64, reason: &str) {
        self.still_held_count += 1;
        if self.still_held.len() < MAX_NAMED {
            self.still_held.push(StillHeld { dead_event_id, reason: reason.to_owned() });
        }
    }
}

/// Progress of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplayProgress {
    /// The place of the last event that was tried.
    after: Option<(i64, i32, i32)>,
    /// The last block that was applied when the replay began. Later dead letters are left out, so
    /// that the replay ends.
    last_block: Option<i64>,
    pub(crate) report: ReplayReport,
}

/// Applies dead letters in the order of the chain, one part after another.
///
/// # Errors
/// `sqlx::Error` if a statement fails; the parts before stay applied.
pub async fn replay_dead(
    conn: &mut PgConnection,
    channel: &str,
    selection: Selection,
    decode: Decode,
    now: OffsetDateTime,
) -> Result<ReplayReport, sqlx::Error> {
    let mut progress = ReplayProgress::default();
    while !replay_part(conn, channel, selection, &mut progress, decode, now).await? {}
    Ok(progress.report)
}

/// Applies the next part in one transaction, while no block is applied, and returns whether it was
/// the last one.
pub(crate) async fn replay_part(
    conn: &mut PgConnection,
    channel: &str,
    selection: Selection,
    progress: &mut ReplayProgress,
    decode: Decode,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let at = checkpoint::lock(&mut tx, channel).await?;
    let last_block = *progress.last_block.get_or_insert(at.unwrap_or(i64::MAX));
    let rows = match selection {
        Selection::One(id) => dead::held_one(&mut tx, channel, id).await?.into_iter().collect(),
        Selection::All => {
            let after = progress.after.unwrap_or(BEFORE_ALL);
            dead::held_after(&mut tx, channel, after, last_block, PART_EVENTS).await?
        }
    };
    try_again(&mut tx, channel, &rows, &mut progress.report, decode, now).await?;
    tx.commit().await?;
    if let Some(last) = rows.last() {
        progress.after = Some((last.block_number, last.tx_index, last.event_index));
    }
    Ok(selection != Selection::All || i64::try_from(rows.len()) != Ok(PART_EVENTS))
}

/// Applies dead letters, and stores the reason for those that still cannot be applied.
async fn try_again(
    conn: &mut PgConnection,
    channel: &str,
    rows: &[HeldRow],
    report: &mut ReplayReport,
    decode: Decode,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let read: Vec<_> = rows.iter().map(|row| read(channel, row, decode)).collect();
    let events: Vec<&ReadEvent> = read.iter().filter_map(|event| event.as_ref().ok()).collect();
    let mut results = apply_all(conn, &events, now).await?.into_iter();
    let (mut resolved, mut still, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for (row, event) in rows.iter().zip(&read) {
        let reason = match event {
            Ok(_) => match results.next() {
                Some(ApplyResult::DeadLetter(reason)) => storable(&reason),
                _ => {
                    resolved.push(row.dead_event_id);
                    report.add_replayed(row.dead_event_id);
                    continue;
                }
            },
            Err(why) => storable(why),
        };
        report.add_still_held(row.dead_event_id, &reason);
        still.push(row.dead_event_id);
        reasons.push(reason);
    }
    if !resolved.is_empty() {
        dead::resolve(conn, &resolved, now).await?;
    }
    if !still.is_empty() {
        let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        dead::update_reason(conn, &still, &reasons).await?;
    }
    Ok(())
}

/// Reads a dead letter in the same way as an event in a block. An error is the reason that it
/// cannot be applied.
fn read(channel: &str, row: &HeldRow, decode: Decode) -> Result<ReadEvent, String> {
    let json = serde_json::from_str(&row.payload)
        .map_err(|why| format!("the stored payload is not JSON: {why}"))?;
    let place = Place {
        channel: channel.into(),
        block_number: row.block_number,
        tx_id: row.tx_id.as_str().into(),
        tx_index: row.tx_index,
        event_index: row.event_index,
        command_id: row.command_id.as_str().into(),
        ledger_at: row.ledger_at,
    };
    ReadEvent::read(&EventRecord::from_json(json), place, decode)
        .ok_or_else(|| "it does not name what it concerns".to_owned())
}
