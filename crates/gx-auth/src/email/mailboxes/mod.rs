//! Normalises addresses that releases before migration 8 stored.
//!
//! Those releases stored addresses in lower case, as they were typed. Their rows keep that
//! spelling; the normalised form is stored in the column `mailbox`. A unique index over both
//! columns gives a mailbox at most one account. If two accounts already share a mailbox, both stay
//! unchanged: each signs in with its own spelling, and [`settle`] reports them.

mod store;

use gx_db::PgConnection;

use super::Email;

/// Limit of the rows that one statement reads.
const BATCH: i64 = 1000;

/// Result of [`settle`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettleReport {
    /// Number of accounts that got a normalised address.
    pub added: u64,
    /// Accounts whose mailbox belongs to another account.
    pub shared: Vec<SharedMailbox>,
    /// Accounts whose address is invalid: mail cannot reach it, and registration rejects it today.
    pub unmailable: Vec<String>,
}

/// Two accounts with the same mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMailbox {
    /// The account that signs in only with its stored spelling.
    pub profile_id: String,
    /// The account that every other spelling signs in to.
    pub owner: String,
}

/// Stores the normalised address of each account that has another spelling, unless another account
/// has the mailbox. May run repeatedly and while services run.
///
/// # Errors
/// `sqlx::Error` if a statement fails; accounts before it stay settled.
pub async fn settle(conn: &mut PgConnection) -> Result<SettleReport, sqlx::Error> {
    let mut settled = SettleReport::default();
    let mut after = String::new();
    loop {
        let rows = store::unsettled(conn, &after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(settled) };
        after.clone_from(&last.profile_id);
        for store::Row { profile_id, email } in rows {
            let Ok(form) = Email::parse(&email) else {
                settled.unmailable.push(profile_id);
                continue;
            };
            if form.as_str() == email {
                continue;
            }
            match store::set(conn, &profile_id, &email, form.as_str()).await {
                Ok(rows) => settled.added += rows,
                Err(error) if is_taken(&error) => {
                    let owner = store::owner(conn, form.as_str()).await?.unwrap_or_default();
                    settled.shared.push(SharedMailbox { profile_id, owner });
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_taken(error: &sqlx::Error) -> bool {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    constraint == Some("UserProfile_mailbox_key")
}
