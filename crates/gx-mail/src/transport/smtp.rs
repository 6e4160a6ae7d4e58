//! Delivery to a mail server over SMTP, with TLS by rustls.

use std::time::Duration;

use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{ADDRESS, DeliveryFailure};
use crate::settings::{MailSettings, MailSettingsError, SmtpEncryption, SmtpServer};

/// Beginning of a certificate in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
/// Waits for the server that one delivery may consist of.
const WAITS: u32 = 3;
/// How long an unused connection is kept. Servers close theirs after some minutes.
const IDLE: Duration = Duration::from_secs(30);

/// Connections to a mail server. Clones share them.
#[derive(Clone)]
pub struct SmtpTransport {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    /// Limit of one delivery: a server that is silent after each answer must not hold it for ever.
    time_limit: Duration,
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
        let transport = builder
            .tls(tls)
            .hello_name(hello)
            .timeout(Some(settings.smtp_timeout))
            .pool_config(pool)
            .build();
        Ok(Self { transport, time_limit: settings.smtp_timeout * WAITS })
    }

    pub(super) async fn send(&self, message: Message) -> Result<(), DeliveryFailure> {
        let is_ascii = message.envelope().to().iter().all(|to| to.to_string().is_ascii());
        match tokio::time::timeout(self.time_limit, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            // The text of the error may have the address, and is not logged.
            Ok(Err(error)) => Err(failure(&error, is_ascii)),
            Err(_) => Err(DeliveryFailure::Unavailable("timeout".to_owned())),
        }
    }
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
fn failure(error: &Error, is_ascii: bool) -> DeliveryFailure {
    if let Some(code) = error.status() {
        return of_code(u16::from(code));
    }
    let text = if error.is_timeout() {
        "timeout"
    } else if error.is_tls() {
        "TLS"
    } else if error.is_response() {
        "no SMTP"
    } else if error.is_client() && !is_ascii {
        return DeliveryFailure::Refused(ADDRESS.to_owned());
    } else if error.is_client() {
        "the server offers no STARTTLS, or no way to sign in that GX knows"
    } else {
        "connection"
    };
    DeliveryFailure::Unavailable(text.to_owned())
}

/// Returns what an answer of the server means. Answers about the connection or the credentials do
/// not count against the mail.
fn of_code(code: u16) -> DeliveryFailure {
    let text = format!("SMTP {code}");
    match code {
        421 | 454 | 500..=504 | 521 | 530 | 534 | 535 | 538 => DeliveryFailure::Unavailable(text),
        400..=499 => DeliveryFailure::Later(text),
        _ => DeliveryFailure::Refused(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that refuses GX is an outage; one that refuses a mailbox is not.
    #[test]
    fn answers_are_about_the_server_or_about_the_mail() {
        for code in [421, 454, 500, 530, 535] {
            assert!(matches!(of_code(code), DeliveryFailure::Unavailable(_)), "{code}");
        }
        for code in [450, 451, 452] {
            assert!(matches!(of_code(code), DeliveryFailure::Later(_)), "{code}");
        }
        for code in [550, 551, 552, 553, 554] {
            assert_eq!(of_code(code), DeliveryFailure::Refused(format!("SMTP {code}")));
        }
    }
}
