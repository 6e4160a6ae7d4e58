//! Ids of rows: a type for each kind of row, so that an id cannot be passed where another kind is
//! expected. In SQL and JSON they are plain text.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! row_ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

row_ids! {
    /// The id of a person's account (`UserProfile.profileId`).
    ProfileId,
    /// The id of an administrator (`AdminUser.adminId`).
    AdminId,
    /// The id of a session of either realm (`UserSession.sessionId`, `AdminSession.sessionId`).
    SessionId,
}
