//! Wrong settings are found at the start.

use std::time::Duration;

use gx_devnet::{Devnet, DevnetOptions, IdentityRequest};
use gx_fabric_client::{
    CredentialSource, Finding, Identity, LedgerConfig, LedgerLimits, PeerSource, PemSource,
    Profile, Severity, Signer, SignerSources, SignerUse, pinned_names,
};
use gx_model::{Clock, SignerRole};
use time::macros::datetime;

use crate::world::{World, ledger};

const STATUS: &str = "AdminContract:GetSystemStatus";

/// Returns the profile of a world, with its files in a folder.
fn profile(world: &World, folder: &std::path::Path) -> Profile {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        PemSource::file(name, path)
    };
    let signer = |role: SignerRole| {
        let pem = world.devnet().identity(role);
        Some(CredentialSource {
            certificate: write(&format!("{}-cert", role.name()), pem.certificate_pem),
            private_key: write(&format!("{}-key", role.name()), pem.private_key_pem),
        })
    };
    let msp_id = world.identity(SignerRole::Admin).msp_id().to_owned();
    Profile {
        peers: vec![PeerSource {
            endpoint: world.devnet().endpoint(),
            msp_id: msp_id.clone(),
            tls_root: write("tls-root", world.devnet().tls_root_pem()),
            server_name: Some("localhost".to_owned()),
        }],
        msp_id,
        channel: "gxchannel".to_owned(),
        chaincode: "gxtv3".to_owned(),
        signers: SignerSources {
            admin: signer(SignerRole::Admin),
            super_admin: signer(SignerRole::SuperAdmin),
            partner_api: signer(SignerRole::PartnerApi),
        },
        client_tls: None,
        limits: LedgerLimits {
            connect_timeout: Duration::from_secs(10),
            height_timeout: Duration::from_secs(10),
            evaluate_timeout: Duration::from_secs(60),
            ..LedgerLimits::default()
        },
    }
}

fn signers_of(profile: &Profile) -> Vec<Signer> {
    [(SignerRole::PartnerApi, SignerUse::Read), (SignerRole::Admin, SignerUse::Submit)]
        .into_iter()
        .map(|(role, signer_use)| Signer {
            role,
            setting: profile.signer(role).unwrap().certificate.name(),
            identity: profile.identity(role).unwrap(),
            signer_use,
        })
        .collect()
}

async fn findings_with(config: LedgerConfig, profile: &Profile) -> Vec<Finding> {
    let signers = signers_of(profile);
    ledger(config, signers[0].identity.clone()).preflight(&signers, STATUS).await
}

async fn findings(profile: &Profile) -> Vec<Finding> {
    findings_with(profile.ledger_config(true).unwrap(), profile).await
}

/// Returns the one finding, which must prevent the start.
fn only_refusal(findings: &[Finding]) -> &Finding {
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].severity, Severity::Refused, "{findings:?}");
    &findings[0]
}

/// FAB-01: a missing key, another authority of the TLS certificate, and a certificate of an
/// authority that the channel no longer knows each have their own code, which comes with the
/// setting and the identity. If everything works, there is no finding.
#[tokio::test]
async fn fab_01_each_wrong_credential_has_its_own_code() {
    let (world, other) = (World::start().await, World::start().await);
    let folder = tempfile::tempdir().unwrap();
    let good = profile(&world, folder.path());
    assert_eq!(findings(&good).await, []);

    let elsewhere = tempfile::tempdir().unwrap();
    let mut no_key = profile(&world, elsewhere.path());
    no_key.signers.partner_api = None;
    std::fs::remove_file(elsewhere.path().join("ADMIN-key")).unwrap();
    let wrong = no_key.identity(SignerRole::Admin).unwrap_err();
    let finding = only_refusal(&wrong);
    assert_eq!((finding.code, finding.identity.as_deref()), ("file_missing", Some("gx_admin")));
    assert!(finding.setting.as_ref().unwrap().starts_with("ADMIN-key ("), "{finding}");

    let mut other_key = good.clone();
    other_key.signers.admin = Some(CredentialSource {
        certificate: good.signer(SignerRole::Admin).unwrap().certificate.clone(),
        private_key: good.signer(SignerRole::SuperAdmin).unwrap().private_key.clone(),
    });
    let wrong = other_key.identity(SignerRole::Admin).unwrap_err();
    assert_eq!(only_refusal(&wrong).code, "key_mismatch");

    let mut other_root = good.clone();
    other_root.peers[0].tls_root = PemSource::text("root", other.devnet().tls_root_pem());
    let found = findings(&other_root).await;
    assert_eq!(only_refusal(&found).code, "untrusted_issuer");

    // The name of the same organisation with another authority's signature.
    let stranger = other.devnet().identity(SignerRole::PartnerApi);
    let mut old_issuer = good.clone();
    old_issuer.signers.partner_api = Some(CredentialSource {
        certificate: PemSource::text("old certificate", stranger.certificate_pem),
        private_key: PemSource::text("old key", stranger.private_key_pem),
    });
    let found = findings(&old_issuer).await;
    assert_eq!(found.len(), 2, "neither evaluate nor blocks: {found:?}");
    for finding in &found {
        assert_eq!(finding.severity, Severity::Refused);
        assert_eq!(finding.identity.as_deref(), Some("gx_partner_api"));
        assert_eq!(finding.setting.as_deref(), Some("old certificate"));
    }
    let mut codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    assert_eq!(codes[0], "denied", "the right to blocks");
    assert!(["signature_refused", "unknown_identity"].contains(&codes[1]), "{codes:?}");
}

/// FAB-15: a profile whose certificate file has a private key is refused with the setting and the
/// file, wherever the profile names a certificate.
#[tokio::test]
async fn fab_15_a_key_next_to_a_certificate_is_refused_with_setting_and_file() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let good = profile(&world, folder.path());
    let pem = world.devnet().identity(SignerRole::Admin);
    let path = folder.path().join("both.pem");
    std::fs::write(&path, format!("{}{}", pem.certificate_pem, pem.private_key_pem)).unwrap();
    let both = |setting: &str| PemSource::file(setting, &path);
    let pair = |setting: &str| CredentialSource {
        certificate: both(&format!("{setting}.certificate")),
        private_key: both(&format!("{setting}.privateKey")),
    };
    let check = |found: Vec<Finding>, setting: &str| {
        let finding = only_refusal(&found);
        assert_eq!(finding.code, "certificate_holds_key");
        let place = format!("{setting} ({})", path.display());
        assert_eq!(finding.setting.as_deref(), Some(place.as_str()), "{finding}");
    };

    let mut signer = good.clone();
    signer.signers.admin = Some(pair("signer"));
    check(signer.identity(SignerRole::Admin).unwrap_err(), "signer.certificate");
    let mut client = good.clone();
    client.client_tls = Some(pair("client"));
    check(client.ledger_config(true).unwrap_err(), "client.certificate");
    let mut root = good.clone();
    root.peers[0].tls_root = both("root");
    check(root.ledger_config(true).unwrap_err(), "root");
}

/// Checks of the certificate alone: its expiry and its role.
#[tokio::test]
async fn an_unusable_certificate_is_refused_without_calling_a_peer() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut profile = profile(&world, folder.path());
    let issue = |gxc_role: Option<&str>, not_after| {
        let request = IdentityRequest {
            common_name: "somebody".to_owned(),
            unit: "client".to_owned(),
            gxc_role: gxc_role.map(str::to_owned),
            not_after,
        };
        let pem = world.devnet().issue_identity(&request).unwrap();
        CredentialSource {
            certificate: PemSource::text("certificate", pem.certificate_pem),
            private_key: PemSource::text("key", pem.private_key_pem),
        }
    };
    let (past, far) = (datetime!(2020-01-01 00:00 UTC), datetime!(2090-01-01 00:00 UTC));
    for (role, attribute, ends, code) in [
        (SignerRole::Admin, Some("gx_admin"), past, "certificate_expired"),
        (SignerRole::Admin, Some("gx_partner_api"), far, "role_missing"),
        (SignerRole::SuperAdmin, None, far, "role_missing"),
    ] {
        let source = Some(issue(attribute, ends));
        match role {
            SignerRole::SuperAdmin => profile.signers.super_admin = source,
            _ => profile.signers.admin = source,
        }
        let identity = profile.identity(role).unwrap();
        let now = Clock::system().now();
        let found = profile.certificate_findings(role, &identity, now, true);
        assert_eq!(only_refusal(&found).code, code);
    }
    let soon = datetime!(2089-12-20 00:00 UTC);
    profile.signers.admin = Some(issue(Some("gx_admin"), far));
    let identity = profile.identity(SignerRole::Admin).unwrap();
    let found = profile.certificate_findings(SignerRole::Admin, &identity, soon, true);
    assert_eq!((found[0].severity, found[0].code), (Severity::Warning, "certificate_expires_soon"));
}

/// FAB-04: each item of a second network in the settings of the first has a finding.
#[tokio::test]
async fn fab_04_items_of_another_network_are_named() {
    let (world, other) = (World::start().await, World::start().await);
    let folder = tempfile::tempdir().unwrap();
    let good = profile(&world, folder.path());

    let mut organisation = good.clone();
    organisation.msp_id = "OtherMSP".to_owned();
    organisation.peers[0].msp_id = "OtherMSP".to_owned();
    let found = findings(&organisation).await;
    assert!(
        found.iter().any(|finding| {
            finding.code == "unknown_identity" && finding.identity.as_deref() == Some("gx_admin")
        }),
        "{found:?}"
    );

    let mut channel = good.clone();
    channel.channel = "otherchannel".to_owned();
    let found = findings(&channel).await;
    let finding = only_refusal(&found);
    assert_eq!(finding.code, "no_channel");
    assert_eq!(finding.peer.as_deref(), Some(world.devnet().endpoint().as_str()));

    let mut root = good.clone();
    root.peers[0].tls_root = PemSource::text("root", other.devnet().tls_root_pem());
    assert_eq!(only_refusal(&findings(&root).await).code, "untrusted_issuer");

    let mut endpoint = good.clone();
    endpoint.peers[0].endpoint = other.devnet().endpoint();
    let found = findings(&endpoint).await;
    let finding = only_refusal(&found);
    assert_eq!(finding.code, "untrusted_issuer");
    assert_eq!(finding.peer.as_deref(), Some(other.devnet().endpoint().as_str()));
}

/// CFG-04, FAB-03: outside development, a name that resolves to this machine, an IP address, a name
/// from the hosts file, and the identities of a development ledger are refused.
#[tokio::test]
async fn cfg_04_production_refuses_what_only_development_may_have() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let profile = profile(&world, folder.path());
    assert_eq!(findings(&profile).await, []);

    let config = profile.ledger_config(false).unwrap();
    let found = findings_with(config.clone(), &profile).await;
    let finding = only_refusal(&found);
    assert_eq!(finding.code, "loopback");
    assert_eq!(finding.peer.as_deref(), Some(world.devnet().endpoint().as_str()));

    let hosts = "# names\n127.0.0.1 localhost # ourselves\n10.1.2.3\tpeer0.example.com Peer1\n";
    let mut pinned = config.peers.clone();
    for (endpoint, address) in [
        ("localhost:7051", Some("127.0.0.1")),
        ("peer1:7051", Some("10.1.2.3")),
        ("peer2.example.com:7051", None),
    ] {
        pinned[0].endpoint = endpoint.to_owned();
        let found = pinned_names(hosts, &pinned);
        let named =
            found.first().map(|finding| (finding.code, finding.message.contains(address.unwrap())));
        assert_eq!(named, address.map(|_| ("pinned_name", true)), "{endpoint}");
    }

    let identity = profile.identity(SignerRole::Admin).unwrap();
    let now = Clock::system().now();
    assert_eq!(profile.certificate_findings(SignerRole::Admin, &identity, now, true), []);
    let found = profile.certificate_findings(SignerRole::Admin, &identity, now, false);
    assert_eq!(only_refusal(&found).code, "development_identity");
}

/// A chaincode that answers and does not have the contracts is named. A missing chaincode is waited
/// for.
#[tokio::test]
async fn a_chaincode_without_the_contracts_is_refused() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut profile = profile(&world, folder.path());
    profile.chaincode = "absent".to_owned();
    for finding in findings(&profile).await {
        assert_eq!((finding.severity, finding.code), (Severity::Waiting, "no_chaincode"));
    }

    // The messages of contract libraries, with their status for failures.
    profile.chaincode = "gxtv3".to_owned();
    for (status, words, expected) in [
        (500, "Contract name is not known: AdminContract", Severity::Refused),
        (500, "You've asked to invoke a function that does not exist: X", Severity::Refused),
        (400, "there is no function X", Severity::Refused),
        (500, "the state cannot be read", Severity::Waiting),
    ] {
        world.devnet().faults().fail_endorsements(1, status, words);
        let found = findings(&profile).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, expected, "{found:?}");
        assert_eq!(found[0].code == "no_contracts", expected == Severity::Refused, "{found:?}");
    }
}

/// FAB-01: findings that were made before a caller stopped waiting for a slow endorsement are kept.
#[tokio::test]
async fn a_slow_answer_hides_no_finding() {
    let (world, other) = (World::start().await, World::start().await);
    let folder = tempfile::tempdir().unwrap();
    let good = profile(&world, folder.path());
    let mut signers = signers_of(&good);
    let stranger = other.identity(SignerRole::SuperAdmin);
    signers.push(Signer {
        role: SignerRole::SuperAdmin,
        setting: "stranger".to_owned(),
        identity: stranger,
        signer_use: SignerUse::Submit,
    });
    world.devnet().faults().delay_endorsements(Duration::from_secs(600));
    let ledger = ledger(good.ledger_config(true).unwrap(), signers[0].identity.clone());
    let mut findings = Vec::new();
    let asking = ledger.preflight_into(&signers, STATUS, &mut findings);
    let patience = Duration::from_secs(15);
    assert!(tokio::time::timeout(patience, asking).await.is_err(), "an endorsement is missing");
    let finding = findings.iter().find(|one| one.severity == Severity::Refused);
    let finding = finding.unwrap_or_else(|| panic!("the stranger is not named: {findings:?}"));
    assert_eq!(finding.setting.as_deref(), Some("stranger"));
}

/// RDY-07: a peer that has not joined the channel is waited for if another of the same organisation
/// may serve the channel, and calls skip it.
#[tokio::test]
async fn a_peer_that_lacks_the_channel_is_waited_for_if_another_has_it() {
    let world = World::start().await;
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = DevnetOptions::new(elsewhere.path(), Clock::system(), gx_contract::Contracts);
    let options = DevnetOptions { channel: "otherchannel".to_owned(), fsync: false, ..options };
    let late = Devnet::start(options).await.unwrap();
    let mut profile = profile(&world, folder.path());
    let joining = PeerSource {
        endpoint: late.endpoint(),
        tls_root: PemSource::text("root", late.tls_root_pem()),
        ..profile.peers[0].clone()
    };
    profile.peers.insert(0, joining);
    let found = findings(&profile).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].severity, found[0].code), (Severity::Waiting, "no_channel"));
    assert_eq!(found[0].peer.as_deref(), Some(late.endpoint().as_str()));

    profile.peers.truncate(1);
    assert_eq!(only_refusal(&findings(&profile).await).code, "no_channel");
    late.stop().await;
}

/// RDY-07: a ledger that is away is waited for and does not prevent the start.
#[tokio::test]
async fn a_ledger_that_is_away_is_no_reason_to_refuse_the_start() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let profile = profile(&world, folder.path());
    let _folder = world.stop().await;
    let found = findings(&profile).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].severity, found[0].code), (Severity::Waiting, "refused"));

    let world = World::start().await;
    let other = World::start().await;
    let mut config = world.config();
    let mut foreign = other.peer(&other.devnet().endpoint());
    foreign.msp_id = "OtherMSP".to_owned();
    foreign.tls_root_pem = world.devnet().tls_root_pem();
    config.peers.push(foreign);
    let identity: Identity = world.identity(SignerRole::Admin);
    let signer = Signer {
        role: SignerRole::Admin,
        setting: "admin".to_owned(),
        identity: identity.clone(),
        signer_use: SignerUse::Submit,
    };
    let found = ledger(config, identity).preflight(&[signer], STATUS).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].severity, found[0].code),
        (Severity::Warning, "untrusted_issuer"),
        "another organisation's peer does not prevent the start"
    );
}
