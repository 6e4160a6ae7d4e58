//! The audit log: append-only, each row bound to the one before it by its hash.

use gx_db::PgConnection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::store::{self, AuditRow};

/// What the hash chain begins with.
const GENESIS: [u8; 32] = [0; 32];

/// Who did something.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// A person, by the verified session's profile.
    User(&'a str),
    /// An administrator, by the verified session.
    Admin(&'a str),
    /// A process or an operator's command, by its name.
    System(&'a str),
}

/// Something that happened. Before and after never hold credentials.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Who did it.
    pub actor: Actor<'a>,
    /// What, such as `user.approved`.
    pub action: &'a str,
    /// To what kind of thing, such as `UserProfile`.
    pub target_type: &'a str,
    /// To which one.
    pub target_id: Option<&'a str>,
    /// What was changed, as it was.
    pub before: Option<Value>,
    /// What was changed, as it is.
    pub after: Option<Value>,
    /// The request in which it was done.
    pub request_id: Option<&'a str>,
}

/// Where the chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A number is missing.
    #[error("row {0} of the audit log is missing")]
    Missing(i64),
    /// A row is not what it was when it was written.
    #[error("row {0} of the audit log was changed")]
    Changed(i64),
}

/// Why the chain could not be confirmed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The database failed.
    #[error("the audit log cannot be read")]
    Database(#[from] sqlx::Error),
}

/// Appends in the caller's transaction. Writers take turns from here to their commit, so
/// call it last.
///
/// # Errors
/// The database's.
pub async fn append(
    conn: &mut PgConnection,
    entry: Entry<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    store::lock_audit_log(conn).await?;
    let (last, previous_hash) =
        store::last_audit_hash(conn).await?.unwrap_or_else(|| (0, GENESIS.to_vec()));
    let (actor_type, actor_id) = match entry.actor {
        Actor::User(id) => ("USER", id),
        Actor::Admin(id) => ("ADMIN", id),
        Actor::System(name) => ("SYSTEM", name),
    };
    let mut row = AuditRow {
        seq: last + 1,
        at: now,
        actor_type: actor_type.to_owned(),
        actor_id: Some(actor_id.to_owned()),
        action: entry.action.to_owned(),
        target_type: entry.target_type.to_owned(),
        target_id: entry.target_id.map(str::to_owned),
        before: entry.before,
        after: entry.after,
        request_id: entry.request_id.map(str::to_owned),
        previous_hash,
        hash: Vec::new(),
    };
    row.hash = hash(&row);
    store::insert_audit_row(conn, &row).await
}

/// Reads the whole log and confirms the chain; gives the number of rows.
///
/// # Errors
/// The first row that is missing or changed.
pub async fn verify(conn: &mut PgConnection) -> Result<i64, VerifyError> {
    const ROWS_AT_A_TIME: i64 = 1_000;
    let (mut seq, mut previous) = (0, GENESIS.to_vec());
    loop {
        let rows = store::audit_rows(conn, seq, ROWS_AT_A_TIME).await?;
        if rows.is_empty() {
            return Ok(seq);
        }
        for row in rows {
            seq += 1;
            if row.seq != seq {
                return Err(Broken::Missing(seq).into());
            }
            if row.previous_hash != previous || hash(&row) != row.hash {
                return Err(Broken::Changed(seq).into());
            }
            previous = row.hash;
        }
    }
}

fn hash(row: &AuditRow) -> Vec<u8> {
    let content = json!([
        row.seq,
        row.at.unix_timestamp_nanos() / 1_000_000,
        row.actor_type,
        row.actor_id,
        row.action,
        row.target_type,
        row.target_id,
        row.before.as_ref().map(canonical),
        row.after.as_ref().map(canonical),
        row.request_id,
    ]);
    let mut digest = Sha256::new();
    digest.update(&row.previous_hash);
    digest.update(content.to_string());
    digest.finalize().to_vec()
}

/// One text for equal values, whatever order their keys came in.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<_> = members.keys().collect();
            keys.sort_unstable();
            let member = |key: &&String| format!("{}:{}", json!(key), canonical(&members[*key]));
            format!("{{{}}}", keys.iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}
