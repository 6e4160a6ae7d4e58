//! The one ledger client: identity, proposal, endorsement, submission, block stream.
//!
//! A [`Ledger`] speaks Fabric's Gateway and Deliver services to the configured peers. It
//! needs no connection to exist: each call finds a peer, and every failure says in which
//! phase it happened and what can be done about it ([`LedgerError`]). A [`Follower`]
//! delivers verified blocks through outages and stops only for a chain that is wrong.

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
mod peer;
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
pub use chain::ChainError;
pub use commit_hash::{CommitHashes, PeerCommitHash};
pub use config::{ClientTls, ConfigError, LedgerConfig, LedgerLimits, PeerConfig};
pub use connect::ConnectFault;
pub use deliver::{BlockStream, StreamError};
pub use error::{Cause, EndorserDetail, LedgerError, OutcomeClass, Phase};
pub use finding::{Finding, Severity};
pub use follow::{FollowState, Follower};
pub use heights::PeerHeight;
pub use identity::{Identity, IdentityError};
pub use ledger::{CommitStatus, Endorsed, Ledger, Rights};
pub use peer::PeerState;
pub use pinned::pinned_names;
pub use preflight::{Errand, Signer};
pub use profile::{
    CredentialSource, DEFAULT_CHAINCODE, DEFAULT_CHANNEL, LARGEST_TIMEOUT_MS, PeerSource,
    PemSource, Profile, ProfileError, SignerSources,
};
pub use tonic::Code as GrpcCode;
