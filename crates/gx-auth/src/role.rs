//! What an administrator may do.

/// The roles, each of which may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminRole {
    /// Reads everything and opens no document.
    Auditor,
    /// Reads people and documents, approves, denies, asks again.
    Reviewer,
    /// Locks, freezes, and runs outbox, dead events and rebuilds.
    Admin,
    /// The system, treasuries, administrators and keys.
    SuperAdmin,
}

impl AdminRole {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Auditor, Self::Reviewer, Self::Admin, Self::SuperAdmin];

    /// The name in SQL and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auditor => "AUDITOR",
            Self::Reviewer => "REVIEWER",
            Self::Admin => "ADMIN",
            Self::SuperAdmin => "SUPER_ADMIN",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it may do what the other may.
    pub fn reaches(self, least: Self) -> bool {
        self >= least
    }
}

impl std::str::FromStr for AdminRole {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::from_name(name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|role| role.name()).collect();
            format!("a role is one of {}", names.join(", "))
        })
    }
}
