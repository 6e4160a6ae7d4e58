//! A running service, and certificates for its peers.

use std::net::SocketAddr;

use gx_chaincode::{ChaincodeError, ChaincodeOptions, ChaincodeServer, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PACKAGE_ID: &str = "gxtv3_1:0123";
/// The name under which the service is deployed.
pub(crate) const NAME: &str = "gxtv3";

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<Result<(), ChaincodeError>>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with_tls(None).await.expect("a free port")
    }

    pub(crate) async fn with_tls(tls: Option<TlsFiles>) -> Result<Self, ChaincodeError> {
        let options =
            ChaincodeOptions { package_id: PACKAGE_ID.to_owned(), name: NAME.to_owned(), tls };
        let server = ChaincodeServer::bind("127.0.0.1:0", options).await?;
        let (address, stop) = (server.address(), CancellationToken::new());
        let served = tokio::spawn(server.serve(stop.clone()));
        Ok(Self { address, stop, served })
    }
}

/// Returns a self-signed certificate with this unit and attribute, in PEM.
pub(crate) fn signer(unit: &str, gxc_role: Option<&str>) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
    if let Some(role) = gxc_role {
        let attributes = format!(r#"{{"attrs":{{"gxc_role":"{role}"}}}}"#);
        let oid = [1, 2, 3, 4, 5, 6, 7, 8, 1];
        let extension = CustomExtension::from_oid_content(&oid, attributes.into_bytes());
        params.custom_extensions.push(extension);
    }
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

/// An authority for TLS certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns a certificate and key that both sides of a connection can use.
    pub(crate) fn issue(&self) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}
