//! The bytes of a connection, between the socket and hyper.
//!
//! It records when the client sends, replaces the rejections that hyper writes without a body, and
//! closes a connection so that a client that is still sending reads its response.
//!
//! If hyper cannot read a head, it responds with an empty body. No request is open then, and all
//! responses of the service have been written. So bytes that hyper writes in that state are a
//! rejection without a body, and the service's own response replaces them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection_service::ConnectionService;
use crate::limits::DROPPED_LIMIT_BYTES;
use crate::problem::{ProblemKind, kind};

/// The bytes of one connection.
pub(super) struct ConnectionIo<I> {
    io: I,
    service: ConnectionService,
    rejection: Option<Rejection>,
    /// Number of bytes read and dropped while the connection is being closed.
    dropped: usize,
}

enum Rejection {
    Making(BoxFuture<'static, Vec<u8>>),
    Writing { bytes: Vec<u8>, written: usize },
    Written,
}

impl<I: AsyncRead + AsyncWrite + Unpin> ConnectionIo<I> {
    pub(super) fn new(io: I, service: ConnectionService) -> Self {
        Self { io, service, rejection: None, dropped: 0 }
    }

    /// Returns the kind of problem if hyper begins to write a rejection.
    fn rejection_kind(&self, bytes: &[u8]) -> Option<&'static ProblemKind> {
        let activity = self.service.activity();
        if !activity.is_clean() {
            return None;
        }
        let status = bytes.strip_prefix(b"HTTP/1.")?.get(1..5)?;
        match status {
            b" 414" => Some(&kind::URI_TOO_LONG),
            b" 431" if activity.lacks_line() => Some(&kind::URI_TOO_LONG),
            b" 431" => Some(&kind::HEADERS_TOO_LARGE),
            [b' ', b'4', ..] => Some(&kind::BAD_REQUEST),
            _ => None,
        }
    }

    /// Begins to end the connection with this problem.
    fn refuse(&mut self, kind: &'static ProblemKind) {
        self.service.activity().part();
        self.rejection = Some(Rejection::Making(self.service.refusal(kind)));
    }

    /// Creates and writes the rejection, if there is one.
    fn poll_rejection(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.rejection {
                None | Some(Rejection::Written) => return Poll::Ready(Ok(())),
                Some(Rejection::Making(making)) => {
                    let bytes = ready!(making.as_mut().poll(context));
                    self.rejection = Some(Rejection::Writing { bytes, written: 0 });
                }
                Some(Rejection::Writing { bytes, written }) => {
                    let rest = bytes.get(*written..).unwrap_or_default();
                    if rest.is_empty() {
                        ready!(Pin::new(&mut self.io).poll_flush(context))?;
                        self.rejection = Some(Rejection::Written);
                        continue;
                    }
                    let count = ready!(Pin::new(&mut self.io).poll_write(context, rest))?;
                    if count == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    *written += count;
                }
            }
        }
    }

    /// Ends the sending direction, and drops bytes that the client still sends.
    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(context))?;
        let mut scratch = [0; 4 * 1024];
        while self.dropped < DROPPED_LIMIT_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            match buffer.filled().len() {
                0 => break,
                count => self.dropped += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for ConnectionIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rejection.is_none()
            && let Some(kind) = self.service.activity().refusal()
        {
            self.refuse(kind);
        }
        if self.rejection.is_some() {
            ready!(self.poll_rejection(context))?;
            // An empty read means the end of the client's bytes.
            return self.poll_part(context);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.service.activity().heard(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ConnectionIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.rejection.is_none() {
            match self.rejection_kind(bytes) {
                None => return Pin::new(&mut self.io).poll_write(context, bytes),
                Some(kind) => self.refuse(kind),
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.rejection.is_none() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            match first.and_then(|first| self.rejection_kind(first)) {
                None => return Pin::new(&mut self.io).poll_write_vectored(context, slices),
                Some(kind) => self.refuse(kind),
            }
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rejection(context))?;
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        self.service.activity().flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rejection.is_none() && !self.service.activity().has_unread() {
            return Pin::new(&mut self.io).poll_shutdown(context);
        }
        self.service.activity().part();
        ready!(self.poll_rejection(context))?;
        self.poll_part(context)
    }
}
