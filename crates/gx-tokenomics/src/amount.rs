//! Amounts out of the read model.

use gx_model::{Gx, Qirat};
use gx_serve::Problem;

/// An amount as clients see it.
///
/// # Errors
/// When the read model holds what no ledger can say: a failure on our side.
pub(crate) fn gx(qirat: i64) -> Result<Gx, Problem> {
    Qirat::new(qirat).map(Gx).map_err(|why| Problem::internal(&why))
}
