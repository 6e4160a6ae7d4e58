//! What can be said about the database as a whole.

use std::fmt;

/// Whether the database can be used, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// A proven instance is in use.
    Ok {
        /// Which: `host:port/database`.
        instance: String,
    },
    /// The writer's schema is older than this binary: names of the migrations to apply.
    Pending(Vec<String>),
    /// The writer's schema is another one: what differs.
    Different(Vec<String>),
    /// Instances answer and none is the right one: each with its reason.
    Refused(Vec<String>),
    /// Nothing answers: each instance with its error.
    Unreachable(Vec<String>),
}

impl Health {
    /// Whether connections are to be had.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    /// One word for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::Pending(_) => "migrations_pending",
            Self::Different(_) => "schema_different",
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// The particulars: migrations by name, differences, or instances with their reasons.
    pub fn details(&self) -> &[String] {
        match self {
            Self::Ok { .. } => &[],
            Self::Pending(lines)
            | Self::Different(lines)
            | Self::Refused(lines)
            | Self::Unreachable(lines) => lines,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let intro = match self {
            Self::Ok { instance } => return write!(f, "database {instance} is in use"),
            Self::Pending(_) => "migrations are pending (run `gx db migrate`)",
            Self::Different(_) => "the schema is not this release's",
            Self::Refused(_) => "no database instance is the right one",
            Self::Unreachable(_) => "no database instance answers",
        };
        write!(f, "{intro}: {}", self.details().join("; "))
    }
}
