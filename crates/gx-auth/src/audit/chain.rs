//! The chain of rows that releases before migration 9 wrote. Checked by [`super::verify()`].

use gx_db::PgConnection;
use sha2::{Digest, Sha256};

use super::content::{ChainEnd, ChainRow};
use super::fault::{AuditLogFault, VerifyError};
use super::store;

/// Number of rows that are read at a time.
const ROWS_AT_A_TIME: i64 = 1_000;

/// Checks every row of the chain and returns its end. Each of `sealed`, the ends that the batches
/// contain in ascending order, must be in the chain.
pub(super) async fn verify(
    conn: &mut PgConnection,
    sealed: &[ChainEnd],
) -> Result<ChainEnd, VerifyError> {
    let (mut end, mut sealed) = (ChainEnd::empty(), sealed.iter().peekable());
    loop {
        let rows = store::chain_rows(conn, end.seq, ROWS_AT_A_TIME).await?;
        let is_last = rows.is_empty();
        for row in rows {
            check_sealed(&mut sealed, &end)?;
            let seq = end.seq + 1;
            if row.entry.seq != seq {
                return Err(AuditLogFault::MissingRow(seq).into());
            }
            if row.previous_hash != end.hash || hash(&row) != row.hash {
                return Err(AuditLogFault::ChangedRow(seq).into());
            }
            end = ChainEnd { seq, hash: row.hash };
        }
        if is_last {
            check_sealed(&mut sealed, &end)?;
            return match sealed.next() {
                Some(missing) => Err(AuditLogFault::MissingRow(missing.seq).into()),
                None => Ok(end),
            };
        }
    }
}

fn check_sealed<'a>(
    sealed: &mut std::iter::Peekable<impl Iterator<Item = &'a ChainEnd>>,
    end: &ChainEnd,
) -> Result<(), AuditLogFault> {
    while let Some(known) = sealed.next_if(|known| known.seq == end.seq) {
        if known.hash != end.hash {
            return Err(AuditLogFault::ChangedRow(end.seq));
        }
    }
    Ok(())
}

/// Returns the hash that a row must have.
pub(super) fn hash(row: &ChainRow) -> Vec<u8> {
    Sha256::new()
        .chain_update(&row.previous_hash)
        .chain_update(row.entry.bytes())
        .finalize()
        .to_vec()
}
