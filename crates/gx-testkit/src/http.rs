//! A small HTTP client for tests: one connection for each request, or a connection that is kept,
//! and the whole reply. Called by `story`, and by tests that send requests of their own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};

/// A whole reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; `null` if it is empty or not JSON.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// Returns the reply if it has this status.
    ///
    /// # Panics
    /// With the body if the status is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Returns a text of the JSON body, by JSON Pointer.
    ///
    /// # Panics
    /// With the body if there is no text at the pointer.
    #[track_caller]
    pub fn str(&self, pointer: &str) -> &str {
        match self.json.pointer(pointer).and_then(Value::as_str) {
            Some(text) => text,
            None => panic!("no text at {pointer} of {}", self.text),
        }
    }

    /// Reads a reply to its end. Fails if the connection ends before.
    pub async fn read<B>(reply: http::Response<B>) -> Result<Self, B::Error>
    where
        B: http_body::Body,
    {
        let (head, body) = reply.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { status: head.status, headers: head.headers, json, text })
    }
}

/// Creates a request with an optional bearer token and an optional JSON body.
pub fn request(
    method: Method,
    path: &str,
    token: Option<&str>,
    json: Option<&Value>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = match json {
        Some(json) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(json.to_string())
        }
        None => Body::empty(),
    };
    request.body(body).expect("method, path and headers are valid")
}

/// Sends a request over TCP and returns the reply.
///
/// # Errors
/// If the connection cannot be made, or ends before the reply does.
pub async fn send(to: SocketAddr, request: Request<Body>) -> Result<Reply, HttpError> {
    exchange(TcpStream::connect(to).await?, request).await
}

/// Sends a request over TLS to `localhost` and returns the reply. Trusts only this PEM certificate.
///
/// # Errors
/// The errors of [`send`], and a certificate that is not trusted.
pub async fn send_tls(
    to: SocketAddr,
    trusted_pem: &str,
    request: Request<Body>,
) -> Result<Reply, HttpError> {
    use rustls::pki_types::pem::PemObject as _;
    let trusted = rustls::pki_types::CertificateDer::from_pem_slice(trusted_pem.as_bytes())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from("localhost")?;
    let stream = TcpStream::connect(to).await?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    exchange(stream, request).await
}

/// An error of the connection or of TLS.
pub type HttpError = Box<dyn std::error::Error + Send + Sync>;

/// A connection for several requests, one after the other.
pub struct Connection {
    sender: hyper::client::conn::http1::SendRequest<Body>,
    task: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Connection {
    /// Opens a connection from an address of this machine, such as 127.0.0.7.
    ///
    /// # Errors
    /// If the connection cannot be made.
    pub async fn open(from: IpAddr, to: SocketAddr) -> Result<Self, HttpError> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        Self::over(socket.connect(to).await?).await
    }

    async fn over<S>(stream: S) -> Result<Self, HttpError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, task: tokio::spawn(connection) })
    }

    /// Sends a request and returns the reply.
    ///
    /// # Errors
    /// If the connection ends before the reply does.
    pub async fn send(&mut self, request: Request<Body>) -> Result<Reply, HttpError> {
        self.sender.ready().await?;
        Ok(Reply::read(self.sender.send_request(request).await?).await?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends a request over a new connection and reads the reply.
async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Reply, HttpError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    Connection::over(stream).await?.send(request).await
}
