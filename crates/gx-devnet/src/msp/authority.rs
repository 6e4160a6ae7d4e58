//! The certificate authority of one organisation. `Organization` has two: one for members and one
//! for TLS.

use gx_fabric_proto::ATTRIBUTES_OID;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;
use time::macros::datetime;

/// The certificates are valid at any time to which a test sets its clock.
const NOT_BEFORE: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
/// See [`NOT_BEFORE`].
pub(crate) const NOT_AFTER: OffsetDateTime = datetime!(2099-12-31 00:00 UTC);

/// A key and the self-signed certificate over it.
pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate_pem: String,
}

/// The content of a certificate about its holder.
pub(crate) struct Subject<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) gxc_role: Option<&'a str>,
    pub(crate) not_after: OffsetDateTime,
}

/// A certificate and its new key.
pub(crate) struct Issued {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    /// Creates a key and its self-signed certificate.
    pub(crate) fn create(common_name: &str, organization: &str) -> Result<Self, rcgen::Error> {
        let params = authority_params(common_name, organization);
        let key = KeyPair::generate()?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { params, key, certificate_pem })
    }

    /// Returns the authority with this key and certificate.
    pub(crate) fn load(
        common_name: &str,
        organization: &str,
        key_pem: &str,
        certificate_pem: String,
    ) -> Result<Self, rcgen::Error> {
        let params = authority_params(common_name, organization);
        Ok(Self { params, key: KeyPair::from_pem(key_pem)?, certificate_pem })
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns a certificate for signing proposals, endorsements and blocks.
    pub(crate) fn issue(&self, subject: &Subject<'_>) -> Result<Issued, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.not_before = NOT_BEFORE;
        params.not_after = subject.not_after;
        params.distinguished_name = name(subject.common_name, Some(subject.unit), None);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        if let Some(role) = subject.gxc_role {
            let attributes = serde_json::json!({ "attrs": { "gxc_role": role } }).to_string();
            params.custom_extensions =
                vec![CustomExtension::from_oid_content(&ATTRIBUTES_OID, attributes.into_bytes())];
        }
        self.sign(&params)
    }

    /// Returns a certificate for a TLS server with these names and addresses.
    pub(crate) fn issue_server(&self, names: Vec<String>) -> Result<Issued, rcgen::Error> {
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names)?;
        params.not_before = NOT_BEFORE;
        params.not_after = NOT_AFTER;
        params.distinguished_name = name(&common_name, None, None);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate_pem = params.signed_by(&key, &issuer)?.pem();
        Ok(Issued { certificate_pem, key_pem: key.serialize_pem() })
    }
}

/// Returns the content of an authority's own certificate.
fn authority_params(common_name: &str, organization: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = NOT_BEFORE;
    params.not_after = NOT_AFTER;
    params.distinguished_name = name(common_name, None, Some(organization));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    params
}

fn name(common_name: &str, unit: Option<&str>, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    if let Some(unit) = unit {
        name.push(DnType::OrganizationalUnitName, unit);
    }
    name.push(DnType::CommonName, common_name);
    name
}
