//! What a signer's certificate says about its holder and its authority.

use gx_fabric_proto::attribute;
use gx_model::SignerRole;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;

/// The unit that stands for a super admin where there is no attribute.
const ADMIN_UNIT: &str = "admin";
/// Domain of the development ledger's organisations; nobody can own it.
const DEVELOPMENT_DOMAIN: &str = "devnet.gx";

/// The facts that settings are checked against.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFacts {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
    pub(crate) self_issued: bool,
    /// Issued by a development ledger, whose keys lie in the open.
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

/// The role that the contracts see: the attribute `gxc_role`, or OU=admin without it.
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
