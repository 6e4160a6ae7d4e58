use std::path::Path;

use gx_ledger_api::SignerRole;

use super::{Profile, ProfileError};
use crate::config::LedgerLimits;

fn parse(text: &str) -> Result<Profile, ProfileError> {
    Profile::parse(text, Path::new("conf"), None)
}

#[test]
fn the_example_has_every_setting_that_is_read() {
    let profile = parse(Profile::EXAMPLE).unwrap();
    assert_eq!(profile.msp_id, "Org1MSP");
    assert_eq!((profile.channel.as_str(), profile.chaincode.as_str()), ("gxchannel", "gxtv3"));
    let peers: Vec<_> = profile
        .peers
        .iter()
        .map(|peer| (peer.msp_id.as_str(), peer.endpoint.as_str(), peer.server_name.as_deref()))
        .collect();
    assert_eq!(
        peers,
        [
            ("Org1MSP", "peer0.org1.example.com:7051", Some("peer0.org1.example.com")),
            ("Org2MSP", "peer0.org2.example.com:7051", None),
        ]
    );
    let roots = profile.peers.iter().map(|peer| peer.tls_root.name());
    assert_eq!(
        roots.collect::<Vec<_>>(),
        [
            "peers.peer0.org1.example.com.tlsCACerts (conf/tls/org1.pem)",
            "peers.peer0.org2.example.com.tlsCACerts (conf/tls/org2.pem)",
        ]
    );
    for (role, file) in [
        (SignerRole::Admin, "conf/users/admin/key.pem"),
        (SignerRole::SuperAdmin, "conf/users/super-admin/key.pem"),
        (SignerRole::PartnerApi, "conf/users/partner-api/key.pem"),
    ] {
        let key = profile.signer(role).unwrap().private_key.name();
        assert!(key.contains(file), "{key}");
    }
    assert!(profile.client_tls.is_some());
    let (said, usual) = (format!("{:?}", profile.limits), LedgerLimits::default());
    assert_eq!(said, format!("{usual:?}"), "it shows the defaults");
}

/// A profile as Fabric's samples write it: JSON, certificates as text, an administrator for each
/// organisation, and much that GX does not use.
#[test]
fn a_profile_of_other_software_is_read() {
    let profile = parse(
        r#"{
          "name": "test-network-org1", "version": "1.0.0",
          "client": { "organization": "Org1", "connection": { "timeout": { "peer": {} } } },
          "organizations": { "Org1": {
            "mspid": "Org1MSP", "peers": ["p1"], "certificateAuthorities": ["ca1"],
            "signedCert": { "pem": "the certificate" }, "adminPrivateKey": { "path": "/k.pem" }
          } },
          "peers": { "p1": {
            "url": "grpcs://localhost:7051", "tlsCACerts": { "pem": ["one", "two"] },
            "grpcOptions": { "hostnameOverride": "p1", "keepAlive": 600 }
          } },
          "channels": { "trade": { "peers": ["p1"] } },
          "certificateAuthorities": { "ca1": { "url": "https://localhost:7054" } }
        }"#,
    )
    .unwrap();
    assert_eq!(profile.channel, "trade", "the only one");
    assert_eq!(profile.peers[0].server_name.as_deref(), Some("p1"));
    assert_eq!(profile.peers[0].tls_root.read().unwrap(), "one\ntwo");
    let admin = profile.signer(SignerRole::SuperAdmin).unwrap();
    assert_eq!(admin.certificate.read().unwrap(), "the certificate");
    assert_eq!(admin.private_key.name(), "organizations.Org1.adminPrivateKey (/k.pem)");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let Err(ProfileError::Wrong(wrong)) = parse(
        "
organizations:
  One: {mspid: OneMSP, peers: [a, lost]}
  Two: {mspid: TwoMSP}
peers:
  a: {url: 'grpc://a:7051', tlsCACerts: {pem: x}}
  b: {url: 'grpcs://b:7051'}
channels:
  gxchannel: {peers: {a: {}, mistyped: {}}}
x-gx:
  signers: {admin: {certificate: {path: a, pem: b}, privateKey: {path: c}}}
  timeouts: {endorseMs: 0}
",
    ) else {
        panic!("it is refused")
    };
    for part in [
        "client.organization: name the organisation",
        "peers.a.url: must begin with grpcs://",
        "organizations.One.peers: lost is not among",
        "peers.b: no organisation names it",
        "channels.gxchannel.peers: mistyped is not among the peers",
        "x-gx.signers.admin.certificate: give either `path` or `pem`",
        "x-gx.timeouts.endorseMs: must be from 1",
    ] {
        assert!(wrong.iter().any(|line| line.contains(part)), "{part} is missing in {wrong:?}");
    }
    assert_eq!(wrong.len(), 7);
}

#[test]
fn a_misspelt_name_in_our_section_is_refused_with_its_place() {
    let error = parse("x-gx:\n  channel: gxchannel\n  chaincod: gxtv3\n").unwrap_err();
    let text = error.to_string();
    assert!(text.contains("chaincod") && text.contains('3'), "{text}");
}

#[test]
fn a_misspelt_name_next_to_a_path_is_refused_only_in_our_section() {
    let text = "
organizations: {One: {mspid: OneMSP, peers: [a]}}
peers: {a: {url: 'grpcs://a:7051', tlsCACerts: {path: a, allowInsecure: true}}}
x-gx:
  signers:
    admin: {certificate: {path: a, pme: b}, privateKey: {path: c, sekrit: 'x'}}
";
    let Err(ProfileError::Wrong(wrong)) = parse(text) else { panic!("it is refused") };
    assert_eq!(
        wrong,
        [
            "x-gx.signers.admin.certificate: give either `path` or `pem`, and nothing else",
            "x-gx.signers.admin.privateKey: give either `path` or `pem`, and nothing else",
        ]
    );
}

#[test]
fn a_given_channel_decides_which_peers_serve() {
    let text = "
client: {organization: One}
organizations: {One: {mspid: OneMSP, peers: [a, b]}}
peers:
  a: {url: 'grpcs://a:7051', tlsCACerts: {path: a}}
  b: {url: 'grpcs://b:7051', tlsCACerts: {path: b}}
channels: {first: {peers: {a: {}}}, second: {peers: {b: {}}}}
x-gx: {channel: first}
";
    for (channel, name, serving) in [
        (None, "first", vec!["a:7051"]),
        (Some("second"), "second", vec!["b:7051"]),
        (Some("unlisted"), "unlisted", vec!["a:7051", "b:7051"]),
    ] {
        let profile = Profile::parse(text, Path::new("conf"), channel).unwrap();
        let peers = profile.peers.iter().map(|peer| peer.endpoint.as_str());
        assert_eq!((profile.channel.as_str(), peers.collect::<Vec<_>>()), (name, serving));
    }
}

/// A key may be in the profile, and errors of a profile are logged.
#[test]
fn no_error_shows_a_key() {
    let key = "MIGHAgEAMBMGByqGSM49AgEG";
    let json = format!(
        r#"{{"x-gx": {{"signers": {{"admin": {{
        "certificate": {{"path": "a"}}, "privateKey": "{key}"}}}}}}}}"#
    );
    let yaml = format!(
        "x-gx:\n  signers:\n    admin:\n      certificate: {{path: a}}\n      privateKey:\n        \
         pem: |\n          {key}\n      passphrase: x\n"
    );
    let bare = format!(
        "x-gx:\n  signers:\n    admin:\n      certificate: {{path: a}}\n      privateKey: {key}\n"
    );
    for text in [json, yaml, bare] {
        let said = parse(&text).unwrap_err().to_string();
        assert!(!said.contains(key), "{said}");
    }
}
