//! The roles of signers. A certificate names one; the contracts check it, and the submitter signs
//! with the role that a command needs.

use crate::named;

named! {
    /// The role of a signer. Each role may do everything that the roles before it may do.
    pub enum SignerRole("a signer is PARTNER_API, ADMIN or SUPER_ADMIN") {
        /// `gx_partner_api`
        PartnerApi = "PARTNER_API",
        /// `gx_admin`
        Admin = "ADMIN",
        /// `gx_super_admin`
        SuperAdmin = "SUPER_ADMIN",
    }
}

impl SignerRole {
    /// Returns the value of the X.509 attribute `gxc_role`.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::PartnerApi => "gx_partner_api",
            Self::Admin => "gx_admin",
            Self::SuperAdmin => "gx_super_admin",
        }
    }

    /// Returns the role with this attribute value, or `None` for any other text, which gives the
    /// signer no role.
    pub fn from_attribute(attribute: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.attribute() == attribute)
    }
}
