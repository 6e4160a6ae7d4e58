//! Fabric messages and services as generated code, with transaction id, header and certificate
//! helpers.
//!
//! The code is generated at build time. The files in `proto/` are written by us. Package, message
//! and field names and numbers are Fabric's, so real peers and the development ledger understand
//! each other.

#![expect(
    clippy::allow_attributes,
    reason = "which rules generated code breaks differs from module to module"
)]

mod attributes;
mod hashing;
mod pem;

pub use attributes::{ATTRIBUTES_OID, MalformedAttributes, attribute};
pub use hashing::{block_data_hash, block_header_bytes, block_header_hash, transaction_id};
pub use pem::{
    PemCertificate, PemError, PemKey, TlsPair, certificate_of, certificates_in, certificates_pem,
    private_key_in,
};

/// Limit of a message in both directions: a peer sends up to 100 MB.
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
            clippy::allow_attributes_without_reason,
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
