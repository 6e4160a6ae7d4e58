//! The server to which peers connect. `gx chaincode` binds it and then serves until it is stopped;
//! a [`ChaincodeError`] ends the command.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gx_fabric_proto::protos::ChaincodeMessage;
use gx_fabric_proto::protos::chaincode_server::{Chaincode, ChaincodeServer as Generated};
use gx_fabric_proto::{MAX_MESSAGE_BYTES, PemError, TlsPair, certificates_in, certificates_pem};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::session::{DRAIN_LIMIT, Session, Shared};

/// Limit of transactions that run at once; others wait. Each has a thread, which mostly waits for
/// the peer.
const MAX_RUNNING_TRANSACTIONS: usize = 256;

/// Limit of messages that wait to be sent on a stream.
const OUTGOING_MESSAGES: usize = 512;

/// Limit of streams on a connection; a peer opens one.
const MAX_STREAMS_PER_CONNECTION: u32 = 16;

/// Time without traffic after which a connection is pinged.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);

/// Time after which an unanswered ping ends the connection.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The options of the service.
#[derive(Clone, Debug)]
pub struct ChaincodeOptions {
    /// The package id that the peer computed at installation: `label:hash`.
    pub package_id: String,
    /// The name under which the chaincode is committed to the channel.
    pub name: String,
    /// The TLS files. If `None`, connections are not encrypted.
    pub tls: Option<TlsFiles>,
}

/// Certificates and key, as files in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The service's certificate, with its intermediate certificates.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The roots of the client certificates that peers must present. If `None`, everybody may
    /// connect.
    pub client_roots: Option<PathBuf>,
}

/// Why the service cannot start or has ended.
#[derive(Debug, thiserror::Error)]
pub enum ChaincodeError {
    /// The address is in use, is not of this machine, or cannot be resolved.
    #[error(
        "cannot listen on {address}; free the port, or set CHAINCODE_SERVER_ADDRESS to another \
         address of this machine"
    )]
    Listen {
        /// The address as given.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("`{}` cannot be read; check the path and its permissions", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Certificate or key is malformed, or they do not match.
    #[error(
        "certificate `{}` and key `{}` are not a pair in PEM; replace the file that is wrong",
        certificate.display(), key.display()
    )]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        source: PemError,
    },
    /// The roots of the client certificates are malformed.
    #[error(
        "the roots of client certificates in `{}` cannot be used; replace the file with \
         certificates in PEM",
        path.display()
    )]
    Roots {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with them.
        source: PemError,
    },
    /// The TLS library does not accept the certificate or the key.
    #[error(
        "the TLS library rejects certificate `{}` and key `{}`; replace both files",
        certificate.display(), key.display()
    )]
    Tls {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The error of the TLS library.
        source: tonic::transport::Error,
    },
    /// The server failed while it was running.
    #[error("the chaincode service has ended; remove the cause, and start it again")]
    Serve(#[from] tonic::transport::Error),
}

/// A service that listens and does not serve yet.
pub struct ChaincodeServer {
    listener: TcpListener,
    address: SocketAddr,
    server: Server,
    options: ChaincodeOptions,
}

impl ChaincodeServer {
    /// Reads the TLS files and binds the address.
    ///
    /// # Errors
    /// [`ChaincodeError`] names the address or the file.
    pub async fn bind(address: &str, options: ChaincodeOptions) -> Result<Self, ChaincodeError> {
        let mut server = Server::builder()
            .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
        if let Some(files) = &options.tls {
            server = server.tls_config(files.config()?).map_err(|source| ChaincodeError::Tls {
                certificate: files.certificate.clone(),
                key: files.key.clone(),
                source,
            })?;
        }
        let failed = |source| ChaincodeError::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address: local, server, options })
    }

    /// Returns the address on which the service listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves peers until `stop` is cancelled, then waits for running transactions, at most for
    /// `DRAIN_LIMIT`.
    ///
    /// # Errors
    /// [`ChaincodeError::Serve`] if the server fails.
    pub async fn serve(mut self, stop: CancellationToken) -> Result<(), ChaincodeError> {
        let shared = Arc::new(Shared {
            package_id: self.options.package_id,
            name: self.options.name.into(),
            running: Arc::new(Semaphore::new(MAX_RUNNING_TRANSACTIONS)),
            stop: stop.clone(),
        });
        let service = Generated::new(Service(shared))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let serving = self.server.add_service(service);
        let serving =
            serving.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        // A peer that keeps its connection open must not delay the end of the process.
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN_LIMIT).await;
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = overdue => Ok(()),
        }
    }
}

impl TlsFiles {
    /// Reads the files.
    fn config(&self) -> Result<ServerTlsConfig, ChaincodeError> {
        let pair = TlsPair::read(&read(&self.certificate)?, &read(&self.key)?);
        let pair = pair.map_err(|source| ChaincodeError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })?;
        let identity = Identity::from_pem(pair.chain_pem(), pair.key_pem());
        let config = ServerTlsConfig::new().identity(identity);
        let Some(path) = &self.client_roots else { return Ok(config) };
        // tonic ignores roots that it cannot read; peers with their certificates would be refused.
        let roots = certificates_in(&read(path)?)
            .map_err(|source| ChaincodeError::Roots { path: path.clone(), source })?;
        Ok(config.client_ca_root(Certificate::from_pem(certificates_pem(&roots))))
    }
}

fn read(path: &Path) -> Result<String, ChaincodeError> {
    std::fs::read_to_string(path)
        .map_err(|source| ChaincodeError::File { path: path.to_owned(), source })
}

/// Starts a session for each stream that a peer opens.
struct Service(Arc<Shared>);

#[tonic::async_trait]
impl Chaincode for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<ChaincodeMessage, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let address = request.remote_addr();
        let peer = address.map_or_else(|| "without address".to_owned(), |peer| peer.to_string());
        tracing::info!(peer, "peer {peer} has connected");
        let (outgoing, messages) = mpsc::channel(OUTGOING_MESSAGES);
        let session = Session::new(self.0.clone(), peer, outgoing);
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}
