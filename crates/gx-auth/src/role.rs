//! Roles of administrators. Each route for administrators names the lowest role that may call it.

/// A role. Each role includes the permissions of the roles before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminRole {
    /// Reads everything except documents.
    Auditor,
    /// Reads people and documents; approves, denies and asks for a new submission.
    Reviewer,
    /// Locks and freezes people; operates the outbox, dead events and rebuilds.
    Admin,
    /// Manages the system, treasuries, administrators and keys.
    SuperAdmin,
}

impl AdminRole {
    /// All roles, the least powerful first.
    pub const ALL: [Self; 4] = [Self::Auditor, Self::Reviewer, Self::Admin, Self::SuperAdmin];

    /// Returns the name in SQL and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auditor => "AUDITOR",
            Self::Reviewer => "REVIEWER",
            Self::Admin => "ADMIN",
            Self::SuperAdmin => "SUPER_ADMIN",
        }
    }

    /// Returns the role with this name, or `None` if no role has it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Returns whether this role includes the permissions of `least`.
    pub fn includes(self, least: Self) -> bool {
        self >= least
    }
}

impl std::str::FromStr for AdminRole {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::from_name(name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|role| role.name()).collect();
            format!("the role must be one of {}", names.join(", "))
        })
    }
}
