//! The facts in a signer's certificate about its holder and its issuer. `Identity::from_pem` reads
//! them once, and `Profile::certificate_findings` checks them at the start and repeatedly.

use gx_fabric_proto::attribute;
use gx_ledger_api::SignerRole;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;

/// The attribute that has the role.
const ROLE_ATTRIBUTE: &str = "gxc_role";
/// The organisational unit that means super admin in a certificate without the attribute.
const ADMIN_UNIT: &str = "admin";
/// The domain of the development ledger's organisations, which nobody can own.
const DEVNET_DOMAIN: &str = "devnet.gx";

/// The facts of a certificate that settings are checked with.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFacts {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) is_self_issued: bool,
    /// Issued by a development ledger, whose keys are public.
    pub(crate) is_from_devnet: bool,
    /// `None` if the certificate has no role or an unknown one, or if its attributes are malformed.
    pub(crate) role: Option<SignerRole>,
    /// The attributes cannot be read. The contracts then refuse everything that the holder signs.
    pub(crate) has_malformed_attributes: bool,
}

impl CertificateFacts {
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let issuer = certificate.issuer();
        let is_from_devnet = issuer
            .iter_organization()
            .chain(issuer.iter_common_name())
            .filter_map(|name| name.as_str().ok())
            .any(|name| name.ends_with(DEVNET_DOMAIN));
        Self {
            subject: certificate.subject().to_string(),
            issuer: issuer.to_string(),
            not_before: certificate.validity().not_before.to_datetime(),
            not_after: certificate.validity().not_after.to_datetime(),
            is_self_issued: certificate.subject() == issuer,
            is_from_devnet,
            role: role_of(certificate),
            has_malformed_attributes: attribute(certificate, ROLE_ATTRIBUTE).is_err(),
        }
    }
}

/// Returns the role that the contracts see: the attribute `gxc_role`, or super admin for OU=admin
/// in a certificate without the attribute. See [`CertificateFacts::role`] for `None`.
fn role_of(certificate: &X509Certificate<'_>) -> Option<SignerRole> {
    match attribute(certificate, ROLE_ATTRIBUTE).ok()? {
        Some(role) => SignerRole::from_attribute(&role),
        None => {
            let mut units = certificate.subject().iter_organizational_unit();
            let is_admin = units.any(|unit| unit.as_str() == Ok(ADMIN_UNIT));
            is_admin.then_some(SignerRole::SuperAdmin)
        }
    }
}
