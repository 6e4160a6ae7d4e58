//! Creates people, each in a transaction of its own, until these are in blocks. The load of the row
//! `devnet-commit`.

use gx_fabric_client::{Follower, Identity, Ledger, TransactionKind};
use gx_fabric_proto::common::{Envelope, Payload};
use gx_fabric_proto::protos::{ChaincodeActionPayload, Transaction};
use gx_model::CountryList;
use prost::Message;
use rand::RngExt;

use super::{ledger, signers, spread};
use crate::error::BenchError;
use crate::people::user_id;
use crate::server::Target;

/// The ledger that is loaded, and the number of people so far.
pub(super) struct Committing {
    ledger: Ledger,
    signer: Identity,
    blocks: Follower,
    created: u64,
    pub(super) endorsements: u64,
}

impl Committing {
    /// Bootstraps the ledger and begins to follow its blocks.
    pub(super) async fn prepare(target: &Target) -> Result<Self, BenchError> {
        let (super_admin, signer) = signers(target)?;
        let ledger = ledger(target, signer.clone())?;
        let all: Vec<_> = CountryList::embedded().iter().collect();
        let countries = vec![serde_json::to_string(&all)?];
        let countries = ("AdminContract:InitializeCountryData", countries);
        let mut endorsements = 0;
        for (function, mut args) in [("AdminContract:BootstrapSystem", vec![]), countries] {
            args.push(fresh_id());
            let endorsed = ledger.endorse(&super_admin, function, &args).await?;
            endorsements = endorsements_of(&endorsed.envelope)?;
            ledger.submit(&endorsed.tx_id, &endorsed.envelope).await?;
            ledger.commit_status(&super_admin, &endorsed.tx_id).await?;
        }
        let newest = ledger.heights().await.into_iter().find_map(|peer| peer.height.ok());
        let newest = newest.unwrap_or(1).saturating_sub(1);
        let known =
            ledger.block(newest).await.map_err(|why| BenchError::Blocks(why.to_string()))?;
        let blocks = ledger.follow(known.id());
        Ok(Self { ledger, signer, blocks, created: 0, endorsements })
    }

    /// Creates this many people and waits for their blocks.
    pub(super) async fn carry_out(&mut self, operations: u64) -> Result<(), BenchError> {
        let (ledger, signer) = (self.ledger.clone(), self.signer.clone());
        let create = move |number| {
            let (ledger, signer) = (ledger.clone(), signer.clone());
            async move {
                let hash = format!("{number:064x}");
                let (id, age) = (user_id(number), "34".to_owned());
                let args = [id.to_string(), hash, id.country().to_string(), age, fresh_id()];
                let function = "IdentityContract:CreateUser";
                let endorsed = ledger.endorse(&signer, function, &args).await?;
                ledger.submit(&endorsed.tx_id, &endorsed.envelope).await?;
                Ok(())
            }
        };
        let sent = spread(self.created, operations, create);
        self.created += operations;
        tokio::try_join!(sent, committed(&mut self.blocks, operations))?;
        Ok(())
    }
}

/// Reads blocks until `transactions` valid transactions have arrived. Fails for an invalid one.
async fn committed(blocks: &mut Follower, transactions: u64) -> Result<(), BenchError> {
    let mut seen = 0;
    while seen < transactions {
        let block = blocks.next().await.map_err(|why| BenchError::Blocks(why.to_string()))?;
        for transaction in block.transactions {
            if !transaction.code.is_valid() {
                let code = transaction.code.name().into_owned();
                return Err(BenchError::Invalid { tx_id: transaction.tx_id, code });
            }
            seen += u64::from(transaction.kind == TransactionKind::Endorser);
        }
    }
    Ok(())
}

/// Returns the number of endorsements in an envelope.
fn endorsements_of(envelope: &[u8]) -> Result<u64, BenchError> {
    let count = || -> Result<usize, prost::DecodeError> {
        let envelope = Envelope::decode(envelope)?;
        let payload = Payload::decode(&envelope.payload[..])?;
        let actions = Transaction::decode(&payload.data[..])?.actions;
        let action = actions.first().map_or(&[][..], |action| &action.payload);
        let action = ChaincodeActionPayload::decode(action)?.action;
        Ok(action.map_or(0, |action| action.endorsements.len()))
    };
    let count = count().map_err(|why| BenchError::Blocks(why.to_string()))?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Returns a random command id (UUID version 4).
fn fresh_id() -> String {
    let random: u128 = rand::rng().random();
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
