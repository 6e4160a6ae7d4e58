//! The reasons why a pooler is not used. The instance behind it counts as unusable; health and `gx
//! db check` show the reason.

use std::fmt;

/// Why a pooler is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolerRefusal {
    /// The role holds locks, subscriptions or settings for the time of a session.
    SessionsNeeded,
    /// Prepared statements are lost between transactions.
    StatementsForgotten,
    /// Sessions lack these time limits.
    WithoutLimits(Vec<String>),
    /// The pooler rejects `?schema=` or `options=` of the URL.
    OptionsRefused(String),
}

impl fmt::Display for PoolerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SessionsNeeded => f.write_str(
                "a pooler in transaction mode is in front of it, and this process needs \
                 sessions of its own; connect to the server itself, or to a pooler in session \
                 mode",
            ),
            Self::StatementsForgotten => f.write_str(
                "a pooler in transaction mode is in front of it that forgets prepared \
                 statements: PgBouncer before 1.21, or one with \
                 max_prepared_statements = 0; take PgBouncer 1.21 or newer with \
                 max_prepared_statements = 200, or session mode, or connect to the server itself",
            ),
            Self::WithoutLimits(names) => {
                let names = names.join(", ");
                write!(
                    f,
                    "a pooler in transaction mode is in front of it, and its sessions are \
                     without {names}; set each for the role, as in ALTER ROLE gx SET \
                     lock_timeout = '5s', and then RECONNECT the pooler"
                )
            }
            Self::OptionsRefused(said) => write!(
                f,
                "a pooler is in front of it that refuses `schema` and `options` of DATABASE_URL \
                 ({said}); leave them out, and set the role's search_path at the server"
            ),
        }
    }
}
