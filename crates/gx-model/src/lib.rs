//! The words that every part of GX shares: ids, money, commands, domain events, and their
//! wire form.
//!
//! Nothing here does I/O or waits. The clock and randomness come in as parameters.

mod account;
mod account_type;
mod clock;
mod command;
mod country;
mod economy;
mod event;
mod fabric_id;
mod ids;
mod named;
mod qirat;
mod status;

pub use account::{AccountId, Pool};
pub use account_type::AccountType;
pub use clock::Clock;
pub use command::{Command, CommandCall, CommandKind, InvalidCommand, SignerRole};
pub use country::{Country, CountryCode, CountryList, CountryListError, InvalidCountryCode};
pub use event::{
    AccountBalance, BatchEntry, BatchEvent, DomainEvent, EntryOutcome, EventRecord, GrantRefusal,
    Prerequisite, Rejection, RejectionCode, UnreadableEvent,
};
pub use fabric_id::{FabricUserId, Gender, IdMismatch, IdSubject, InvalidFabricUserId};
pub use ids::{BiometricHash, CommandId, InvalidId, ReasonCode, TxType};
pub use named::UnknownName;
pub use qirat::{Gx, InvalidAmount, Qirat};
pub use status::{
    Access, AccountStatus, AttemptState, CommandStatus, DenialFinality, OnchainStatus,
};

pub mod economics {
    //! The economic constants, in one place (CFG-10).
    pub use crate::economy::*;
}
