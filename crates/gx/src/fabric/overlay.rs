//! Combines the connection profile with the `FABRIC_*` variables, which replace its values. Called
//! before a [`super::LedgerConnection`] is read.

use std::path::PathBuf;
use std::time::Duration;

use gx_fabric_client::{
    CredentialSource, DEFAULT_CHAINCODE, DEFAULT_CHANNEL, LedgerLimits, PeerSource, PemSource,
    Profile, SignerSources,
};
use gx_serve::settings::SettingsReport;

use super::FabricSettings;
use crate::CliError;

impl FabricSettings {
    /// Returns the connection profile with the values of the variables. Fails if the profile cannot
    /// be read or a required value is missing; the error names the setting.
    pub(crate) fn profile(&self) -> Result<Profile, CliError> {
        let mut profile = match &self.fabric_profile {
            Some(path) => Profile::read_for(path, self.fabric_channel_name.as_deref())?,
            None => self.without_profile()?,
        };
        self.overlay(&mut profile)?;
        Ok(profile)
    }

    /// Returns an empty profile. Fails if a variable is missing that is required without a profile.
    fn without_profile(&self) -> Result<Profile, SettingsReport> {
        let required = [
            ("FABRIC_PEER_ENDPOINT", !self.fabric_peer_endpoint.is_empty()),
            ("FABRIC_PEER_TLS_CA_CERT_PATH", self.fabric_peer_tls_ca_cert_path.is_some()),
            ("FABRIC_MSP_ID", self.fabric_msp_id.is_some()),
            ("FABRIC_CERT_PATH", self.fabric_cert_path.is_some()),
            ("FABRIC_KEY_PATH", self.fabric_key_path.is_some()),
        ];
        let missing = required.iter().filter(|(_, given)| !given).map(|(name, _)| {
            format!(
                "{name}: is required and not set; set it, or name a profile with GX_FABRIC_PROFILE"
            )
        });
        SettingsReport::of(missing.collect())?;
        Ok(Profile {
            msp_id: String::new(),
            peers: Vec::new(),
            channel: DEFAULT_CHANNEL.to_owned(),
            chaincode: DEFAULT_CHAINCODE.to_owned(),
            signers: SignerSources::default(),
            client_tls: None,
            limits: LedgerLimits::default(),
        })
    }

    /// Replaces the values that variables give.
    fn overlay(&self, profile: &mut Profile) -> Result<(), SettingsReport> {
        replace(&mut profile.msp_id, self.fabric_msp_id.as_ref());
        replace(&mut profile.channel, self.fabric_channel_name.as_ref());
        replace(&mut profile.chaincode, self.fabric_chaincode_name.as_ref());
        self.overlay_peers(profile)?;
        let signers = &mut profile.signers;
        let pairs = [
            (&mut signers.admin, &self.fabric_cert_path, &self.fabric_key_path, "FABRIC"),
            (
                &mut signers.super_admin,
                &self.fabric_super_admin_cert_path,
                &self.fabric_super_admin_key_path,
                "FABRIC_SUPER_ADMIN",
            ),
            (
                &mut signers.partner_api,
                &self.fabric_partner_api_cert_path,
                &self.fabric_partner_api_key_path,
                "FABRIC_PARTNER_API",
            ),
            (
                &mut profile.client_tls,
                &self.fabric_tls_client_cert_path,
                &self.fabric_tls_client_key_path,
                "FABRIC_TLS_CLIENT",
            ),
        ];
        for (place, certificate, key, prefix) in pairs {
            if let Some(credential) = credential(prefix, certificate, key) {
                *place = Some(credential);
            }
        }
        let limits = &mut profile.limits;
        for (limit, ms) in [
            (&mut limits.connect_timeout, self.fabric_connect_timeout_ms),
            (&mut limits.evaluate_timeout, self.fabric_evaluate_timeout_ms),
            (&mut limits.endorse_timeout, self.fabric_endorse_timeout_ms),
            (&mut limits.submit_timeout, self.fabric_submit_timeout_ms),
        ] {
            replace(limit, ms.map(Duration::from_millis).as_ref());
        }
        Ok(())
    }

    /// Replaces the peers of the signers' organisation with the endpoints, and sets the TLS root
    /// and server name of each of them.
    fn overlay_peers(&self, profile: &mut Profile) -> Result<(), SettingsReport> {
        let root = self
            .fabric_peer_tls_ca_cert_path
            .as_ref()
            .map(|path| PemSource::file("FABRIC_PEER_TLS_CA_CERT_PATH", path));
        if !self.fabric_peer_endpoint.is_empty() {
            let (own, others): (Vec<_>, Vec<_>) =
                profile.peers.drain(..).partition(|peer| peer.msp_id == profile.msp_id);
            let known = own.first().map(|peer| peer.tls_root.clone());
            let Some(tls_root) = root.clone().or(known) else {
                let line = "FABRIC_PEER_TLS_CA_CERT_PATH: is required for FABRIC_PEER_ENDPOINT, \
                            because the profile has no peer of this organisation";
                return SettingsReport::of(vec![line.to_owned()]);
            };
            let endpoints = self.fabric_peer_endpoint.iter().map(|endpoint| {
                // A peer that the profile has keeps its TLS root and server name.
                let same = own.iter().find(|peer| peer.endpoint == *endpoint);
                same.cloned().unwrap_or_else(|| PeerSource {
                    endpoint: endpoint.clone(),
                    msp_id: profile.msp_id.clone(),
                    tls_root: tls_root.clone(),
                    server_name: None,
                })
            });
            profile.peers = endpoints.chain(others).collect();
        }
        let own = profile.peers.iter_mut().filter(|peer| peer.msp_id == profile.msp_id);
        for peer in own {
            replace(&mut peer.tls_root, root.as_ref());
            if let Some(name) = &self.fabric_tls_server_name_override {
                peer.server_name = Some(name.clone());
            }
        }
        Ok(())
    }
}

fn replace<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        value.clone_into(place);
    }
}

/// Returns the signer of two variables, or `None` if one of them is not set.
fn credential(
    prefix: &str,
    certificate: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Option<CredentialSource> {
    Some(CredentialSource {
        certificate: PemSource::file(format!("{prefix}_CERT_PATH"), certificate.as_ref()?),
        private_key: PemSource::file(format!("{prefix}_KEY_PATH"), key.as_ref()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "
client: {organization: One}
organizations: {One: {mspid: OneMSP, peers: [a, b]}, Two: {mspid: TwoMSP, peers: [c]}}
peers:
  a: {url: 'grpcs://a:7051', tlsCACerts: {path: /a.pem}, grpcOptions: {hostnameOverride: a.one}}
  b: {url: 'grpcs://b:7051', tlsCACerts: {path: /b.pem}, grpcOptions: {hostnameOverride: b.one}}
  c: {url: 'grpcs://c:7051', tlsCACerts: {path: /c.pem}}
channels: {first: {peers: [a, c]}, second: {peers: [b, c]}}
x-gx: {channel: first}
";

    /// Returns the endpoint, the file of the TLS root and the server name of each peer.
    fn peers_of(settings: FabricSettings) -> Vec<(String, String, Option<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.yaml");
        std::fs::write(&path, PROFILE).unwrap();
        let settings = FabricSettings { fabric_profile: Some(path), ..settings };
        let profile = settings.profile().unwrap_or_else(|_| panic!("the profile is good"));
        let root = |source: &PemSource| source.name().split_once('/').unwrap().1.to_owned();
        let peers = profile.peers.iter();
        peers
            .map(|peer| (peer.endpoint.clone(), root(&peer.tls_root), peer.server_name.clone()))
            .collect()
    }

    fn peer(endpoint: &str, root: &str, name: Option<&str>) -> (String, String, Option<String>) {
        (endpoint.to_owned(), root.to_owned(), name.map(str::to_owned))
    }

    #[test]
    fn a_peer_that_the_profile_knows_keeps_its_root_and_name() {
        let in_channel = |channel: &str, endpoints: &[&str]| FabricSettings {
            fabric_channel_name: Some(channel.to_owned()),
            fabric_peer_endpoint: endpoints.iter().map(|name| (*name).to_owned()).collect(),
            ..FabricSettings::default()
        };
        let (b, c) = (peer("b:7051", "b.pem)", Some("b.one")), peer("c:7051", "c.pem)", None));
        assert_eq!(peers_of(in_channel("second", &[])), [b.clone(), c.clone()]);
        let new = peer("new:7051", "b.pem)", None);
        assert_eq!(peers_of(in_channel("second", &["new:7051", "b:7051"])), [new, b, c.clone()]);

        let overridden = FabricSettings {
            fabric_tls_server_name_override: Some("other".to_owned()),
            ..in_channel("first", &["a:7051"])
        };
        assert_eq!(peers_of(overridden), [peer("a:7051", "a.pem)", Some("other")), c]);
    }
}
