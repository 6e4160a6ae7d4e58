//! One connection, from its first byte to its last. [`super::Server::run`] spawns
//! [`Connection::serve`] for each admitted connection. A failure ends only this connection, and is
//! logged at `debug`.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connection_io::ConnectionIo;
use super::connection_service::ConnectionService;
use crate::admission::{Admission, ConnectionAction, ConnectionSlot, ConnectionTimeLimits};
use crate::limits::{
    HANDSHAKE_TIME_LIMIT, HEAD_LIMIT_BYTES, HEADER_FIELDS_LIMIT, HTTP2_STREAMS_LIMIT,
    HTTP2_WINDOW_BYTES, PEER_PING_INTERVAL, SEND_BUFFER_BYTES,
};
use crate::problem::kind;

/// How often to check whether a connection that must free its slot has finished its work.
const EVICTED_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// One accepted connection with the resources that it needs.
pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) admission: Admission,
    pub(super) times: ConnectionTimeLimits,
    pub(super) peer: SocketAddr,
    pub(super) slot: ConnectionSlot,
    pub(super) tokens: StopTokens,
}

/// The three steps in which a server ends its connections.
#[derive(Clone)]
pub(super) struct StopTokens {
    /// Cancelled when clients are told to look for another instance.
    pub(super) notice: CancellationToken,
    /// Cancelled when open requests must finish.
    pub(super) stop: CancellationToken,
    /// Cancelled when the remaining connections are cut.
    pub(super) cut: CancellationToken,
}

impl Connection {
    /// Serves the connection until it ends.
    pub(super) async fn serve(self, stream: TcpStream) {
        // Sends small responses at once. A socket that does not support the option works without
        // it.
        let _unsupported = stream.set_nodelay(true);
        let Some(tls) = self.tls.clone() else {
            return self.speak(stream).await;
        };
        let handshake = tokio::time::timeout(HANDSHAKE_TIME_LIMIT, tls.accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = self.slot.activity().evicted() => return,
            () = self.tokens.stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => {
                tracing::debug!(client = %self.peer, %error, "the TLS handshake failed");
            }
            Err(_) => tracing::debug!(client = %self.peer, "the TLS handshake took too long"),
        }
    }

    /// Speaks HTTP over the connection, and closes or cuts it when its activity says so.
    async fn speak<I>(self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = self.slot.activity();
        let service = ConnectionService {
            router: self.router.clone(),
            admission: self.admission.clone(),
            activity: activity.clone(),
            peer: self.peer.ip(),
            notice: self.tokens.notice.clone(),
        };
        let builder = builder();
        let io = TokioIo::new(ConnectionIo::new(io, service.clone()));
        let mut connection = pin!(builder.serve_connection(io, service));
        let (mut is_stopping, mut is_evicted) = (false, false);
        loop {
            if is_evicted && !activity.works() {
                return;
            }
            let action = activity.next_action(&self.times);
            let next = match action {
                ConnectionAction::WaitUntil(next) if is_evicted => {
                    next.min(Instant::now() + EVICTED_LOOK_INTERVAL)
                }
                ConnectionAction::WaitUntil(next) => next,
                ConnectionAction::Idle => {
                    connection.as_mut().graceful_shutdown();
                    activity.part();
                    continue;
                }
                ConnectionAction::SlowHead => {
                    activity.refuse(&kind::REQUEST_TIMEOUT);
                    continue;
                }
                ConnectionAction::Silent
                | ConnectionAction::Stalled
                | ConnectionAction::Overdue => {
                    tracing::debug!(client = %self.peer, ?action, "a connection was cut: {action:?}");
                    return;
                }
            };
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(client = %self.peer, %error, "a connection failed");
                    }
                    return;
                }
                () = activity.evicted() => {
                    connection.as_mut().graceful_shutdown();
                    if futures_util::poll!(connection.as_mut()).is_ready() {
                        return;
                    }
                    // A connection whose requests wait for the client is cut now, like an idle one;
                    // a connection that works is cut when it has finished.
                    activity.part();
                    is_evicted = true;
                }
                () = self.tokens.stop.cancelled(), if !is_stopping => {
                    connection.as_mut().graceful_shutdown();
                    is_stopping = true;
                    if activity.is_idle() {
                        activity.part();
                    }
                }
                () = self.tokens.cut.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The connection has its own limits for a head and between requests.
        .header_read_timeout(None)
        .max_headers(HEADER_FIELDS_LIMIT)
        .max_buf_size(HEAD_LIMIT_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PEER_PING_INTERVAL)
        .max_concurrent_streams(HTTP2_STREAMS_LIMIT)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(HEAD_LIMIT_BYTES).unwrap_or(u32::MAX));
    builder
}
