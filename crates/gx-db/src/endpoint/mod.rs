//! Parts of connection URLs that the driver does not read: several hosts, several URLs, and
//! `?schema=`. The settings call it whenever the instances are needed. No message contains a URL,
//! because it may contain a password.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

use crate::session::Session;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// An instance that may be the writer.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// `host:port/database`, for messages.
    pub(crate) label: String,
    pub(crate) options: PgConnectOptions,
    pub(crate) session: Session,
}

impl Endpoint {
    pub(crate) fn new(options: PgConnectOptions, session: &Session) -> Self {
        let host = options
            .get_socket()
            .map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
        let database = options.get_database().unwrap_or(options.get_username());
        let label = format!("{host}:{}/{database}", options.get_port());
        // PgBouncer rejects connections with this option, and numbers are sent in binary anyway.
        let options = options.extra_float_digits(None).application_name(&session.name_for(""));
        Self { label, options, session: session.clone() }
    }

    /// Opens a connection whose name contains the purpose. The session is not set up.
    pub(crate) async fn open(&self, purpose: &str) -> sqlx::Result<PgConnection> {
        let name = self.session.name_for(purpose);
        self.options.clone().application_name(&name).connect().await
    }
}

/// The options contain the password, so they are left out.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Endpoint").field(&self.label).finish()
    }
}

/// Returns the instances that DATABASE_URL names. The error says what is wrong with the URL.
pub(crate) fn from_url(text: &str) -> Result<Vec<PgConnectOptions>, String> {
    let mut instances = Vec::new();
    for url in split_urls(text.trim()) {
        instances.extend(from_one_url(url).map_err(|problem| format!("DATABASE_URL: {problem}"))?);
    }
    Ok(instances)
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(crate) fn host_and_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let end =
        if text.starts_with('[') { text.find(']').map_or(text.len(), |at| at + 1) } else { 0 };
    let Some(colon) = text[end..].find(':').map(|at| at + end) else { return Ok((text, None)) };
    let port = text[colon + 1..]
        .parse()
        .map_err(|_| format!("the port after `{}` is not a number up to 65535", &text[..colon]))?;
    Ok((&text[..colon], Some(port)))
}

/// Percent-encodes everything except letters, digits and underscores, for any part of a URL.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Splits at commas before a scheme. Other commas separate hosts or are data.
fn split_urls(text: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    let mut rest = text;
    while let Some(at) = rest
        .char_indices()
        .filter(|(_, c)| *c == ',')
        .map(|(at, _)| at)
        .find(|at| SCHEMES.iter().any(|scheme| rest[at + 1..].trim_start().starts_with(scheme)))
    {
        urls.push(rest[..at].trim());
        rest = rest[at + 1..].trim_start();
    }
    urls.push(rest);
    urls
}

/// Reads a URL with one or several hosts, like libpq.
fn from_one_url(url: &str) -> Result<Vec<PgConnectOptions>, String> {
    let scheme = SCHEMES
        .iter()
        .find(|scheme| url.starts_with(**scheme))
        .ok_or("it must start with postgres:// or postgresql://")?;
    let rest = &url[scheme.len()..];
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    if tail.contains('#') || (tail.contains('@') && !authority.contains('@')) {
        return Err("the password contains characters that a URL does not allow: percent-encode them, or set DATABASE_PASSWORD".to_owned());
    }
    let (user, hosts) =
        authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let at = if user.is_empty() { "" } else { "@" };
    let (tail, schema) = take_schema(tail);
    let mut instances = Vec::new();
    for host in hosts.split(',') {
        host_and_port(host)?;
        let mut options = PgConnectOptions::from_str(&format!("{scheme}{user}{at}{host}{tail}"))
            .map_err(|error| match error {
                sqlx::Error::Configuration(reason) => reason.to_string(),
                _ => "the URL cannot be read".to_owned(),
            })?;
        if let Some(schema) = &schema {
            options = options.options([("search_path", schema.as_str())]);
        }
        instances.push(options);
    }
    Ok(instances)
}

/// Removes `schema=…`, which existing deployments use and the driver does not support.
fn take_schema(tail: &str) -> (String, Option<String>) {
    let Some((path, query)) = tail.split_once('?') else { return (tail.to_owned(), None) };
    let mut schema = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("schema", value)) if !value.is_empty() => schema = Some(value.to_owned()),
            _ => kept.push(pair),
        }
    }
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    (format!("{path}{query}"), schema)
}

#[cfg(test)]
mod tests;
