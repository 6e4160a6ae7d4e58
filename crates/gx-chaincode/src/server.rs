//! The listener that peers dial.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gx_fabric_proto::MAX_MESSAGE_BYTES;
use gx_fabric_proto::protos::ChaincodeMessage;
use gx_fabric_proto::protos::chaincode_server::{Chaincode, ChaincodeServer as Generated};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::session::{DRAIN_LIMIT, Session, Shared};

/// Transactions that run at once; others wait. Each has a thread, which mostly waits for the
/// peer.
const MAX_RUNNING_TRANSACTIONS: usize = 256;

/// Messages that wait to be sent on one stream.
const OUTGOING_MESSAGES: usize = 512;

/// Streams on one connection; a peer opens one.
const MAX_STREAMS_PER_CONNECTION: u32 = 16;

/// How long a connection may be silent before it is pinged.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);

/// How long a ping may go unanswered.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How the service presents itself.
#[derive(Clone, Debug)]
pub struct ChaincodeOptions {
    /// The id that the peer gave to the installed package: `label:hash`.
    pub package_id: String,
    /// The name under which the chaincode is committed to the channel.
    pub name: String,
    /// TLS; without it the connection is plain.
    pub tls: Option<TlsFiles>,
}

/// Files in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The service's certificate, with intermediate ones behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Roots of the certificates that peers must present; without them anybody may connect.
    pub client_roots: Option<PathBuf>,
}

/// Why the service cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ChaincodeError {
    /// The address is taken, not ours, or unknown.
    #[error("cannot listen on {address}")]
    Listen {
        /// As it was given.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Certificate and key are no pair, or one is malformed.
    #[error("certificate {} and key {} cannot be used for TLS", certificate.display(), key.display())]
    Tls {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// The listener has broken.
    #[error("the chaincode service has ended")]
    Serve(#[from] tonic::transport::Error),
}

/// A service that listens.
pub struct ChaincodeServer {
    listener: TcpListener,
    address: SocketAddr,
    server: Server,
    options: ChaincodeOptions,
}

impl ChaincodeServer {
    /// Reads the files and takes the port.
    ///
    /// # Errors
    /// [`ChaincodeError`], which names the address or the file.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves peers until told to stop; transactions under way are let end first.
    ///
    /// # Errors
    /// [`ChaincodeError::Serve`].
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
        // A peer that does not let go of its connection must not keep the process.
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
    fn config(&self) -> Result<ServerTlsConfig, ChaincodeError> {
        let identity = Identity::from_pem(read(&self.certificate)?, read(&self.key)?);
        let config = ServerTlsConfig::new().identity(identity);
        Ok(match &self.client_roots {
            Some(roots) => config.client_ca_root(Certificate::from_pem(read(roots)?)),
            None => config,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ChaincodeError> {
    std::fs::read(path).map_err(|source| ChaincodeError::File { path: path.to_owned(), source })
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl Chaincode for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<ChaincodeMessage, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        tracing::info!(peer = request.remote_addr().map(tracing::field::display), "connected");
        let (outgoing, messages) = mpsc::channel(OUTGOING_MESSAGES);
        let session = Session::new(self.0.clone(), outgoing);
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}
