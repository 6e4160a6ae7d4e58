//! The parts of a World: the client of the ledger, the services and the administrator. Called when
//! a World starts, and by gx-sim for its environment.

use clap::Parser as _;
use gx_admin::NewAdministrator;
use gx_auth::key_ring::new_line;
use gx_auth::{AdminRole, Foundation, FoundationSettings, KeyRing, NewPassword};
use gx_devnet::Devnet;
use gx_documents::RequiredDocuments;
use gx_documents::testing::documents_of;
use gx_fabric_client::{Identity, Ledger, LedgerConfig, LedgerLimits, PeerConfig};
use gx_model::{Clock, SignerRole};
use gx_serve::{Entropy, HealthBoard, RateLimitSettings};
use gx_submitter::Signers;
use rand::rngs::StdRng;

use crate::story::{ServiceEndpoint, Services};

/// E-mail address of the administrator of a World.
pub const ADMIN_EMAIL: &str = "admin@gx.example";
/// The administrator's password.
pub const ADMIN_PASSWORD: &str = "seven green lanterns float";

/// Returns the identities of the submitter on a development ledger.
pub fn signers_of(devnet: &Devnet) -> Signers {
    let signer = |role| {
        let pem = devnet.identity(role);
        Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem).unwrap()
    };
    Signers { admin: signer(SignerRole::Admin), super_admin: signer(SignerRole::SuperAdmin) }
}

/// Returns a new client of a development ledger.
pub fn client_of(
    devnet: &Devnet,
    channel: &str,
    chaincode: &str,
    limits: LedgerLimits,
    clock: &Clock,
    rng: StdRng,
) -> Ledger {
    let peer = PeerConfig {
        endpoint: devnet.endpoint(),
        msp_id: devnet.identity(SignerRole::Admin).msp_id,
        tls_root_pem: devnet.tls_root_pem(),
        server_name: None,
    };
    let config = LedgerConfig {
        peers: vec![peer],
        channel: channel.to_owned(),
        chaincode: chaincode.to_owned(),
        client_tls: None,
        development: true,
        limits,
    };
    Ledger::new(config, signers_of(devnet).admin, clock.clone(), rng).unwrap()
}

/// Returns the three services as routers, and their health boards in the order identity,
/// tokenomics, admin.
pub fn services(foundation: Foundation) -> (Services, [HealthBoard; 3]) {
    let documents = documents_of(&foundation);
    let identity = gx_identity::service(&Default::default(), foundation.clone(), documents.clone());
    let tokenomics = gx_tokenomics::service(foundation.clone());
    let settings = gx_admin::AdminSettings {
        biometric_key: "b".repeat(64).into(),
        kyc_required_documents: RequiredDocuments::default(),
        review: gx_admin::ReviewSettings::default(),
    };
    let admin = gx_admin::service(&settings, foundation, documents);
    let endpoint = |service: &gx_serve::Service| ServiceEndpoint::Router(service.public(true));
    let gx = Services {
        identity: endpoint(&identity),
        tokenomics: endpoint(&tokenomics),
        admin: endpoint(&admin),
    };
    (gx, [identity, tokenomics, admin].map(|service| service.health))
}

/// Adds the administrator of a World, with the role SUPER_ADMIN.
pub async fn add_administrator(base: &Foundation) {
    let new = NewAdministrator {
        email: ADMIN_EMAIL.to_owned(),
        display_name: "Ada".to_owned(),
        role: AdminRole::SuperAdmin,
        password: NewPassword::new(ADMIN_PASSWORD).unwrap(),
    };
    let mut conn = base.database.connection().await.unwrap();
    let (hasher, now) = (&base.auth.hasher, base.clock.now());
    gx_admin::create_administrator(&mut conn, hasher, &base.entropy, &new, "story", now)
        .await
        .unwrap();
}

/// The settings of the services as arguments.
#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    foundation: FoundationSettings,
}

/// Returns the state that the services share: tokens are signed with a shared secret, rate limits
/// are out of reach, the other settings have their defaults.
pub fn foundation(
    database: gx_db::Database,
    channel: &str,
    clock: &Clock,
    entropy: Entropy,
) -> Foundation {
    foundation_with_limits(RateLimitSettings::generous(), database, channel, clock, entropy)
}

/// Returns the same with these rate limits.
pub fn foundation_with_limits(
    limits: RateLimitSettings,
    database: gx_db::Database,
    channel: &str,
    clock: &Clock,
    entropy: Entropy,
) -> Foundation {
    let secret = format!("--jwt-secret={}", "s".repeat(48));
    let mut settings = CommandLine::parse_from(["story", &secret]).foundation;
    settings.limits = limits;
    let ring = KeyRing::parse(&new_line(1, &Entropy::seeded(0)), entropy.clone()).unwrap();
    let base = Foundation::new(&settings, channel, database, ring, clock.clone(), entropy);
    let mut base = base.unwrap();
    base.is_development = true;
    base
}
