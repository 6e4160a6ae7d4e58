//! Who signed a proposal, and what that allows.

use gx_model::SignerRole;

use crate::halt::Halt;

/// The signer of a proposal, by its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `None` may only ask.
    pub role: Option<SignerRole>,
}

impl Caller {
    /// The role in a certificate: the attribute `gxc_role`, or, in one without that
    /// attribute, super-admin for the organisational unit `admin`.
    pub fn from_attributes(gxc_role: Option<&str>, units: &[impl AsRef<str>]) -> Self {
        let is_admin_unit = || units.iter().any(|unit| unit.as_ref() == "admin");
        let role = match gxc_role {
            Some(attribute) => SignerRole::from_attribute(attribute),
            None => is_admin_unit().then_some(SignerRole::SuperAdmin),
        };
        Self { role }
    }

    /// Refuses the whole call where the role does not suffice: a wrong signer is a wrong
    /// setting, and no command should be on record as refused because of it.
    pub(crate) fn require(self, needed: SignerRole) -> Result<(), Halt> {
        if self.role >= Some(needed) {
            return Ok(());
        }
        Err(Halt::Refused {
            status: crate::Response::FORBIDDEN,
            code: "ROLE_REQUIRED",
            detail: format!(
                "this needs {}, and the signer is {}",
                needed.attribute(),
                self.role.map_or("none", SignerRole::attribute)
            ),
        })
    }
}
