//! Converts blocks to the messages of the orderer's Deliver service, whose blocks have no
//! validation codes. [`Session`](crate::deliver::Session) calls it for each block.

use gx_fabric_proto::common::{Block, BlockMetadataIndex, Status as DeliverStatus};
use gx_fabric_proto::orderer::{DeliverResponse, deliver_response};

use crate::deliver::{DeliverMessages, Seek};
use crate::ledger::{StoreError, clear_metadata};

/// The form of the blocks that an orderer sends.
pub(super) struct OrdererBlocks;

impl DeliverMessages for OrdererBlocks {
    type Message = DeliverResponse;

    fn block(&self, _: &Seek, mut block: Block) -> Result<DeliverResponse, StoreError> {
        clear_metadata(&mut block, BlockMetadataIndex::TransactionsFilter);
        clear_metadata(&mut block, BlockMetadataIndex::CommitHash);
        Ok(DeliverResponse { r#type: Some(deliver_response::Type::Block(block)) })
    }

    fn status(&self, status: DeliverStatus) -> DeliverResponse {
        DeliverResponse { r#type: Some(deliver_response::Type::Status(status.into())) }
    }
}
