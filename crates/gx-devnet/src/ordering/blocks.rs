//! The orderer's Deliver service, whose blocks have no validation codes.

use gx_fabric_proto::common::{Block, BlockMetadataIndex, Status as DeliverStatus};
use gx_fabric_proto::orderer::DeliverResponse;
use gx_fabric_proto::orderer::deliver_response::Type as Answer;

use crate::deliver::{Answers, Seek};
use crate::ledger::{StoreError, clear_metadata};

/// Prepares the blocks that an orderer sends.
pub(super) struct OrdererBlocks;

impl Answers for OrdererBlocks {
    type Answer = DeliverResponse;

    fn block(&self, _: &Seek, mut block: Block) -> Result<DeliverResponse, StoreError> {
        clear_metadata(&mut block, BlockMetadataIndex::TransactionsFilter);
        clear_metadata(&mut block, BlockMetadataIndex::CommitHash);
        Ok(DeliverResponse { r#type: Some(Answer::Block(block)) })
    }

    fn status(&self, status: DeliverStatus) -> DeliverResponse {
        DeliverResponse { r#type: Some(Answer::Status(status.into())) }
    }
}
