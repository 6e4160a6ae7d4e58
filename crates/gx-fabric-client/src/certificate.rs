//! The facts in a signer's certificate about its holder and its issuer.

use gx_fabric_proto::attribute;
use gx_ledger_api::SignerRole;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;

/// The organisational unit that means super admin in a certificate without the attribute.
const ADMIN_UNIT: &str = "admin";
/// The domain of the development ledger's organisations, which nobody can own.
const DEVELOPMENT_DOMAIN: &str = "devnet.gx";

/// The facts of a certificate that settings are checked with.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFacts {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) self_issued: bool,
    /// Issued by a development ledger, whose keys are public.
    pub(crate) development: bool,
    pub(crate) role: Option<SignerRole>,
}

impl CertificateFacts {
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let issuer = certificate.issuer();
        let development = issuer
            .iter_organization()
            .chain(issuer.iter_common_name())
            .filter_map(|name| name.as_str().ok())
            .any(|name| name.ends_with(DEVELOPMENT_DOMAIN));
        Self {
            subject: certificate.subject().to_string(),
            issuer: issuer.to_string(),
            not_before: certificate.validity().not_before.to_datetime(),
            not_after: certificate.validity().not_after.to_datetime(),
            self_issued: certificate.subject() == issuer,
            development,
            role: role_of(certificate),
        }
    }
}

/// Returns the role that the contracts see: the attribute `gxc_role`, or super admin for OU=admin
/// in a certificate without the attribute.
fn role_of(certificate: &X509Certificate<'_>) -> Option<SignerRole> {
    match attribute(certificate, "gxc_role").ok()? {
        Some(role) => SignerRole::from_attribute(&role),
        None => {
            let mut units = certificate.subject().iter_organizational_unit();
            let is_admin = units.any(|unit| unit.as_str() == Ok(ADMIN_UNIT));
            is_admin.then_some(SignerRole::SuperAdmin)
        }
    }
}
