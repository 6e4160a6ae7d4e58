//! Listeners: bind, serve over HTTP/1.1 and 2 with or without TLS, and stop in order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::limits::{CONNECTION_LIMIT, DRAIN_TIME_LIMIT, HANDSHAKE_TIME_LIMIT, HEADER_TIME_LIMIT};

/// The address at the other end of the connection, as an extension of each request.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "{what} cannot listen on {address}: the port is taken; stop the process that holds it \
         or choose another port"
    )]
    Taken {
        /// Whose listener.
        what: String,
        /// Where.
        address: SocketAddr,
    },
    /// Not allowed, or no such address on this machine.
    #[error(
        "{what} cannot listen on {address}: {source}; choose an address of this machine and a port above 1023"
    )]
    Refused {
        /// Whose listener.
        what: String,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Takes the port.
///
/// # Errors
/// In one sentence, with what to do.
pub async fn bind(what: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| {
        let what = what.to_owned();
        if source.kind() == std::io::ErrorKind::AddrInUse {
            BindError::Taken { what, address }
        } else {
            BindError::Refused { what, address, source }
        }
    })
}

/// One listener and what it serves.
pub struct Server {
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    drain_time: Duration,
    silence_limit: Duration,
}

impl Server {
    /// Plain HTTP/1.1 and 2.
    pub fn new(listener: TcpListener, router: Router) -> Self {
        Self {
            listener,
            router,
            tls: None,
            drain_time: DRAIN_TIME_LIMIT,
            silence_limit: HEADER_TIME_LIMIT,
        }
    }

    /// The same over TLS.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(TlsAcceptor::from(config));
        self
    }

    /// How long open requests may take to finish.
    #[must_use]
    pub fn with_drain_time(mut self, limit: Duration) -> Self {
        self.drain_time = limit;
        self
    }

    /// How long a connection may be open without having sent a request.
    #[must_use]
    pub fn with_silence_limit(mut self, limit: Duration) -> Self {
        self.silence_limit = limit;
        self
    }

    /// Serves until the token is cancelled; then accepts nothing new, finishes what is open
    /// within the drain time, and returns whether all of it was finished.
    pub async fn run(self, stop: CancellationToken) -> bool {
        let connections = Arc::new(Semaphore::new(CONNECTION_LIMIT));
        let open = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = accept(&self.listener, &connections) => accepted,
            };
            if let Some((stream, peer, permit)) = accepted {
                let connection = Connection {
                    router: self.router.clone(),
                    tls: self.tls.clone(),
                    silence_limit: self.silence_limit,
                    peer,
                    watcher: open.watcher(),
                    _permit: permit,
                };
                tokio::spawn(connection.serve(stream));
            }
        }
        drop(self.listener);
        tokio::time::timeout(self.drain_time, open.shutdown()).await.is_ok()
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    /// A pause after a failed accept, such as one for want of file descriptors.
    const PAUSE: Duration = Duration::from_millis(50);
    let permit = Arc::clone(connections)
        .acquire_owned()
        .await
        .expect("nothing closes the semaphore of a listener");
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

struct Connection {
    router: Router,
    tls: Option<TlsAcceptor>,
    silence_limit: Duration,
    peer: SocketAddr,
    watcher: hyper_util::server::graceful::Watcher,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // Small answers go out at once; a socket that refuses the option still works.
        let _unsupported = stream.set_nodelay(true);
        match self.tls.clone() {
            None => self.speak(TokioIo::new(stream)).await,
            Some(tls) => {
                match tokio::time::timeout(HANDSHAKE_TIME_LIMIT, tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.speak(TokioIo::new(stream)).await,
                    Ok(Err(error)) => {
                        tracing::debug!(peer = %self.peer, %error, "no TLS handshake");
                    }
                    Err(_) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
                }
            }
        }
    }

    async fn speak<I>(self, io: I)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let peer = PeerAddress(self.peer.ip());
        let spoke = Arc::new(AtomicBool::new(false));
        let speaks = Arc::clone(&spoke);
        let service =
            self.router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
                speaks.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(peer);
                request
            });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME_LIMIT);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEADER_TIME_LIMIT);
        let connection =
            builder.serve_connection(io, TowerToHyperService::new(service)).into_owned();
        // The header's time limit begins with its first bytes, and telling HTTP/1.1 from 2 has
        // none: whoever says nothing would hold a place for ever.
        let silence = async {
            tokio::time::sleep(self.silence_limit).await;
            if spoke.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = self.watcher.watch(connection) => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %self.peer, error = %error, "a connection broke");
                }
            }
            () = silence => tracing::debug!(peer = %self.peer, "a connection sent no request"),
        }
    }
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificate or key cannot be read.
    #[error("the TLS certificate or its key cannot be read as PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// They do not belong together, or are of an unknown kind.
    #[error("the TLS certificate and key do not make a server")]
    Config(#[from] rustls::Error),
}

/// What a TLS listener needs, from a certificate chain and its key in PEM.
///
/// # Errors
/// When they cannot be read, or do not belong together.
pub fn tls_config(
    certificates_pem: &[u8],
    key_pem: &[u8],
) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(certificates_pem).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key_pem)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
