//! Listeners: bind, serve HTTP/1.1 and 2 with or without TLS, and stop in order. `gx` binds and
//! runs the listeners of a role; a listener that cannot be bound ends the process.

mod connection;
mod connection_io;
mod connection_service;
mod host;
mod response_body;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, ConnectionSlot, ConnectionTimeLimits};
use crate::limits::{
    DRAIN_TIME_LIMIT, HEADER_TIME_LIMIT, PARTING_TIME_LIMIT, SOCKET_RECEIVE_BYTES,
    SOCKET_SEND_BYTES, STALL_TIME_LIMIT,
};
use connection::{Connection, StopTokens};
pub use tls::{TlsError, tls_config};

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens on the address.
    #[error(
        "{what} cannot listen on {address}: the port is taken; stop the process that holds it \
         or choose another port"
    )]
    Taken {
        /// Name of the listener.
        what: String,
        /// Address of the listener.
        address: SocketAddr,
    },
    /// The address is not permitted or does not belong to this machine.
    #[error(
        "{what} cannot listen on {address}: {source}; choose an address of this machine and a port above 1023"
    )]
    Refused {
        /// Name of the listener.
        what: String,
        /// Address of the listener.
        address: SocketAddr,
        /// Error of the operating system.
        source: std::io::Error,
    },
}

/// Opens a listener.
///
/// # Errors
/// [`BindError`], which names the remedy.
pub async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|source| {
        let what = what.to_owned();
        if source.kind() == std::io::ErrorKind::AddrInUse {
            BindError::Taken { what, address }
        } else {
            BindError::Refused { what, address, source }
        }
    })
}

/// Listens with bounded socket buffers. By default the operating system keeps megabytes for a
/// client that does not read, or that sends faster than the service reads.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    /// Limit of connections that wait to be accepted.
    const BACKLOG: u32 = 1_024;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Connections inherit the buffer sizes of their listener.
    socket.set_send_buffer_size(SOCKET_SEND_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_RECEIVE_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A listener and the router that it serves.
pub struct Server {
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    admission: Admission,
    notice: CancellationToken,
    drain_time: Duration,
    times: ConnectionTimeLimits,
}

impl Server {
    /// Creates a server of plain HTTP/1.1 and 2 with the default limits.
    pub fn new(listener: TcpListener, router: Router) -> Self {
        let admission = Admission::default();
        let times = times(&admission);
        Self {
            listener,
            router,
            tls: None,
            admission,
            notice: CancellationToken::new(),
            drain_time: DRAIN_TIME_LIMIT,
            times,
        }
    }

    /// Returns this server with TLS.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(TlsAcceptor::from(config));
        self
    }

    /// Returns this server with the counters of `admission`, which other listeners may share.
    #[must_use]
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.times = times(&admission);
        self.admission = admission;
        self
    }

    /// Returns this server with a token: once it is cancelled, HTTP/1.1 responses close their
    /// connections, so that clients look for another instance before this one stops.
    #[must_use]
    pub fn with_notice(mut self, notice: CancellationToken) -> Self {
        self.notice = notice;
        self
    }

    /// Returns this server with a time limit for open requests to finish.
    #[must_use]
    pub fn with_drain_time(mut self, limit: Duration) -> Self {
        self.drain_time = limit;
        self
    }

    /// Returns this server with changed time limits of connections.
    #[cfg(test)]
    pub(crate) fn with_times(mut self, change: impl FnOnce(&mut ConnectionTimeLimits)) -> Self {
        change(&mut self.times);
        self
    }

    /// Serves until `stop` is cancelled. Then accepts no connections, waits the drain time for open
    /// requests, cuts the rest, and returns whether all requests finished.
    pub async fn run(self, stop: CancellationToken) -> bool {
        let (open, cut) = (TaskTracker::new(), CancellationToken::new());
        let tokens = StopTokens { notice: self.notice, stop: stop.clone(), cut: cut.clone() };
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = accept(&self.listener, &self.admission) => accepted,
            };
            if let Some((stream, peer, slot)) = accepted {
                let connection = Connection {
                    router: self.router.clone(),
                    tls: self.tls.clone(),
                    admission: self.admission.clone(),
                    times: self.times,
                    peer,
                    slot,
                    tokens: tokens.clone(),
                };
                open.spawn(connection.serve(stream));
            }
        }
        drop(self.listener);
        open.close();
        let finished = tokio::time::timeout(self.drain_time, open.wait()).await.is_ok();
        cut.cancel();
        finished
    }
}

fn times(admission: &Admission) -> ConnectionTimeLimits {
    let settings = admission.settings();
    ConnectionTimeLimits {
        silence: HEADER_TIME_LIMIT,
        head: HEADER_TIME_LIMIT,
        http1_idle: settings.http1_idle,
        http2_idle: settings.http2_idle,
        stall: STALL_TIME_LIMIT,
        parting: PARTING_TIME_LIMIT,
    }
}

/// Returns the next admitted connection, or `None` if the connection was not admitted.
async fn accept(
    listener: &TcpListener,
    admission: &Admission,
) -> Option<(TcpStream, SocketAddr, ConnectionSlot)> {
    /// Pause after a failed accept, for example if no file descriptor is free.
    const PAUSE: Duration = Duration::from_millis(50);
    match listener.accept().await {
        Ok((stream, peer)) => {
            let slot = admission.slot(peer.ip()).await?;
            Some((stream, peer, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            admission.close_idle();
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}
