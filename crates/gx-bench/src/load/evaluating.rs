//! Queries to the contracts, without transactions. The load of the row `devnet-evaluate`.

use gx_fabric_client::Ledger;

use super::{ledger, signers, spread};
use crate::error::BenchError;
use crate::people::user_id;
use crate::server::Target;

/// The ledger that is asked.
pub(super) struct Evaluating(Ledger);

impl Evaluating {
    pub(super) fn prepare(target: &Target) -> Result<Self, BenchError> {
        let (_, reader) = signers(target)?;
        Ok(Self(ledger(target, reader)?))
    }

    pub(super) async fn carry_out(&self, operations: u64) -> Result<(), BenchError> {
        let ledger = self.0.clone();
        let ask = move |number| {
            let ledger = ledger.clone();
            async move {
                ledger
                    .evaluate("IdentityContract:UserExists", &[user_id(number).to_string()])
                    .await?;
                Ok(())
            }
        };
        spread(0, operations, ask).await
    }
}
