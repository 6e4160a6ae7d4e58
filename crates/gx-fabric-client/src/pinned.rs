//! Peers' names that this machine's table of hosts answers, instead of a name server.

use crate::config::PeerConfig;
use crate::finding::Finding;
use crate::peer::host_of;

/// A finding for each peer whose name stands in a table of hosts. What is pinned there
/// outlives the peer's move, and nobody notices until it moves.
pub fn pinned_names(hosts: &str, peers: &[PeerConfig]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for peer in peers {
        let Ok(host) = host_of(&peer.endpoint) else { continue };
        let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
        let pinned = lines.map(str::split_whitespace).find_map(|mut words| {
            let address = words.next()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then(|| address.to_owned())
        });
        if let Some(address) = pinned {
            let reason = format!(
                "{host} is pinned to {address} in this machine's table of hosts: have a name \
                 server answer for it"
            );
            findings.push(Finding::refused("pinned_name", reason).at_peer(&peer.endpoint));
        }
    }
    findings
}
