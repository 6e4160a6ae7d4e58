//! Issues certificates with roles on a network whose own users have none. The organisation's
//! authority signs them, as its Fabric CA would.

use std::fs;
use std::path::Path;
use std::time::Duration;

use gx_fabric_client::Identity;
use gx_model::Clock;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// OID of the extension in which Fabric CA stores the attributes of a certificate.
const ATTRIBUTES_OID: [u64; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 1];
/// Validity of a certificate, long enough that no expiry warning occurs.
const VALID_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// Time by which the validity begins earlier, because a peer's clock may be behind.
const BACKDATED: Duration = Duration::from_secs(60);

/// The authority of an organisation, from the files of `cryptogen`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    msp_id: String,
}

impl Authority {
    /// Reads the authority from the folder of the organisation `domain`.
    pub(crate) fn open(organization: &Path, domain: &str, msp_id: &str) -> Self {
        let key = fs::read_to_string(organization.join("ca/priv_sk")).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = authority_name(domain);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = Issuer::new(params, KeyPair::from_pem(&key).unwrap());
        Self { issuer, msp_id: msp_id.to_owned() }
    }

    /// Issues a certificate of the organisation, with this role or none, and also writes
    /// certificate and key into the folder.
    pub(crate) fn issue(
        &self,
        folder: &Path,
        name: &str,
        unit: &str,
        gxc_role: Option<&str>,
    ) -> Identity {
        let now = Clock::system().now();
        let mut params = CertificateParams::default();
        // A peer also verifies the authority at this moment, so it must not be before its validity.
        params.not_before = now - BACKDATED;
        params.not_after = now + VALID_FOR;
        params.distinguished_name = client_name(name, unit);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if let Some(role) = gxc_role {
            let attributes = serde_json::json!({ "attrs": { "gxc_role": role } });
            let content = attributes.to_string().into_bytes();
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&ATTRIBUTES_OID, content)];
        }
        let key = KeyPair::generate().unwrap();
        let (certificate, key) =
            (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem());
        fs::write(folder.join(format!("{name}.pem")), &certificate).unwrap();
        fs::write(folder.join(format!("{name}-key.pem")), &key).unwrap();
        Identity::from_pem(&self.msp_id, &certificate, &key).unwrap()
    }
}

/// Returns the name that `cryptogen` gives an authority; a verifier compares its bytes.
fn authority_name(domain: &str) -> DistinguishedName {
    let common_name = format!("ca.{domain}");
    let parts = [
        (DnType::CountryName, "US"),
        (DnType::StateOrProvinceName, "California"),
        (DnType::LocalityName, "San Francisco"),
        (DnType::OrganizationName, domain),
        (DnType::CommonName, common_name.as_str()),
    ];
    let mut name = DistinguishedName::new();
    for (kind, value) in parts {
        name.push(kind, DnValue::PrintableString(value.try_into().unwrap()));
    }
    name
}

fn client_name(name: &str, unit: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationalUnitName, unit);
    subject.push(DnType::CommonName, name);
    subject
}
