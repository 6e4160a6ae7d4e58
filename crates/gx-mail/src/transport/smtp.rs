//! Delivery to a mail server over SMTP, with TLS by rustls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{ADDRESS, DeliveryFailure};
use crate::settings::{MailSettings, MailSettingsError, SmtpEncryption, SmtpServer};

/// Beginning of a certificate in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
/// Waits for the server that one delivery may consist of: one until the text is sent, and three for
/// the answer to it, which a relay gives after all its checks (RFC 5321, 4.5.3.2.6).
const SEND_WAITS: u32 = 4;
/// Waits for the server that a look at it may consist of.
const LOOK_WAITS: u32 = 2;
/// All waits of one delivery.
pub(crate) const SMTP_WAITS: u32 = SEND_WAITS + LOOK_WAITS;
/// How long an unused connection is kept. Servers close theirs after some minutes.
const IDLE: Duration = Duration::from_secs(30);

/// Connections to a mail server. Clones share them.
#[derive(Clone)]
pub struct SmtpTransport {
    builder: AsyncSmtpTransportBuilder,
    /// The connections in use. They are replaced after a delivery that was cut off: the library
    /// would use its connection again, and take the late answer for that to another command.
    pool: Arc<Mutex<AsyncSmtpTransport<Tokio1Executor>>>,
    /// Longest wait for one answer.
    timeout: Duration,
}

impl SmtpTransport {
    /// Creates connections, of which none is opened yet.
    pub(crate) fn new(
        server: &SmtpServer,
        settings: &MailSettings,
    ) -> Result<Self, MailSettingsError> {
        server.check()?;
        let tls = match server.encryption {
            SmtpEncryption::None => Tls::None,
            SmtpEncryption::Tls => Tls::Wrapper(tls_parameters(server, settings)?),
            SmtpEncryption::StartTls => Tls::Required(tls_parameters(server, settings)?),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(server.url());
        let builder = builder.map_err(MailSettingsError::Tls)?;
        let pool = PoolConfig::new().max_size(settings.smtp_connections).idle_timeout(IDLE);
        let hello = ClientId::Domain(settings.mail_from.email.domain().to_owned());
        let builder = builder
            .tls(tls)
            .hello_name(hello)
            .timeout(Some(settings.smtp_timeout))
            .pool_config(pool);
        let pool = Arc::new(Mutex::new(builder.clone().build()));
        Ok(Self { builder, pool, timeout: settings.smtp_timeout })
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), DeliveryFailure> {
        let is_ascii = message.envelope().to().iter().all(|to| to.to_string().is_ascii());
        let transport = self.transport();
        let sending = transport.send(message);
        let failure = match tokio::time::timeout(self.timeout * SEND_WAITS, sending).await {
            Ok(Ok(_)) => return Ok(()),
            // The text of the error may have the address, and is not logged.
            Ok(Err(error)) => failure(&error, is_ascii),
            Err(_) => {
                self.replace_connections();
                SmtpFailure::Unclear(DeliveryFailure::Later("timeout".to_owned()))
            }
        };
        Err(match failure {
            SmtpFailure::Clear(failure) => failure,
            SmtpFailure::Unclear(failure) => {
                let is_up = self.is_up().await;
                if is_up { failure } else { failure.into_outage() }
            }
        })
    }

    fn transport(&self) -> AsyncSmtpTransport<Tokio1Executor> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_connections(&self) {
        let new = self.builder.clone().build();
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Returns whether the server greets GX and takes its credentials. A failure of one mail is
    /// then the mail's own, and not an outage.
    async fn is_up(&self) -> bool {
        let transport = self.transport();
        let look = transport.test_connection();
        match tokio::time::timeout(self.timeout * LOOK_WAITS, look).await {
            Ok(answer) => answer.unwrap_or(false),
            Err(_) => {
                self.replace_connections();
                false
            }
        }
    }
}

/// A failed delivery, as far as the failure itself shows what it is about.
#[derive(Debug, PartialEq, Eq)]
enum SmtpFailure {
    /// What it means is known.
    Clear(DeliveryFailure),
    /// It means this if the server is up, and an outage otherwise.
    Unclear(DeliveryFailure),
}

fn tls_parameters(
    server: &SmtpServer,
    settings: &MailSettings,
) -> Result<TlsParameters, MailSettingsError> {
    let mut builder = TlsParameters::builder(server.host.clone());
    if let Some(path) = &settings.smtp_ca_file {
        let pem = std::fs::read_to_string(path).map_err(MailSettingsError::CaFile)?;
        let certificates = pem.split(BEGIN).skip(1).map(|rest| format!("{BEGIN}{rest}"));
        builder = builder.certificate_store(CertificateStore::None);
        let mut is_empty = true;
        for certificate in certificates {
            let certificate = Certificate::from_pem(certificate.as_bytes())
                .map_err(|_| MailSettingsError::NoCertificate)?;
            builder = builder.add_root_certificate(certificate);
            is_empty = false;
        }
        if is_empty {
            return Err(MailSettingsError::NoCertificate);
        }
    }
    builder.build_rustls().map_err(MailSettingsError::Tls)
}

/// Returns what a failure means for the mail. `is_ascii` says whether every server can take the
/// address.
fn failure(error: &Error, is_ascii: bool) -> SmtpFailure {
    if let Some(code) = error.status() {
        return of_code(u16::from(code));
    }
    let outage = |text: &str| SmtpFailure::Clear(DeliveryFailure::Unavailable(text.to_owned()));
    // A server can also be silent, or hang up, because of one mail.
    let unclear = |text: &str| SmtpFailure::Unclear(DeliveryFailure::Later(text.to_owned()));
    if error.is_timeout() {
        unclear("timeout")
    } else if error.is_tls() {
        outage("TLS")
    } else if error.is_response() {
        unclear("no SMTP")
    } else if error.is_client() && !is_ascii {
        SmtpFailure::Clear(DeliveryFailure::Refused(ADDRESS.to_owned()))
    } else if error.is_client() {
        outage("the server offers no STARTTLS, or no way to sign in that GX knows")
    } else {
        unclear("connection")
    }
}

/// Returns what an answer of the server means. Answers about the connection or the credentials do
/// not count against the mail; some codes may be either.
fn of_code(code: u16) -> SmtpFailure {
    let text = format!("SMTP {code}");
    match code {
        421 | 530 | 534 | 535 | 538 => SmtpFailure::Clear(DeliveryFailure::Unavailable(text)),
        450..=452 => SmtpFailure::Clear(DeliveryFailure::Later(text)),
        400..=500 | 502 | 503 | 521 => SmtpFailure::Unclear(DeliveryFailure::Later(text)),
        501 | 504 | 554 => SmtpFailure::Unclear(DeliveryFailure::Refused(text)),
        _ => SmtpFailure::Clear(DeliveryFailure::Refused(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that refuses GX is an outage; one that refuses a mailbox is not.
    #[test]
    fn answers_are_about_the_server_or_about_the_mail() {
        for code in [421, 530, 534, 535, 538] {
            let outage = DeliveryFailure::Unavailable(format!("SMTP {code}"));
            assert_eq!(of_code(code), SmtpFailure::Clear(outage));
        }
        for code in [450, 451, 452] {
            let later = DeliveryFailure::Later(format!("SMTP {code}"));
            assert_eq!(of_code(code), SmtpFailure::Clear(later));
        }
        for code in [454, 500, 502, 503, 521] {
            let later = DeliveryFailure::Later(format!("SMTP {code}"));
            assert_eq!(of_code(code), SmtpFailure::Unclear(later));
        }
        for code in [501, 504, 554] {
            let refused = DeliveryFailure::Refused(format!("SMTP {code}"));
            assert_eq!(of_code(code), SmtpFailure::Unclear(refused));
        }
        for code in [550, 551, 552, 553] {
            let refused = DeliveryFailure::Refused(format!("SMTP {code}"));
            assert_eq!(of_code(code), SmtpFailure::Clear(refused));
        }
    }
}
