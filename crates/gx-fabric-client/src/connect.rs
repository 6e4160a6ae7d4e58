//! Making connections: names are resolved anew each time, and failures keep their reason.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, CertificateError};
use tokio::net::{TcpStream, lookup_host};
use tonic::{ConnectError, Status};

use crate::error::OutcomeClass;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFault {
    /// The name has no address.
    Resolve,
    /// The name leads to this machine, outside development.
    Loopback,
    /// Nobody listens there.
    Refused,
    /// The network does not lead there.
    Unreachable,
    /// No answer within the time allowed.
    Timeout,
    /// The TLS certificate is for another name.
    CertificateName,
    /// The TLS certificate is from an unknown authority.
    UntrustedIssuer,
    /// The TLS certificate is expired or otherwise unacceptable.
    Certificate,
    /// The peer does not accept our client certificate, or wants one.
    ClientCertificate,
    /// What listens there does not speak TLS.
    NoTls,
    /// The connection broke while it was made.
    Broken,
}

impl ConnectFault {
    /// The fault as metric labels and log fields write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Loopback => "loopback",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::CertificateName => "certificate_name",
            Self::UntrustedIssuer => "untrusted_issuer",
            Self::Certificate => "certificate",
            Self::ClientCertificate => "client_certificate",
            Self::NoTls => "no_tls",
            Self::Broken => "broken",
        }
    }

    /// What a person should look at.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Resolve => "check the host in the peer's endpoint, and the name server",
            Self::Loopback => "the name leads to this machine; use the peer's own address",
            Self::Refused => "check the port, and whether the peer is running",
            Self::Unreachable => "check routes and firewalls between here and the peer",
            Self::Timeout => "the peer or the network does not answer",
            Self::CertificateName => "set the TLS server name to one in the peer's certificate",
            Self::UntrustedIssuer => "the peer's TLS authority is not the one configured",
            Self::Certificate => "check the dates and usage of the peer's TLS certificate",
            Self::ClientCertificate => "check the TLS client certificate and its authority",
            Self::NoTls => "what listens there speaks no TLS, or no HTTP/2; check the port",
            Self::Broken => "the connection was closed while it was made",
        }
    }

    pub(crate) fn class(self) -> OutcomeClass {
        match self {
            Self::Loopback
            | Self::CertificateName
            | Self::UntrustedIssuer
            | Self::Certificate
            | Self::ClientCertificate
            | Self::NoTls => OutcomeClass::Misconfigured,
            Self::Resolve | Self::Refused | Self::Unreachable | Self::Timeout | Self::Broken => {
                OutcomeClass::Unavailable
            }
        }
    }
}

/// A failure before TLS begins.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("{host} cannot be resolved")]
    Resolve { host: String, source: io::Error },
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("{host} resolves to the loopback address {address}")]
    Loopback { host: String, address: SocketAddr },
    #[error("{address} cannot be reached")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("{host} did not accept a connection in time")]
    Timeout { host: String },
}

/// Resolves the host of `uri` and connects to the first of its addresses that answers.
pub(crate) async fn dial(
    uri: Uri,
    timeout: Duration,
    loopback_allowed: bool,
) -> io::Result<TokioIo<TcpStream>> {
    let host = uri.host().unwrap_or_default().to_owned();
    let port = uri.port_u16().unwrap_or_default();
    match tokio::time::timeout(timeout, dial_host(&host, port, loopback_allowed)).await {
        Ok(dialled) => dialled.map(TokioIo::new).map_err(io::Error::other),
        Err(_) => Err(io::Error::other(DialError::Timeout { host })),
    }
}

async fn dial_host(host: &str, port: u16, loopback_allowed: bool) -> Result<TcpStream, DialError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = lookup_host((bare, port))
        .await
        .map_err(|source| DialError::Resolve { host: host.to_owned(), source })?
        .collect();
    let mut failure = DialError::NoAddress { host: host.to_owned() };
    for address in addresses {
        if address.ip().is_loopback() && !loopback_allowed {
            return Err(DialError::Loopback { host: host.to_owned(), address });
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small requests wait for their answers: gathering them only adds delay.
                if let Err(source) = stream.set_nodelay(true) {
                    return Err(DialError::Connect { address, source });
                }
                return Ok(stream);
            }
            Err(source) => failure = DialError::Connect { address, source },
        }
    }
    Err(failure)
}

/// What the transport says of a status that it made itself.
pub(crate) struct TransportStory {
    /// Each layer's words.
    pub(crate) text: String,
    /// Why there is no connection, if the call never got one.
    pub(crate) fault: Option<ConnectFault>,
}

/// Looks through the layers below a status; none if the other side sent it.
pub(crate) fn story_of(status: &Status) -> Option<TransportStory> {
    let mut words: Vec<String> = Vec::new();
    let mut fault = None;
    let mut current = Some(status.source()?);
    while let Some(error) = current {
        let text = error.to_string();
        if error.is::<ConnectError>() {
            fault = fault.or(Some(ConnectFault::Broken));
        }
        // Below a connection that stood, only a refused client certificate means that
        // nothing was sent.
        match fault_in(error, &text) {
            Some(found) if fault.is_some() || found == ConnectFault::ClientCertificate => {
                fault = Some(found);
            }
            _ => {}
        }
        if words.last() != Some(&text) {
            words.push(text);
        }
        // An io::Error hands out its inner error's source, not the inner error.
        current = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    Some(TransportStory { text: words.join(": "), fault })
}

fn fault_in(error: &(dyn Error + 'static), text: &str) -> Option<ConnectFault> {
    if let Some(dial) = error.downcast_ref::<DialError>() {
        return Some(match dial {
            DialError::Resolve { .. } | DialError::NoAddress { .. } => ConnectFault::Resolve,
            DialError::Loopback { .. } => ConnectFault::Loopback,
            DialError::Connect { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused => ConnectFault::Refused,
                io::ErrorKind::TimedOut => ConnectFault::Timeout,
                _ => ConnectFault::Unreachable,
            },
            DialError::Timeout { .. } => ConnectFault::Timeout,
        });
    }
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_fault(tls));
    }
    // These come as words only: tonic keeps the types of the first two to itself, and an
    // alert after the handshake has become a text in HTTP/2 by the time it is seen.
    match text {
        "TLS handshake timeout." => Some(ConnectFault::Timeout),
        "HTTP/2 was not negotiated." => Some(ConnectFault::NoTls),
        _ if CLIENT_CERTIFICATE_ALERTS
            .iter()
            .any(|alert| text == format!("received fatal alert: {alert:?}")) =>
        {
            Some(ConnectFault::ClientCertificate)
        }
        _ => None,
    }
}

/// What a server says of the certificate that it was, or was not, shown.
const CLIENT_CERTIFICATE_ALERTS: [AlertDescription; 5] = [
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::UnknownCA,
    AlertDescription::CertificateUnknown,
    AlertDescription::AccessDenied,
];

fn tls_fault(error: &rustls::Error) -> ConnectFault {
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ConnectFault::CertificateName
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ConnectFault::UntrustedIssuer
            }
            _ => ConnectFault::Certificate,
        },
        rustls::Error::AlertReceived(alert) if CLIENT_CERTIFICATE_ALERTS.contains(alert) => {
            ConnectFault::ClientCertificate
        }
        rustls::Error::InvalidMessage(_) => ConnectFault::NoTls,
        _ => ConnectFault::Broken,
    }
}
