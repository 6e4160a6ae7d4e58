//! Names of peers that this machine's hosts file resolves instead of a name server. Called by `gx`
//! at the start and at each later check, except in development.

use crate::config::PeerConfig;
use crate::finding::Finding;
use crate::peer::host_of;

/// Returns a finding that refuses the start for each peer whose name is in the hosts file. Such an
/// entry stays when the peer gets another address, and nobody notices until then.
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
                "{host} is pinned to {address} in this machine's hosts file; remove the entry and \
                 let a name server resolve it"
            );
            findings.push(Finding::refused("pinned_name", reason).at_peer(&peer.endpoint));
        }
    }
    findings
}
