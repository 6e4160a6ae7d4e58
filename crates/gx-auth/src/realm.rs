//! The two realms of sessions: people and administrators. A session and its tokens are valid in one
//! of them only.

use crate::tokens::Audience;

/// Whose sessions: people's or administrators'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// People.
    User,
    /// Administrators.
    Admin,
}

impl Realm {
    pub(crate) const fn audience(self) -> Audience {
        match self {
            Self::User => Audience::User,
            Self::Admin => Audience::Admin,
        }
    }
}
