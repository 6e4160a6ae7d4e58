//! The words that every part of GX shares: ids, money, commands, domain events, and their
//! wire form.
//!
//! Nothing here does I/O or waits. The clock and randomness come in as parameters.

mod account;
mod account_type;
mod batch;
mod call;
mod clock;
mod command;
mod country;
mod economy;
mod event;
mod fabric_id;
mod ids;
mod kind;
mod named;
mod qirat;
mod record;
mod rejection;
mod status;

pub use account::{AccountId, Pool};
pub use account_type::AccountType;
pub use batch::{BatchCommand, BatchEntry, BatchEvent, EntryOutcome};
pub use call::{CommandCall, InvalidCommand};
pub use clock::Clock;
pub use command::Command;
pub use country::{Country, CountryCode, CountryList, CountryListError, InvalidCountryCode};
pub use event::{AccountBalance, DomainEvent, GrantRefusal};
pub use fabric_id::{FabricUserId, Gender, IdMismatch, IdSubject, InvalidFabricUserId};
pub use ids::{BiometricHash, CommandId, InvalidId, ReasonCode, TxType};
pub use kind::{CommandKind, PostCondition, SignerRole};
pub use named::UnknownName;
pub use qirat::{Gx, InvalidAmount, Qirat};
pub use record::{EventRecord, UnreadableEvent};
pub use rejection::{Prerequisite, Rejection, RejectionCode};
pub use status::{
    Access, AccountStatus, AttemptState, CommandStatus, DenialFinality, OnchainStatus,
};

pub mod economics {
    //! The economic constants, in one place (CFG-10).
    pub use crate::economy::*;
}
