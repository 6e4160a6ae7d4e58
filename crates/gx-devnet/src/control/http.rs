//! The routes of the control endpoint. Bodies and answers are JSON; a dump is binary. Served by
//! `control::serve`.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Controls;
use super::fault::Fault;
use super::local_only::local_programs_only;
use crate::ledger::{LedgerSnapshot, OrdererGone, SnapshotError};

/// Limit of pieces of a dump that wait for a slow reader.
const BUFFERED_PIECES: usize = 4;
const PIECE_BYTES: usize = 256 * 1024;
/// The clock cannot be set beyond this time: no certificate is valid that long, and times are
/// written with a year of four digits.
const END_OF_TIME: OffsetDateTime = datetime!(2300-01-01 00:00 UTC);

pub(super) fn router(controls: Weak<Controls>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/blocks", post(cut_block))
        .route("/faults", post(fault))
        .route("/clock", post(advance_clock))
        .route("/snapshots", get(snapshots).post(take_snapshot))
        .route("/snapshots/{id}", delete(delete_snapshot))
        .route("/snapshots/{id}/revert", post(revert))
        .route("/dump", get(dump))
        .layer(from_fn(local_programs_only))
        .with_state(controls)
}

/// The ledger, while it is running.
struct Running(Arc<Controls>);

impl FromRequestParts<Weak<Controls>> for Running {
    type Rejection = Refused;

    async fn from_request_parts(
        _parts: &mut Parts,
        controls: &Weak<Controls>,
    ) -> Result<Self, Refused> {
        controls.upgrade().map(Self).ok_or(Refused::Stopping)
    }
}

/// Why a request is refused. [`IntoResponse`] gives each its HTTP status.
enum Refused {
    Stopping,
    /// A value of the request is wrong.
    Wrong(String),
    Snapshot(SnapshotError),
}

impl From<OrdererGone> for Refused {
    fn from(_: OrdererGone) -> Self {
        Self::Stopping
    }
}

impl From<SnapshotError> for Refused {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "the ledger is stopping".to_owned())
            }
            Self::Wrong(message) => (StatusCode::BAD_REQUEST, message),
            Self::Snapshot(error) => (snapshot_status(&error), error.to_string()),
        };
        (status, Json(json!({ "error": message }))).into_response()
    }
}

fn snapshot_status(error: &SnapshotError) -> StatusCode {
    match error {
        SnapshotError::Unknown(_) => StatusCode::NOT_FOUND,
        SnapshotError::TooMany => StatusCode::CONFLICT,
        SnapshotError::Ledger(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn status(Running(ledger): Running) -> Json<Value> {
    Json(json!({
        "channel": ledger.channel,
        "height": *ledger.height.borrow(),
        "commits_held": *ledger.faults.commits_held().borrow(),
        "time": moment(ledger.clock.now()),
    }))
}

async fn cut_block(Running(ledger): Running) -> Result<Json<Value>, Refused> {
    Ok(Json(json!({ "height": ledger.cut_block().await? })))
}

async fn fault(Running(ledger): Running, Json(fault): Json<Fault>) -> Result<Json<Value>, Refused> {
    fault.apply(&ledger.faults).map_err(Refused::Wrong)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

async fn advance_clock(
    Running(ledger): Running,
    Json(Advance { advance_seconds }): Json<Advance>,
) -> Result<Json<Value>, Refused> {
    let by = Duration::from_secs(advance_seconds);
    let left = Duration::try_from(END_OF_TIME - ledger.clock.now()).unwrap_or_default();
    if by > left {
        return Err(Refused::Wrong(format!("the clock cannot be moved beyond {END_OF_TIME}")));
    }
    Ok(Json(json!({ "time": moment(ledger.advance_clock(by)) })))
}

async fn snapshots(Running(ledger): Running) -> Result<Json<Value>, Refused> {
    let snapshots = ledger.store.snapshots()?;
    Ok(Json(Value::Array(snapshots.into_iter().map(shown).collect())))
}

async fn take_snapshot(Running(ledger): Running) -> Result<Json<Value>, Refused> {
    Ok(Json(shown(ledger.take_snapshot().await?)))
}

async fn revert(Running(ledger): Running, Path(id): Path<u64>) -> Result<Json<Value>, Refused> {
    Ok(Json(shown(ledger.revert(id).await?)))
}

async fn delete_snapshot(
    Running(ledger): Running,
    Path(id): Path<u64>,
) -> Result<Json<Value>, Refused> {
    ledger.delete_snapshot(id).await?;
    Ok(Json(json!({})))
}

/// Streams a dump while it is written. If writing fails, the body ends early and lacks the checksum
/// at its end.
async fn dump(State(ledger): State<Weak<Controls>>) -> Result<Response, Refused> {
    let ledger = ledger.upgrade().ok_or(Refused::Stopping)?;
    let (pieces, stream) = mpsc::channel(BUFFERED_PIECES);
    let out = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
    let write = ledger.dumper(out);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write() {
            tracing::warn!(%error, "a dump could not be completed");
            let _gone = pieces.blocking_send(Err(io::Error::other(error)));
        }
    });
    let body = Body::from_stream(ReceiverStream::new(stream));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// Passes written bytes to the body.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown(snapshot: LedgerSnapshot) -> Value {
    json!({ "id": snapshot.id, "height": snapshot.height })
}

/// Returns the text of a time, or null if it has none.
fn moment(time: OffsetDateTime) -> Value {
    time.format(&Rfc3339).map_or(Value::Null, Value::String)
}
