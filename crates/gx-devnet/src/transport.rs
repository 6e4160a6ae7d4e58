//! Accepts connections, and drops them where a fault says so.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::faults::Faults;

/// The connections that arrive at the listener.
pub(crate) fn connections(
    listener: TcpListener,
    faults: Faults,
) -> impl Stream<Item = io::Result<Connection>> {
    TcpListenerStream::new(listener).filter_map(move |accepted| match accepted {
        Ok(_) if faults.refuses_connections() => None,
        Ok(socket) => Some(Connection::new(socket, &faults)),
        Err(error) => Some(Err(error)),
    })
}

/// A connection that a fault can reset.
pub(crate) struct Connection {
    socket: TcpStream,
    reset: WatchStream<u64>,
    is_reset: bool,
}

impl Connection {
    fn new(socket: TcpStream, faults: &Faults) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let reset = WatchStream::from_changes(faults.connections_reset());
        Ok(Self { socket, reset, is_reset: false })
    }

    /// Fails from the moment of the reset on; until then the task is woken by it.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.is_reset && Pin::new(&mut self.reset).poll_next(context).is_ready() {
            self.is_reset = true;
        }
        if self.is_reset { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// `host:port` under which this listener is reached and its certificate is valid.
pub(crate) fn endpoint(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}
