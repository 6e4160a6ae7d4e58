//! Ids of rows: a type for each kind of row, so that an id cannot be passed where another kind is
//! expected. In SQL and JSON they are plain text.

use std::fmt;

use gx_model::{CommandId, InvalidId};
use serde::{Deserialize, Serialize};

macro_rules! row_ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
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
    /// The id of a transaction on the ledger (`LedgerAttempt.txId`).
    TxId,
    /// The id of a command as a row has it (`OutboxCommand.commandId`). It is the text of a
    /// [`CommandId`], except in rows that were written by hand, and in the reservation of an
    /// adoption without a command. One such row must not stop a query for many.
    StoredCommandId,
}

impl StoredCommandId {
    /// Returns the id that the text is.
    ///
    /// # Errors
    /// [`InvalidId`] if the text is no id of a command.
    pub fn parse(&self) -> Result<CommandId, InvalidId> {
        self.0.parse()
    }
}

impl From<CommandId> for StoredCommandId {
    fn from(id: CommandId) -> Self {
        Self(id.to_string())
    }
}
