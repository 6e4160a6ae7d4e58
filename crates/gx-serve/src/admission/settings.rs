//! Limits for clients, and the proxies that are exempt from them. A role reads them at its start
//! and passes them to its listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use crate::settings::duration;

/// Smallest useful number of connections of a listener.
pub(crate) const MIN_CONNECTIONS: u32 = 16;
/// Largest number of connections that a setting can ask for.
const MAX_CONNECTIONS: u32 = 1_000_000;

/// Limits of all clients together on the public listeners of a process.
#[derive(Clone, Debug, clap::Args)]
pub struct AdmissionSettings {
    /// Proxies in front of GX, as addresses or networks with commas between them; their
    /// `X-Forwarded-For` is believed and no limit per client address applies to them
    #[arg(long, env = "GX_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
    /// Limit of open connections, 16 to 1000000
    #[arg(long, env = "GX_CONNECTIONS", default_value_t = 4_096,
          value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub connections: u32,
    /// Limit of connections, and of open requests, per client address, 1 to 1000000
    #[arg(long, env = "GX_CLIENT_CONNECTIONS", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_connections: u32,
    /// Limit of request bodies in memory, in KiB, 64 to 16777216
    #[arg(long, env = "GX_BODIES_KIB", default_value_t = 32 * 1_024,
          value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    pub bodies_kib: u32,
    /// Limit of request bodies in memory per client address, in KiB, 64 to 16777216
    #[arg(long, env = "GX_CLIENT_BODIES_KIB", default_value_t = 4 * 1_024,
          value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
    pub client_bodies_kib: u32,
    /// Limit of files that arrive at once, 1 to 100000
    #[arg(long, env = "GX_UPLOADS", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub uploads: u32,
    /// Limit of files that arrive at once per client address, 1 to 100000
    #[arg(long, env = "GX_CLIENT_UPLOADS", default_value_t = 128,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub client_uploads: u32,
    /// How long an HTTP/1.1 connection is kept without a request; set more than the proxies in
    /// front of GX
    #[arg(long, env = "GX_HTTP1_IDLE", default_value = "75s", value_parser = duration)]
    pub http1_idle: Duration,
    /// How long an HTTP/2 connection is kept without an open stream; pings do not count as use
    #[arg(long, env = "GX_HTTP2_IDLE", default_value = "75s", value_parser = duration)]
    pub http2_idle: Duration,
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            connections: 4_096,
            client_connections: 256,
            bodies_kib: 32 * 1_024,
            client_bodies_kib: 4 * 1_024,
            uploads: 256,
            client_uploads: 128,
            http1_idle: Duration::from_secs(75),
            http2_idle: Duration::from_secs(75),
        }
    }
}

impl AdmissionSettings {
    /// Returns the limits of the internal listener, for probes and scrapers of a few machines.
    pub fn internal() -> Self {
        Self {
            connections: 256,
            client_connections: 64,
            bodies_kib: 1_024,
            client_bodies_kib: 256,
            ..Self::default()
        }
    }

    /// Lowers the limit of connections to the `open_files` that remain after `reserve`.
    #[must_use]
    pub fn within(mut self, open_files: u64, reserve: u64) -> Self {
        let left = open_files.saturating_sub(reserve).min(MAX_CONNECTIONS.into());
        let left = u32::try_from(left).unwrap_or(MAX_CONNECTIONS).max(MIN_CONNECTIONS);
        self.connections = self.connections.min(left);
        self
    }

    /// Returns whether the address is a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// An IP address, or a network with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix_bits: u8,
}

impl Network {
    pub(super) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && first_of(address, self.prefix_bits) == self.first
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused =
            || "write an address such as 10.0.0.7, or a network such as 10.0.0.0/8".to_owned();
        let (address, bits) = match text.trim().split_once('/') {
            None => (text.trim(), None),
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| refused())?)),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let address = address.to_canonical();
        let most: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.unwrap_or(most);
        let first = first_of(address, prefix_bits.min(most));
        if prefix_bits > most {
            return Err(format!("the prefix of {text} has at most {most} bits"));
        }
        if first != address {
            return Err(format!("{text} has bits after its prefix; did you mean {first}?"));
        }
        Ok(Self { first, prefix_bits })
    }
}

/// Returns the first address with the same prefix.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// The addresses that count as one client: an IPv4 address, or the /64 network that an IPv6
/// subscriber gets at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(IpAddr);

impl std::fmt::Display for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl ClientKey {
    pub(crate) fn of(address: IpAddr) -> Self {
        /// Bits of an IPv6 address that name a subscriber's network.
        const SUBSCRIBER_BITS: u8 = 64;
        match address.to_canonical() {
            address @ IpAddr::V4(_) => Self(address),
            address @ IpAddr::V6(_) => Self(first_of(address, SUBSCRIBER_BITS)),
        }
    }

    /// Returns the first address of the network that one owner usually has: an IPv4 /24 or an IPv6
    /// /48.
    pub(crate) fn network(self) -> IpAddr {
        first_of(self.0, if self.0.is_ipv4() { 24 } else { 48 })
    }
}
