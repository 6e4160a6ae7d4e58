//! Normalises addresses that releases before migration 8 stored. `gx db migrate` and `gx dev` call
//! [`fill`] after each migration.
//!
//! Those releases stored addresses in lower case, as they were typed. Their rows keep that
//! spelling; [`fill`] stores the normalised form in the column `mailbox`. A unique index over
//! `coalesce(mailbox, email)` gives a mailbox at most one account. If several accounts share a
//! mailbox, one of them owns it: the account that is stored in the normalised spelling or, if there
//! is none, the first one. Of the others, `mailbox` stays NULL. Each signs in with its own
//! spelling; every other spelling leads to the owner.

mod store;

use gx_db::{PgConnection, ProfileId};

use super::Email;

/// Limit of the rows that one statement reads.
const BATCH: i64 = 1000;

/// Result of [`fill`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FillReport {
    /// Number of accounts that got a normalised address.
    pub added: u64,
    /// Accounts whose mailbox another account owns, each with the owner.
    pub shared: Vec<SharedMailbox>,
    /// Accounts whose address is invalid: mail cannot reach it, and registration rejects it today.
    pub unmailable: Vec<ProfileId>,
}

/// Two accounts with the same mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMailbox {
    /// The account that signs in only with its stored spelling.
    pub profile_id: ProfileId,
    /// The account that every other spelling signs in to.
    pub owner: ProfileId,
}

/// Stores the normalised address of each account that has another spelling, in the order of the
/// profile ids, unless another account owns the mailbox. May run repeatedly and while services run,
/// but not inside a transaction: a mailbox that is owned already is a failed statement.
///
/// # Errors
/// `sqlx::Error` if a statement fails for another reason; the accounts before it keep their
/// mailbox.
pub async fn fill(conn: &mut PgConnection) -> Result<FillReport, sqlx::Error> {
    let mut report = FillReport::default();
    let mut after = String::new();
    loop {
        let rows = store::unnormalised(conn, &after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(report) };
        after = last.profile_id.to_string();
        for store::Row { profile_id, email } in rows {
            let Ok(form) = Email::parse(&email) else {
                report.unmailable.push(profile_id);
                continue;
            };
            if form.as_str() == email {
                continue;
            }
            match store::set(conn, &profile_id, &email, form.as_str()).await {
                Ok(rows) => report.added += rows,
                Err(error) if is_taken(&error) => {
                    let owner = store::owner(conn, form.as_str()).await?;
                    let shared = owner.map(|owner| SharedMailbox { profile_id, owner });
                    report.shared.extend(shared);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Returns whether a statement failed because another account owns the mailbox.
fn is_taken(error: &sqlx::Error) -> bool {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    constraint == Some("UserProfile_mailbox_key")
}
