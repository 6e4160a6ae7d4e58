//! Accepts connections, and drops them if a fault requires it. The server of each node gets its
//! connections from [`connections`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::faults::{Link, NodeFaults};

/// Returns the connections to a node's listener. While the node is down there is no listener, so
/// the operating system refuses connections as for a process that has ended.
pub(crate) fn connections(
    listener: TcpListener,
    address: SocketAddr,
    faults: &NodeFaults,
) -> ReceiverStream<io::Result<Connection>> {
    faults.listens_at(address);
    let (accepted, stream) = mpsc::channel(1);
    tokio::spawn(accept(listener, address, faults.clone(), accepted));
    ReceiverStream::new(stream)
}

/// Accepts connections until the receiver is dropped.
async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    faults: NodeFaults,
    accepted: mpsc::Sender<io::Result<Connection>>,
) {
    let (mut link, mut changes) = (faults.link(), faults.link());
    let mut listener = Some(listener);
    loop {
        if changes.borrow_and_update().is_down() {
            listener = None;
        } else if listener.is_none() {
            listener = listen_again(address, &faults);
        }
        tokio::select! {
            next = next_connection(listener.as_ref(), &link) => {
                if link.borrow_and_update().is_down() {
                    continue;
                }
                if accepted.send(next).await.is_err() {
                    return;
                }
            }
            Ok(()) = changes.changed() => {}
            () = accepted.closed() => return,
        }
    }
}

/// Waits for a connection, or for ever if there is no listener.
async fn next_connection(
    listener: Option<&TcpListener>,
    link: &watch::Receiver<Link>,
) -> io::Result<Connection> {
    match listener {
        Some(listener) => Connection::new(listener.accept().await?.0, link),
        None => std::future::pending().await,
    }
}

/// Binds the port again. Returns `None` if that fails, for example because another process has
/// taken the port; the node then stays down until the next change of its link.
fn listen_again(address: SocketAddr, faults: &NodeFaults) -> Option<TcpListener> {
    let bound = match faults.take_listener() {
        Some(listener) => Ok(listener),
        None => std::net::TcpListener::bind(address),
    };
    let listening = bound.and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    listening
        .inspect_err(|error| {
            tracing::error!(%error, %address, "a node cannot listen on {address}; free the port");
        })
        .ok()
}

/// A connection that a fault can reset or silence.
pub(crate) struct Connection {
    socket: TcpStream,
    changes: WatchStream<Link>,
    link: Link,
    /// The number of resets of the link when this connection was made.
    resets: u64,
}

impl Connection {
    fn new(socket: TcpStream, link: &watch::Receiver<Link>) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let now = *link.borrow();
        let changes = WatchStream::new(link.clone());
        Ok(Self { socket, changes, link: now, resets: now.resets })
    }

    /// Fails after a reset and waits in a black hole. Every change of the link wakes the task.
    fn poll_link(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Poll::Ready(Some(link)) = Pin::new(&mut self.changes).poll_next(context) {
            self.link = link;
        }
        if self.link.resets != self.resets {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.link.black_hole { Poll::Pending } else { Poll::Ready(Ok(())) }
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
        ready!(self.poll_link(context))?;
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_link(context))?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Returns `host:port` of a listener; its certificate is valid for that host.
pub(crate) fn endpoint(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}
