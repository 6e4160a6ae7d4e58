//! The signer of a proposal and the functions that its role allows. Every call has one; each
//! mutating function checks its role first.

use gx_model::SignerRole;

use crate::call_error::CallError;

/// The signer of a proposal, as its certificate describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The role; `None` allows only queries.
    pub role: Option<SignerRole>,
}

impl Caller {
    /// Returns the caller with the role in the certificate: the attribute `gxc_role`, or
    /// super-admin if there is no such attribute and the organisational unit is `admin`.
    pub fn from_attributes(gxc_role: Option<&str>, units: &[impl AsRef<str>]) -> Self {
        let is_admin_unit = || units.iter().any(|unit| unit.as_ref() == "admin");
        let role = match gxc_role {
            Some(attribute) => SignerRole::from_attribute(attribute),
            None => is_admin_unit().then_some(SignerRole::SuperAdmin),
        };
        Self { role }
    }

    /// Refuses the whole call if the role is too low. Commands are not recorded as refused then,
    /// because a wrong signer is a wrong setting.
    pub(crate) fn require(self, needed: SignerRole) -> Result<(), CallError> {
        if self.role >= Some(needed) {
            return Ok(());
        }
        Err(CallError::Refused {
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
