//! Response bodies that track how much the client has taken, for the time limits of its connection.
//! The connection service wraps every response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};

use crate::admission::OpenRequest;

/// The body of a response. Its request is open until the last part is written.
pub(super) struct ResponseBody {
    body: Body,
    request: Arc<OpenRequest>,
    /// Whether the body waits for the client, and not for the handler that produces it.
    is_ready: bool,
}

impl ResponseBody {
    pub(super) fn new(body: Body, request: Arc<OpenRequest>) -> Self {
        request.ready();
        Self { body, request, is_ready: true }
    }
}

impl http_body::Body for ResponseBody {
    type Data = ResponseChunk;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<ResponseChunk>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match (polled.is_ready(), self.is_ready) {
            (true, false) => self.request.ready(),
            (false, true) => self.request.taken(),
            _ => self.request.moved(),
        }
        self.is_ready = polled.is_ready();
        polled.map_ok(|frame| frame.map_data(|bytes| ResponseChunk::new(bytes, &self.request)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.is_ready {
            self.request.taken();
        }
    }
}

/// A part of a response that is being written.
pub(super) struct ResponseChunk {
    bytes: Bytes,
    request: Arc<OpenRequest>,
}

impl ResponseChunk {
    fn new(bytes: Bytes, request: &Arc<OpenRequest>) -> Self {
        request.ready();
        Self { bytes, request: Arc::clone(request) }
    }
}

impl Buf for ResponseChunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.request.moved();
        self.bytes.advance(count);
    }

    // No copy if the caller takes the whole part.
    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.request.moved();
        self.bytes.copy_to_bytes(length)
    }
}

impl Drop for ResponseChunk {
    fn drop(&mut self) {
        self.request.taken();
    }
}
