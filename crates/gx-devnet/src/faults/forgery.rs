//! Forged blocks, which differ from the committed ones. A peer with the fault forges each block
//! that it sends.

use gx_fabric_proto::common::Block;

/// The way in which a peer forges a block that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// The previous hash is wrong, so the block's own hash differs, too.
    PreviousHash,
    /// The entries do not match the data hash in the header.
    DataHash,
}

impl Forgery {
    /// Forges a block.
    pub(crate) fn forge(self, block: &mut Block) {
        match self {
            Self::PreviousHash => {
                if let Some(header) = &mut block.header {
                    header.previous_hash.resize(32, 0);
                    header.previous_hash[0] ^= 1;
                }
            }
            Self::DataHash => {
                if let Some(data) = &mut block.data {
                    data.data.push(b"forged".to_vec());
                }
            }
        }
    }
}
