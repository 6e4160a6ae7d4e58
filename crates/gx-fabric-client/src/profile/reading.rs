//! Converts a profile document to a profile, for `Profile::parse`. All mistakes are reported at
//! once, in one `ProfileError::Wrong`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::document::{
    Credential, Document, GxSection, Lines, Names, Organization, PeerEntry, PemEntry, Timeouts,
};
use super::{
    CredentialSource, DEFAULT_CHAINCODE, DEFAULT_CHANNEL, LARGEST_TIMEOUT_MS, PeerSource,
    PemSource, Profile, ProfileError, SignerSources,
};
use crate::config::LedgerLimits;

/// Returns the profile. `channel_that_wins` replaces the channel of the document.
pub(super) fn profile_of(
    document: Document,
    folder: &Path,
    channel_that_wins: Option<&str>,
) -> Result<Profile, ProfileError> {
    let mut reader = Reader { folder, wrong: Vec::new() };
    let Document { client, organizations, peers, channels, gx } = document;
    let GxSection { channel, chaincode, signers, tls_client, timeouts } = gx;

    let channel = channel_that_wins
        .map(str::to_owned)
        .or(channel)
        .or_else(|| only_name(&channels))
        .unwrap_or(DEFAULT_CHANNEL.to_owned());
    let own = reader.own_organization(client.organization, &organizations);
    let serving = channels.get(&channel).and_then(|entry| entry.peers.as_ref()).map(names);
    for name in serving.iter().flatten().filter(|name| !peers.contains_key(*name)) {
        let unknown = format!("channels.{channel}.peers: {name} is not among the peers");
        reader.wrong.push(unknown);
    }
    let sources = reader.peers(own.as_deref(), &organizations, &peers, serving.as_ref());
    let mut signers = SignerSources {
        admin: reader.credential("x-gx.signers.admin", signers.admin),
        super_admin: reader.credential("x-gx.signers.superAdmin", signers.super_admin),
        partner_api: reader.credential("x-gx.signers.partnerApi", signers.partner_api),
    };
    let client_tls = reader.credential("x-gx.tlsClient", tls_client);
    let limits = reader.limits(&timeouts);
    let own = own.and_then(|name| organizations.get(&name).map(|entry| (name, entry)));
    let msp_id = own.as_ref().map(|(_, entry)| entry.mspid.clone()).unwrap_or_default();
    if let (None, Some((name, entry))) = (&signers.admin, own) {
        signers.admin = reader.organization_admin(&name, entry);
    }
    if !reader.wrong.is_empty() {
        return Err(ProfileError::Wrong(reader.wrong));
    }
    let chaincode = chaincode.unwrap_or(DEFAULT_CHAINCODE.to_owned());
    Ok(Profile { msp_id, peers: sources, channel, chaincode, signers, client_tls, limits })
}

/// Collects the mistakes. `None` from one of its methods is an entry that is wrong or absent.
struct Reader<'a> {
    folder: &'a Path,
    /// The mistakes that were found so far; a profile with mistakes is not returned.
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn own_organization(
        &mut self,
        named: Option<String>,
        organizations: &BTreeMap<String, Organization>,
    ) -> Option<String> {
        let Some(name) = named.or_else(|| only_name(organizations)) else {
            self.wrong.push("client.organization: name the organisation that signs".to_owned());
            return None;
        };
        if !organizations.contains_key(&name) {
            let unknown = format!("client.organization: {name} is not among the organizations");
            self.wrong.push(unknown);
            return None;
        }
        Some(name)
    }

    /// Returns our organisation's peers in the order in which it lists them, then the others'.
    fn peers(
        &mut self,
        own: Option<&str>,
        organizations: &BTreeMap<String, Organization>,
        peers: &BTreeMap<String, PeerEntry>,
        serving: Option<&BTreeSet<String>>,
    ) -> Vec<PeerSource> {
        let own = own.and_then(|name| organizations.get_key_value(name));
        let others = organizations.iter().filter(|(name, _)| own.is_none_or(|own| *name != own.0));
        let mut sources = Vec::new();
        let mut placed = BTreeSet::new();
        for (name, organization) in own.into_iter().chain(others) {
            if organization.mspid.is_empty() {
                self.wrong.push(format!("organizations.{name}.mspid: is missing"));
            }
            for peer in &organization.peers {
                let Some(entry) = peers.get(peer) else {
                    let unknown =
                        format!("organizations.{name}.peers: {peer} is not among the peers");
                    self.wrong.push(unknown);
                    continue;
                };
                placed.insert(peer);
                if serving.is_none_or(|serving| serving.contains(peer)) {
                    sources.extend(self.peer(peer, entry, &organization.mspid));
                }
            }
        }
        for peer in peers.keys().filter(|peer| !placed.contains(peer)) {
            self.wrong.push(format!("peers.{peer}: no organisation names it among its peers"));
        }
        sources
    }

    fn peer(&mut self, name: &str, entry: &PeerEntry, msp_id: &str) -> Option<PeerSource> {
        let place = format!("peers.{name}");
        let Some(endpoint) = entry.url.strip_prefix("grpcs://") else {
            self.wrong.push(format!("{place}.url: must begin with grpcs://"));
            return None;
        };
        let setting = format!("{place}.tlsCACerts");
        let Some(root) = &entry.tls_ca_certs else {
            self.wrong.push(format!("{setting}: is missing"));
            return None;
        };
        let options = &entry.grpc_options;
        let server_name = options.ssl_target_name_override.as_ref();
        Some(PeerSource {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            msp_id: msp_id.to_owned(),
            tls_root: self.pem(setting, root)?,
            server_name: server_name.or(options.hostname_override.as_ref()).cloned(),
        })
    }

    /// Returns the organisation's administrator, which the common format has for each organisation.
    fn organization_admin(&mut self, name: &str, entry: &Organization) -> Option<CredentialSource> {
        let place = format!("organizations.{name}");
        let certificate = entry.signed_cert.as_ref()?;
        let private_key = entry.admin_private_key.as_ref()?;
        Some(CredentialSource {
            certificate: self.pem(format!("{place}.signedCert"), certificate)?,
            private_key: self.pem(format!("{place}.adminPrivateKey"), private_key)?,
        })
    }

    fn credential(&mut self, place: &str, entry: Option<Credential>) -> Option<CredentialSource> {
        let entry = entry?;
        let certificate = self.own_pem(format!("{place}.certificate"), &entry.certificate);
        let private_key = self.own_pem(format!("{place}.privateKey"), &entry.private_key);
        Some(CredentialSource { certificate: certificate?, private_key: private_key? })
    }

    /// Refuses unknown names in our own section. They are not quoted, because they may be keys.
    fn own_pem(&mut self, setting: String, entry: &PemEntry) -> Option<PemSource> {
        match entry {
            PemEntry::Given { others, .. } if !others.is_empty() => {
                self.wrong
                    .push(format!("{setting}: give either `path` or `pem`, and nothing else"));
                None
            }
            _ => self.pem(setting, entry),
        }
    }

    fn pem(&mut self, setting: String, entry: &PemEntry) -> Option<PemSource> {
        match entry {
            PemEntry::Given { path: Some(path), pem: None, .. } => {
                let path = self.folder.join(path);
                Some(PemSource::file(setting, path))
            }
            PemEntry::Given { path: None, pem: Some(Lines::Text(text)), .. } => {
                Some(PemSource::text(setting, text))
            }
            PemEntry::Given { path: None, pem: Some(Lines::List(texts)), .. } => {
                Some(PemSource::text(setting, texts.join("\n")))
            }
            PemEntry::Given { .. } | PemEntry::SomethingElse(_) => {
                self.wrong.push(format!("{setting}: give either `path` or `pem`"));
                None
            }
        }
    }

    fn limits(&mut self, timeouts: &Timeouts) -> LedgerLimits {
        let mut limits = LedgerLimits::default();
        let given = [
            ("connectMs", timeouts.connect_ms, &mut limits.connect_timeout),
            ("evaluateMs", timeouts.evaluate_ms, &mut limits.evaluate_timeout),
            ("endorseMs", timeouts.endorse_ms, &mut limits.endorse_timeout),
            ("submitMs", timeouts.submit_ms, &mut limits.submit_timeout),
            ("commitStatusMs", timeouts.commit_status_ms, &mut limits.commit_status_timeout),
            ("blockMs", timeouts.block_ms, &mut limits.block_timeout),
            ("heightMs", timeouts.height_ms, &mut limits.height_timeout),
        ];
        for (name, ms, limit) in given {
            match ms {
                None => {}
                Some(ms @ 1..=LARGEST_TIMEOUT_MS) => *limit = Duration::from_millis(ms),
                Some(_) => self
                    .wrong
                    .push(format!("x-gx.timeouts.{name}: must be from 1 to {LARGEST_TIMEOUT_MS}")),
            }
        }
        limits
    }
}

/// Returns the name if there is exactly one, and `None` otherwise.
fn only_name<T>(named: &BTreeMap<String, T>) -> Option<String> {
    let mut names = named.keys();
    names.next().filter(|_| names.next().is_none()).cloned()
}

fn names(peers: &Names) -> BTreeSet<String> {
    match peers {
        Names::WithOptions(peers) => peers.keys().cloned().collect(),
        Names::Alone(peers) => peers.iter().cloned().collect(),
    }
}
