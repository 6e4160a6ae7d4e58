//! Converts amounts of the read model for answers. Called by the routes of wallets and supply.

use gx_model::{Gx, Qirat};
use gx_serve::Problem;

/// Returns an amount in Qirat as an amount in GX.
///
/// # Errors
/// An internal problem if the amount is negative or above the supply, which no ledger can have.
pub(crate) fn to_gx(qirat: i64) -> Result<Gx, Problem> {
    Qirat::new(qirat).map(Gx).map_err(|why| Problem::internal(&why))
}
