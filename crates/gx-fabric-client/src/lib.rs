//! The ledger client: identity, proposal, endorsement, submission, block stream.
//!
//! A [`Ledger`] uses the Gateway and Deliver services of the configured peers. It exists without a
//! connection: each call selects a peer, and every failure has a phase and a class that says what
//! can be done ([`LedgerError`]). A [`Follower`] delivers verified blocks through outages and stops
//! only for a wrong chain.
//!
//! Used by the submitter, the projector, `gx fabric` and the benchmarks.

mod backoff;
mod block;
mod breaker;
mod certificate;
mod chain;
mod commit_hash;
mod config;
mod connect;
mod deliver;
mod error;
mod finding;
mod follow;
mod heights;
mod identity;
mod ledger;
mod outcome_class;
mod peer;
mod peer_record;
mod pinned;
mod preflight;
mod profile;
mod proposal;
mod signature;
mod telemetry;

pub use block::{
    Block, BlockId, BlockTransaction, ChaincodeEvent, TransactionKind, ValidationCode,
};
pub use breaker::Breaker;
pub use chain::{ChainError, WrongPeer};
pub use commit_hash::{CommitHashes, PeerCommitHash};
pub use config::{ClientTls, ConfigError, LedgerConfig, LedgerLimits, PeerConfig};
pub use connect::ConnectFault;
pub use deliver::{BlockStream, StreamError};
pub use error::{Cause, EndorserDetail, LedgerError, Phase};
pub use finding::{Finding, Severity};
pub use follow::{FollowState, Follower};
pub use gx_fabric_proto::PemError;
pub use heights::PeerHeight;
pub use identity::{Identity, IdentityError};
pub use ledger::{CommitStatus, Endorsed, Ledger, Rights};
pub use outcome_class::OutcomeClass;
pub use peer::PeerState;
pub use pinned::pinned_names;
pub use preflight::{Signer, SignerUse};
pub use profile::{
    CredentialSource, DEFAULT_CHAINCODE, DEFAULT_CHANNEL, LARGEST_TIMEOUT_MS, PeerSource,
    PemSource, Profile, ProfileError, SignerSources,
};
pub use tonic::Code as GrpcCode;
