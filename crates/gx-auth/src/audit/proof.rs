//! Proofs that an entry is in a batch. Called by `gx audit prove`.

use gx_db::PgConnection;
use serde::Serialize;

use super::fault::AuditLogFault;
use super::merkle;
use super::store;

/// A proof of inclusion (RFC 9162, section 2.1.3). Whoever knows the hash of the batch, or of a
/// later one, can check it without the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The hashed content of the entry: a JSON array.
    pub entry: String,
    /// SHA-256 of a zero byte and the content, in hexadecimal.
    pub leaf_hash: String,
    /// The hashes on the way from the leaf to the root.
    pub path: Vec<Side>,
    /// The Merkle root of the batch, in hexadecimal.
    pub root: String,
    /// Number of the batch.
    pub batch: i64,
    /// Hash of the batch, in hexadecimal.
    pub batch_hash: String,
}

/// A hash that joins the way to the root. The node above is the SHA-256 of a byte 1, the left and
/// the right hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// It is on the left.
    Left(String),
    /// It is on the right.
    Right(String),
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// No batch has the entry.
    #[error(
        "entry {0} is in no batch: it does not exist, was written by a release before migration 9, \
         or waits to be sealed; check the log with `gx audit verify`"
    )]
    NotSealed(i64),
    /// The log has a fault.
    #[error(transparent)]
    Fault(#[from] AuditLogFault),
    /// A row could not be read.
    #[error("the audit log cannot be read; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Returns the proof that an entry is in its batch.
///
/// # Errors
/// [`ProofError`] if the entry is in no batch, or the batch has a fault.
pub async fn prove(conn: &mut PgConnection, seq: i64) -> Result<Proof, ProofError> {
    let number = store::batch_of(conn, seq).await?.ok_or(ProofError::NotSealed(seq))?;
    let changed = AuditLogFault::ChangedBatch(number);
    let batch = store::batches(conn, number - 1, 1).await?.pop().ok_or(changed)?;
    let entries = store::sealed_entries(conn, number).await?;
    let leaves = entries.iter().map(|entry| entry.leaf()).collect::<Result<Vec<_>, _>>()?;
    let position = entries.iter().position(|entry| entry.seq == seq).ok_or(changed)?;
    if merkle::root(&leaves)[..] != batch.root {
        return Err(changed.into());
    }
    let path = merkle::path(&leaves, position).into_iter().map(|(is_left, hash)| {
        let hash = hex::encode(hash);
        if is_left { Side::Left(hash) } else { Side::Right(hash) }
    });
    let content = entries[position].bytes.clone().unwrap_or_default();
    Ok(Proof {
        entry: String::from_utf8_lossy(&content).into_owned(),
        leaf_hash: hex::encode(leaves[position]),
        path: path.collect(),
        root: hex::encode(&batch.root),
        batch: number,
        batch_hash: hex::encode(&batch.hash),
    })
}
