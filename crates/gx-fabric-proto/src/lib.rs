//! Fabric messages and services as generated code, with transaction id, header and certificate helpers.
//!
//! The texts in `proto/` are our own; package, message and field names and numbers are
//! those of Fabric, so that real peers and the development ledger understand each other.

mod attributes;
mod hashing;

pub use attributes::{ATTRIBUTES_OID, MalformedAttributes, attribute};
pub use hashing::{block_data_hash, block_header_bytes, block_header_hash, transaction_id};

/// The largest message either end accepts: a peer sends up to 100 MB.
pub const MAX_MESSAGE_BYTES: usize = 100 * 1024 * 1024;

/// The type URL under which a gateway packs an `ErrorDetail` into a status.
pub const ERROR_DETAIL_TYPE_URL: &str = "type.googleapis.com/gateway.ErrorDetail";

macro_rules! generated {
    ($(#[$doc:meta])* $name:ident, $package:literal) => {
        $(#[$doc])*
        #[allow(
            missing_docs,
            unreachable_pub,
            clippy::all,
            clippy::pedantic,
            reason = "generated code has rules of its own"
        )]
        pub mod $name {
            tonic::include_proto!($package);
        }
    };
}

generated!(
    /// Blocks, envelopes and their headers; policies and channel configurations.
    common,
    "common"
);
generated!(
    /// The Gateway service.
    gateway,
    "gateway"
);
generated!(
    /// Reads and writes of keys.
    kvrwset,
    "kvrwset"
);
generated!(
    /// Definitions of chaincodes.
    lifecycle,
    "lifecycle"
);
generated!(
    /// Identities and organisations.
    msp,
    "msp"
);
generated!(
    /// Seek requests and the orderer's service.
    orderer,
    "orderer"
);
generated!(
    /// Proposals, transactions, the Deliver service, collections, and the protocol between
    /// peer and chaincode.
    protos,
    "protos"
);
generated!(
    /// Entries of range queries and histories.
    queryresult,
    "queryresult"
);
generated!(
    /// Read-write sets.
    rwset,
    "rwset"
);
/// Messages of Google's API conventions.
pub mod google {
    generated!(
        /// The gRPC error model.
        rpc,
        "google.rpc"
    );
}
