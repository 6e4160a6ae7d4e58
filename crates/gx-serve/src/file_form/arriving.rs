//! The body of a form as it arrives, in small pieces and within its limits.

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use super::error::FormError;
use super::limits::UploadLimits;
use super::pace::Pace;
use super::read_window::ReadWindow;
use crate::admission::UploadSlot;

/// A body that arrives.
pub(super) struct Arriving {
    body: Body,
    /// What has arrived and was not passed on.
    rest: Bytes,
    arrived_bytes: usize,
    limits: UploadLimits,
    pace: Pace,
    window: ReadWindow,
    slot: Option<UploadSlot>,
}

impl Arriving {
    pub(super) fn new(
        body: Body,
        limits: UploadLimits,
        window: ReadWindow,
        slot: Option<UploadSlot>,
    ) -> Self {
        let (rest, pace) = (Bytes::new(), Pace::new(limits));
        Self { body, rest, arrived_bytes: 0, limits, pace, window, slot }
    }

    /// Returns the body in pieces.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, FormError>> + Send {
        futures_util::stream::try_unfold(self, |mut arriving| async move {
            // The reader of forms takes all that is ready. So it waits for each piece, and has
            // looked at the piece before when it gets the next.
            tokio::task::yield_now().await;
            let piece = arriving.next_piece().await?;
            Ok::<_, FormError>(piece.map(|piece| (piece, arriving)))
        })
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, FormError> {
        while self.rest.is_empty() {
            let Some(frame) = self.next_frame().await? else { return Ok(None) };
            let Ok(data) = frame.into_data() else { continue };
            self.arrived_bytes += data.len();
            if self.arrived_bytes > self.limits.max_bytes {
                return Err(FormError::TooLarge(self.limits.max_bytes));
            }
            self.pace.add(data.len());
            self.rest = data;
        }
        let piece = self.rest.split_to(self.rest.len().min(self.window.piece_bytes()));
        self.window.pass(piece.len())?;
        Ok(Some(piece))
    }

    async fn next_frame(&mut self) -> Result<Option<Frame<Bytes>>, FormError> {
        let since = Instant::now();
        self.set_waiting(true);
        let frame = timeout(self.pace.left(), self.body.frame()).await;
        self.set_waiting(false);
        self.pace.spend(since.elapsed());
        match frame {
            Err(_) => Err(FormError::TooSlow),
            Ok(Some(Err(_))) => Err(FormError::Broken),
            Ok(frame) => Ok(frame.and_then(Result::ok)),
        }
    }

    fn set_waiting(&self, is_waiting: bool) {
        if let Some(slot) = &self.slot {
            slot.set_waiting(is_waiting);
        }
    }
}
