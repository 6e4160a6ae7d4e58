//! Settings of mail: the server, the sender's address, and where links lead. Read by svc-identity.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gx_serve::settings::{SettingsReport, duration};
use lettre::message::Mailbox;
use url::{Host, Url};

/// Where links in mails lead.
#[derive(Clone, Debug, clap::Args)]
pub struct MailLinks {
    /// Address of the pages to which links in mails to people lead, such as
    /// https://app.example/account: `verify-email?token=` and `reset-password?token=` follow it
    /// [default: pages of svc-identity]
    #[arg(long, env = "GX_LINK_BASE", value_parser = web_address)]
    pub link_base: Option<String>,
    /// The same for mails to administrators [default: pages of svc-admin]
    #[arg(long, env = "GX_ADMIN_LINK_BASE", value_parser = web_address)]
    pub admin_link_base: Option<String>,
    /// Address under which people reach svc-identity, for links to its pages; in production it
    /// begins with https:// and is not one of this machine
    #[arg(long, env = "GX_PUBLIC_URL", default_value = "http://localhost:3001",
          value_parser = web_address)]
    pub public_url: String,
    /// The same for administrators and svc-admin
    #[arg(long, env = "GX_ADMIN_PUBLIC_URL", default_value = "http://localhost:3006",
          value_parser = web_address)]
    pub admin_public_url: String,
}

impl Default for MailLinks {
    fn default() -> Self {
        Self {
            link_base: None,
            admin_link_base: None,
            public_url: "http://localhost:3001".to_owned(),
            admin_public_url: "http://localhost:3006".to_owned(),
        }
    }
}

impl MailLinks {
    /// Returns the address that the name of a page follows.
    pub(crate) fn base(&self, is_admin: bool) -> String {
        let (base, own) = match is_admin {
            false => (&self.link_base, &self.public_url),
            true => (&self.admin_link_base, &self.admin_public_url),
        };
        base.clone().unwrap_or_else(|| format!("{own}/links"))
    }

    /// Checks in production where links lead: over TLS, because the secret of a link sets a
    /// password, and not to the machine of their reader, as the defaults do.
    ///
    /// # Errors
    /// [`SettingsReport`] names each setting that must be changed.
    pub fn check_for_production(&self) -> Result<(), SettingsReport> {
        let people = match &self.link_base {
            Some(base) => unfit_for_production("GX_LINK_BASE", base),
            None => unfit_for_production("GX_PUBLIC_URL", &self.public_url),
        };
        let administrators = match &self.admin_link_base {
            Some(base) => unfit_for_production("GX_ADMIN_LINK_BASE", base),
            None => unfit_for_production("GX_ADMIN_PUBLIC_URL", &self.admin_public_url),
        };
        SettingsReport::of(people.into_iter().chain(administrators).collect())
    }
}

/// Returns the finding about an address to which links must not lead in production, or `None` if
/// they may.
fn unfit_for_production(setting: &str, address: &str) -> Option<String> {
    let url = Url::parse(address).ok();
    let is_of_reader = url.as_ref().and_then(Url::host).is_none_or(|host| is_own_machine(&host));
    let is_encrypted = url.is_some_and(|url| url.scheme() == "https");
    let reason = match (is_of_reader, is_encrypted) {
        (false, true) => return None,
        (true, _) => "which is the reader's own machine",
        (false, false) => "which shows their secrets to the network",
    };
    Some(format!(
        "{setting}: in production links in mails would lead to `{address}`, {reason}; set an \
         address that begins with https:// and that the readers of mails reach"
    ))
}

/// Returns whether a host is the machine of the program that asks for it, in any spelling.
fn is_own_machine(host: &Host<&str>) -> bool {
    let address = match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            return name == "localhost" || name.ends_with(".localhost");
        }
        Host::Ipv4(address) => IpAddr::from(*address),
        Host::Ipv6(address) => IpAddr::from(*address).to_canonical(),
    };
    address.is_loopback() || address.is_unspecified()
}

/// Returns an address of the web without a slash at its end.
fn web_address(text: &str) -> Result<String, String> {
    let url = Url::parse(text.trim()).map_err(|why| format!("{why}; write https://host/path"))?;
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    let is_plain = url.query().is_none() && url.fragment().is_none() && !has_credentials;
    if !["http", "https"].contains(&url.scheme()) || url.host().is_none() || !is_plain {
        return Err("must be an address such as https://host/path, without ? and #".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The mail server, and how it is used.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Mail")]
pub struct MailSettings {
    /// Mail server, as smtps://user:password@host:465 (TLS) or
    /// smtp://user:password@host:587?tls=required (STARTTLS); without it mails wait
    #[arg(long, env = "GX_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SmtpServer>,
    /// PEM file with the certificates that may vouch for the mail server [default: those of the
    /// public web]
    #[arg(long, env = "GX_SMTP_CA_FILE")]
    pub smtp_ca_file: Option<PathBuf>,
    /// Sender of all mails, such as `GX <no-reply@gx.example>`
    #[arg(long, env = "GX_MAIL_FROM", default_value = "GX <no-reply@gx.localhost>")]
    pub mail_from: Mailbox,
    /// Longest wait for an answer of the mail server
    #[arg(long, env = "GX_SMTP_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub smtp_timeout: Duration,
    /// Connections of one process to the mail server, and mails that it sends at once, 1 to 64
    #[arg(long, env = "GX_SMTP_CONNECTIONS", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub smtp_connections: u32,
    /// Where links lead.
    #[command(flatten)]
    pub links: MailLinks,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            smtp_url: None,
            smtp_ca_file: None,
            mail_from: "GX <no-reply@gx.localhost>".parse().expect("the default is an address"),
            smtp_timeout: Duration::from_secs(20),
            smtp_connections: 4,
            links: MailLinks::default(),
        }
    }
}

/// Why the settings of mail cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MailSettingsError {
    /// The file with certificates cannot be read.
    #[error("GX_SMTP_CA_FILE cannot be read; correct the path, or the permissions of the file")]
    CaFile(#[source] std::io::Error),
    /// The file has no certificate.
    #[error("GX_SMTP_CA_FILE has no certificate; write certificates in PEM into it")]
    NoCertificate,
    /// The name of the server cannot be compared with a certificate.
    #[error("the host in GX_SMTP_URL cannot be used with TLS; correct its name")]
    Tls(#[source] lettre::transport::smtp::Error),
    /// The wait for an answer is longer than the lease of a mail allows.
    #[error("GX_SMTP_TIMEOUT is too long; set at most {0}s")]
    Timeout(u64),
    /// The connection to another machine would not be encrypted.
    #[error(
        "GX_SMTP_URL does not encrypt the connection to another machine; write smtps:// or add \
         ?tls=required"
    )]
    NotEncrypted,
}

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SmtpEncryption {
    /// TLS from the start.
    Tls,
    /// STARTTLS, without which nothing is sent.
    StartTls,
    /// None, for a server on the same machine.
    None,
}

/// The address of a mail server, with its credentials. It is never printed.
#[derive(Clone)]
pub struct SmtpServer {
    url: String,
    pub(crate) host: String,
    pub(crate) encryption: SmtpEncryption,
    is_loopback: bool,
}

impl SmtpServer {
    /// Returns the URL, which may have a password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Checks that the connection is encrypted or does not leave the machine.
    pub(crate) fn check(&self) -> Result<(), MailSettingsError> {
        match self.encryption {
            SmtpEncryption::None if !self.is_loopback => Err(MailSettingsError::NotEncrypted),
            _ => Ok(()),
        }
    }
}

impl FromStr for SmtpServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The error's own text may contain the URL.
        let refused = || {
            "cannot be read; write smtps://user:password@host:465 or \
             smtp://user:password@host:587?tls=required"
                .to_owned()
        };
        let url = Url::parse(text).map_err(|_| refused())?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value);
        let encryption = match (url.scheme(), tls.as_deref()) {
            ("smtps", None) => SmtpEncryption::Tls,
            ("smtp", Some("required")) => SmtpEncryption::StartTls,
            ("smtp", None) => SmtpEncryption::None,
            _ => return Err(refused()),
        };
        let host = url.host().ok_or_else(refused)?.to_owned();
        let is_loopback = match &host {
            Host::Domain(name) => is_loopback(name),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let host = host.to_string().trim_matches(['[', ']']).to_owned();
        Ok(Self { url: text.to_owned(), host, encryption, is_loopback })
    }
}

/// Returns whether a host is this machine. The scheme `smtp` is none of those whose addresses the
/// parser knows, so that an address may come as a name.
fn is_loopback(name: &str) -> bool {
    let address: Result<IpAddr, _> = name.trim_matches(['[', ']']).parse();
    address.map_or(name == "localhost", |address| address.is_loopback())
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmtpServer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_encrypted_or_on_this_machine() {
        let server = |text: &str| text.parse::<SmtpServer>();
        for good in [
            "smtps://mail.example",
            "smtps://user:p%40ss@mail.example:465",
            "smtp://mail.example:587?tls=required",
            "smtp://localhost:2525",
            "smtp://127.0.0.1:2525",
            "smtp://[::1]:2525",
        ] {
            server(good).unwrap().check().unwrap();
        }
        assert!(server("smtp://mail.example").unwrap().check().is_err());
        for bad in ["mail.example", "http://mail.example", "smtp://h?tls=opportunistic", "smtps:"] {
            assert!(server(bad).is_err(), "{bad}");
        }
        let secret = server("smtps://user:secret@mail.example").unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
    }

    #[test]
    fn an_address_of_links_has_no_query() {
        assert_eq!(web_address("https://a.example/b/").as_deref(), Ok("https://a.example/b"));
        assert_eq!(web_address("http://localhost:3001").as_deref(), Ok("http://localhost:3001"));
        for bad in [
            "a.example",
            "ftp://a.example",
            "https://a.example/?b",
            "https://a.example/#b",
            "https://user@a.example",
            "https://:password@a.example",
        ] {
            assert!(web_address(bad).is_err(), "{bad}");
        }
    }

    /// CFG-04: production refuses the defaults of links, and every other address that is not
    /// encrypted or leads to the machine of the reader, by the name of the setting that is used.
    #[test]
    fn cfg_04_links_in_production_are_encrypted_and_lead_to_another_machine() {
        let findings = |links: &MailLinks| match links.check_for_production() {
            Ok(()) => Vec::new(),
            Err(report) => report.lines().to_vec(),
        };
        let refused = findings(&MailLinks::default());
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused[0].starts_with("GX_PUBLIC_URL: "), "{refused:?}");
        assert!(refused[0].contains("`http://localhost:3001`"), "{refused:?}");
        assert!(refused[1].starts_with("GX_ADMIN_PUBLIC_URL: "), "{refused:?}");

        let https = |name: &str| format!("https://{name}");
        let production = MailLinks {
            public_url: https("id.gx.example"),
            admin_public_url: https("admin.gx.example:8443/gx"),
            ..MailLinks::default()
        };
        assert_eq!(findings(&production), Vec::<String>::new());
        let pages = MailLinks {
            link_base: Some(https("app.gx.example")),
            admin_link_base: Some(https("192.0.2.7")),
            ..MailLinks::default()
        };
        assert_eq!(findings(&pages), Vec::<String>::new(), "the defaults are not used");
        for given in [
            "http://id.gx.example",
            "https://localhost",
            "https://LOCALHOST.:8443",
            "https://gx.localhost/account",
            "https://127.0.0.1",
            "https://127.1",
            "https://0.0.0.0:3001",
            "https://[::1]:3001",
            "https://[::ffff:127.0.0.1]",
            "https://[::]",
        ] {
            let address = web_address(given).unwrap();
            let links = MailLinks { public_url: address.clone(), ..production.clone() };
            let refused = findings(&links);
            assert!(refused.len() == 1 && refused[0].starts_with("GX_PUBLIC_URL: "), "{given}");
            let links = MailLinks { admin_link_base: Some(address), ..production.clone() };
            let refused = findings(&links);
            let is_named = refused.len() == 1 && refused[0].starts_with("GX_ADMIN_LINK_BASE: ");
            assert!(is_named, "{given}");
        }
    }
}
