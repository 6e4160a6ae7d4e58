//! Makes connections. Names are resolved for each connection, and failures keep their reason.
//!
//! The transport of each peer calls [`dial`]. `LedgerError::from_status` calls
//! [`transport_failure`] to tell a connection that could not be made, so that nothing was sent,
//! from a call that failed.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, CertificateError};
use tokio::net::{TcpStream, lookup_host};
use tonic::{ConnectError, Status};

use crate::outcome_class::OutcomeClass;

/// Why a connection cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFault {
    /// The name has no address.
    Resolve,
    /// The name resolves to this machine, which is allowed only in development.
    Loopback,
    /// No process listens on the port.
    Refused,
    /// The network has no route to the address.
    Unreachable,
    /// The server did not answer within the time limit.
    Timeout,
    /// The TLS certificate is issued for another name.
    CertificateName,
    /// The issuer of the TLS certificate is not trusted.
    UntrustedIssuer,
    /// The TLS certificate is expired or invalid for another reason.
    Certificate,
    /// The peer requires a client certificate or does not accept ours.
    ClientCertificate,
    /// The server does not speak TLS.
    NoTls,
    /// The connection was closed while it was being made.
    Broken,
}

impl ConnectFault {
    /// Returns the fault, as in metric labels and log fields.
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

    /// Returns what an operator can check.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Resolve => "check the host in the peer's endpoint, and the name server",
            Self::Loopback => "the name resolves to this machine; use the peer's own address",
            Self::Refused => "check the port, and whether the peer is running",
            Self::Unreachable => "check routes and firewalls between here and the peer",
            Self::Timeout => "the peer or the network does not answer",
            Self::CertificateName => "set the TLS server name to one in the peer's certificate",
            Self::UntrustedIssuer => "the peer's TLS authority is not the configured one",
            Self::Certificate => "check the dates and usage of the peer's TLS certificate",
            Self::ClientCertificate => "check the TLS client certificate and its authority",
            Self::NoTls => "the server does not speak TLS with HTTP/2; check the port",
            Self::Broken => "the connection was closed while it was being made",
        }
    }

    /// Returns `Misconfigured` if an operator must act, and `Unavailable` if waiting may help.
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

/// A failure before the TLS handshake.
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

/// Resolves the host of `uri` and connects to the first address that accepts.
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
                // Requests are small and wait for their answers, so Nagle's algorithm would only
                // add delay.
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

/// The error that the transport wrapped into a status.
pub(crate) struct TransportFailure {
    /// The messages of all layers.
    pub(crate) text: String,
    /// Why there is no connection. `None` if the call had one.
    pub(crate) fault: Option<ConnectFault>,
}

/// Returns the transport's error below a status, or `None` if the server sent the status.
pub(crate) fn transport_failure(status: &Status) -> Option<TransportFailure> {
    let mut words: Vec<String> = Vec::new();
    let mut fault = None;
    let mut current = Some(status.source()?);
    while let Some(error) = current {
        let text = error.to_string();
        if error.is::<ConnectError>() {
            fault = fault.or(Some(ConnectFault::Broken));
        }
        // After a connection was made, only a refused client certificate means that nothing was
        // sent.
        match fault_in(error, &text) {
            Some(found) if fault.is_some() || found == ConnectFault::ClientCertificate => {
                fault = Some(found);
            }
            _ => {}
        }
        if words.last() != Some(&text) {
            words.push(text);
        }
        // The source of an io::Error is the source of its inner error, so the inner error is taken
        // here.
        current = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    Some(TransportFailure { text: words.join(": "), fault })
}

/// Returns the fault that one layer of an error shows, or `None` if it shows none.
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
    // These exist only as texts: tonic does not export the types of the first two, and HTTP/2 turns
    // an alert after the handshake into a text.
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

/// The TLS alerts that mean that the server requires or refuses a client certificate.
const CLIENT_CERTIFICATE_ALERTS: [AlertDescription; 5] = [
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::UnknownCA,
    AlertDescription::CertificateUnknown,
    AlertDescription::AccessDenied,
];

/// Returns the fault of a TLS handshake that failed.
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
