//! The address of a chaincode service, and the connection to it. `gx devnet` makes the services
//! from its arguments; `Connection::launch` dials them.

use std::error::Error;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use gx_fabric_proto::MAX_MESSAGE_BYTES;
use gx_fabric_proto::protos::chaincode_client::ChaincodeClient;
use serde::Deserialize;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Time limit of a connection if the service's description has none.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without traffic after which the service is pinged, and time for its answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_mins(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A chaincode that runs as a service, to which the ledger connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeService {
    /// The name that clients use. The service may register with any id.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// The TLS settings; `None` means no TLS.
    pub tls: Option<ServiceTls>,
    /// Time limit of a connection.
    pub dial_timeout: Duration,
    /// Whether the first transaction must initialise it (`--init-required`).
    pub init_required: bool,
}

/// The certificates of both sides of a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTls {
    /// The roots of the service's certificate.
    pub roots_pem: String,
    /// Our certificate and key, if the service requires them.
    pub client_pem: Option<(String, String)>,
}

impl ChaincodeService {
    /// Returns a service without TLS.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            tls: None,
            dial_timeout: DIAL_TIMEOUT,
            init_required: false,
        }
    }

    /// Returns the service that the `connection.json` of a Fabric package describes.
    ///
    /// # Errors
    /// The name of the field that is missing or wrong.
    pub fn from_connection_json(name: &str, json: &str) -> Result<Self, String> {
        let description: ConnectionJson = serde_json::from_str(json)
            .map_err(|error| format!("not a connection.json: {error}"))?;
        let dial_timeout = match description.dial_timeout.as_str() {
            "" => DIAL_TIMEOUT,
            text => duration(text).ok_or_else(|| {
                format!("dial_timeout {text:?} is not a number of seconds (10s) or milliseconds")
            })?,
        };
        let tls = if description.tls_required {
            let client = (description.client_cert, description.client_key);
            Some(ServiceTls {
                roots_pem: description.root_cert,
                client_pem: description.client_auth_required.then_some(client),
            })
        } else {
            None
        };
        Ok(Self { tls, dial_timeout, ..Self::new(name, description.address) })
    }

    /// Connects to the service. The error is a peer's message.
    pub(super) async fn dial(&self) -> Result<ChaincodeClient<Channel>, String> {
        match tokio::time::timeout(self.dial_timeout, self.connect()).await {
            Ok(Ok(channel)) => Ok(ChaincodeClient::new(channel)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES)),
            Ok(Err(error)) => Err(format!(
                "connection error: desc = \"transport: {}\"",
                transport_error(&error, &self.address)
            )),
            Err(_) => Err("context deadline exceeded".to_owned()),
        }
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address))?
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        if let Some(tls) = &self.tls {
            let mut config =
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.roots_pem));
            if let Some((certificate, key)) = &tls.client_pem {
                config = config.identity(Identity::from_pem(certificate, key));
            }
            endpoint = endpoint.tls_config(config)?;
        }
        endpoint.connect().await
    }
}

/// `NAME=HOST:PORT`.
impl FromStr for ChaincodeService {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, address) = parts.ok_or_else(|| format!("{text:?} is not NAME=HOST:PORT"))?;
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(format!("{address:?} is not HOST:PORT"));
        }
        Ok(Self::new(name, address))
    }
}

/// The file that describes the connection in the package of a chaincode service.
#[derive(Deserialize)]
struct ConnectionJson {
    address: String,
    #[serde(default)]
    dial_timeout: String,
    #[serde(default)]
    tls_required: bool,
    #[serde(default)]
    client_auth_required: bool,
    #[serde(default)]
    client_key: String,
    #[serde(default)]
    client_cert: String,
    #[serde(default)]
    root_cert: String,
}

/// Returns the duration of a text like `10s` or `500ms`, or `None` if it is another text.
fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

/// Returns a peer's message for a port on which no process listens, and otherwise the error with
/// all its causes, because the transport's own message has few details.
fn transport_error(error: &tonic::transport::Error, address: &str) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return format!("error while dialing: dial tcp {address}: connect: connection refused");
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
