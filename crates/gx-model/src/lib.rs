//! The types that all parts of GX share: ids, money, commands, domain events, and their wire form.
//!
//! Nothing here does I/O or waits. Callers pass in the clock and the source of randomness.

mod account;
mod account_type;
mod batch;
mod call;
mod command;
mod country;
mod economy;
mod event;
mod fabric_id;
mod ids;
mod kind;
mod qirat;
mod record;
mod rejection;
mod status;

pub use account::{AccountId, Pool};
pub use account_type::AccountType;
pub use batch::{BatchCommand, BatchEntry, BatchEvent, EntryOutcome};
pub use call::{CommandCall, InvalidCommand};
pub use command::Command;
pub use country::{Country, CountryCode, CountryList, CountryListError, InvalidCountryCode};
pub use event::{AccountBalance, DomainEvent, GrantRefusal};
pub use fabric_id::{FabricUserId, Gender, IdMismatch, IdSubject, InvalidFabricUserId};
pub use gx_ledger_api::{Clock, SignerRole, UnknownName};
pub use ids::{BiometricHash, CommandId, InvalidId, ReasonCode, TxType};
pub use kind::{CommandKind, PostCondition};
pub use qirat::{Gx, InvalidAmount, Qirat};
pub use record::{EventRecord, UnreadableEvent};
pub use rejection::{Prerequisite, Rejection, RejectionCode};
pub use status::{
    AccountAccess, AccountStatus, AttemptState, CommandStatus, DenialFinality, OnchainStatus,
    SubmissionStatus, TaskState,
};

pub mod economics {
    //! The economic constants, in one place (CFG-10).
    pub use crate::economy::*;
}
