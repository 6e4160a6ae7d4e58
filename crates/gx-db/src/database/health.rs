//! State of the database as a whole. The monitor publishes it after each check; the health checks
//! of a process and the errors of commands show it.

use std::fmt;

/// Whether the database can be used, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// A proven instance is in use.
    Ok {
        /// `host:port/database`.
        instance: String,
    },
    /// The writer's schema is older than this binary: names of the migrations to apply.
    Pending(Vec<String>),
    /// The writer's schema differs: the differences.
    Different(Vec<String>),
    /// Instances answer and none is usable: each with the reason.
    Refused(Vec<String>),
    /// No instance answers: each with its error.
    Unreachable(Vec<String>),
}

impl Health {
    /// Returns whether connections are available.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    /// Returns a name for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::Pending(_) => "migrations_pending",
            Self::Different(_) => "schema_different",
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// Returns the details: migrations, differences, or instances with their reasons.
    pub fn details(&self) -> &[String] {
        match self {
            Self::Ok { .. } => &[],
            Self::Pending(lines)
            | Self::Different(lines)
            | Self::Refused(lines)
            | Self::Unreachable(lines) => lines,
        }
    }

    /// Returns what an operator can do while connections are not available.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "try again",
            Self::Pending(_) => "run `gx db migrate`",
            Self::Different(_) | Self::Refused(_) => "compare the instances with `gx db check`",
            Self::Unreachable(_) => "check the server, and its address in the settings",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let intro = match self {
            Self::Ok { instance } => return write!(f, "database {instance} is in use"),
            Self::Pending(_) => "migrations are pending (run `gx db migrate`)",
            Self::Different(_) => "the schema differs from this release's",
            Self::Refused(_) => "no database instance is usable",
            Self::Unreachable(_) => "no database instance answers",
        };
        write!(f, "{intro}: {}", self.details().join("; "))
    }
}
