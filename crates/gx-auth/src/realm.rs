//! The two realms of sessions: people and administrators. A session and its tokens are valid in one
//! of them only.

use gx_db::{AdminId, ProfileId};

use crate::tokens::Audience;

/// Whose sessions: people's or administrators'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// People.
    User,
    /// Administrators.
    Admin,
}

/// The holder of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A person.
    User(ProfileId),
    /// An administrator.
    Admin(AdminId),
}

impl Realm {
    pub(crate) const fn audience(self) -> Audience {
        match self {
            Self::User => Audience::User,
            Self::Admin => Audience::Admin,
        }
    }

    /// Returns the holder that a verified token of this realm names.
    pub(crate) fn subject(self, id: String) -> Subject {
        match self {
            Self::User => Subject::User(id.into()),
            Self::Admin => Subject::Admin(id.into()),
        }
    }
}

impl Subject {
    pub(crate) const fn realm(&self) -> Realm {
        match self {
            Self::User(_) => Realm::User,
            Self::Admin(_) => Realm::Admin,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Admin(id) => id.as_str(),
        }
    }
}
