//! The rules of all commands. [`crate::batch`] calls [`apply`] for each command. A rule reads only
//! values that were read ahead, checks its reasons to refuse or defer in a fixed order, and returns
//! its whole effect or a [`Stop`].

mod genesis;
mod system;
mod transfers;
mod users;

use gx_model::{AccountId, Command, InvalidCommand, Prerequisite, RejectionCode};
use time::Date;

use crate::call_error::Stop;
use crate::keys;
use crate::overlay::{Effect, Overlay};
use crate::records::{Account, System};

pub(crate) use transfers::priced;

/// The transaction's id and its day in UTC.
pub(crate) struct Moment<'a> {
    pub(crate) tx_id: &'a str,
    pub(crate) today: Date,
}

/// Returns the keys that a command can read, without the system's key and the command's own record.
pub(crate) fn keys(command: &Command) -> Vec<String> {
    match command {
        Command::BootstrapSystem {} | Command::PauseSystem { .. } | Command::ResumeSystem {} => {
            vec![]
        }
        Command::InitializeCountryData { countries } => {
            let countries = countries.iter().map(|country| keys::country(country.country_code));
            countries.chain([keys::SHARES.to_owned()]).collect()
        }
        Command::ActivateTreasury { country_code } => {
            vec![keys::account(&AccountId::Treasury(*country_code))]
        }
        Command::CreateUser { user_id, nationality, .. } => {
            vec![keys::country(*nationality), user_account(user_id)]
        }
        Command::DistributeGenesis { user_id, nationality } => vec![
            keys::country(*nationality),
            keys::counters(*nationality),
            keys::account(&AccountId::Treasury(*nationality)),
            keys::grant(user_id),
            user_account(user_id),
        ],
        Command::Transfer { from, to, .. } => vec![keys::account(from), keys::account(to)],
        Command::FreezeWallet { user_id, .. } | Command::UnfreezeWallet { user_id } => {
            vec![user_account(user_id)]
        }
    }
}

/// Applies the command's rule and returns its effect. A call that could not be parsed is refused
/// like any other command, unless the system is paused: then every command but pause and resume is
/// deferred.
pub(crate) fn apply(
    state: &Overlay,
    moment: &Moment<'_>,
    command: &Result<Command, InvalidCommand>,
) -> Result<Effect, Stop> {
    let system: System = state.get(keys::SYSTEM)?.unwrap_or_default();
    let command = command.as_ref();
    // A pause during a pause is refused and not deferred; otherwise it would pause again after the
    // resume.
    let despite_pause =
        matches!(command, Ok(Command::PauseSystem { .. } | Command::ResumeSystem {}));
    if system.paused.is_some() && !despite_pause {
        return Err(Stop::Deferred(Prerequisite::SystemResumed {}));
    }
    let command =
        command.map_err(|why| Stop::refused(RejectionCode::InvalidCommand, why.to_string()))?;
    let before_bootstrap = despite_pause
        || matches!(command, Command::BootstrapSystem {} | Command::InitializeCountryData { .. });
    if !system.bootstrapped && !before_bootstrap {
        return Err(Stop::Deferred(Prerequisite::SystemBootstrapped {}));
    }
    match command {
        Command::BootstrapSystem {} => system::bootstrap(&system),
        Command::InitializeCountryData { countries } => system::add_countries(state, countries),
        Command::PauseSystem { reason_code } => system::pause(&system, reason_code),
        Command::ResumeSystem {} => system::resume(&system),
        Command::ActivateTreasury { country_code } => system::activate(state, *country_code),
        Command::CreateUser { user_id, biometric_hash, nationality, age } => {
            users::create(state, moment, user_id, biometric_hash, *nationality, *age)
        }
        Command::DistributeGenesis { user_id, nationality } => {
            genesis::distribute(state, moment, user_id, *nationality)
        }
        Command::Transfer { from, to, amount, tx_type } => {
            transfers::transfer(state, from, to, *amount, *tx_type)
        }
        Command::FreezeWallet { user_id, reason_code } => {
            users::freeze(state, user_id, reason_code)
        }
        Command::UnfreezeWallet { user_id } => users::unfreeze(state, user_id),
    }
}

fn user_account(id: &gx_model::FabricUserId) -> String {
    keys::account(&AccountId::User(id.clone()))
}

/// Returns an account that must exist. If a treasury is missing, the command waits for its
/// country's data.
fn account(state: &Overlay, id: &AccountId) -> Result<Account, Stop> {
    match (state.get(&keys::account(id))?, id) {
        (Some(account), _) => Ok(account),
        (None, AccountId::Treasury(country_code)) => {
            Err(Stop::Deferred(Prerequisite::Country { country_code: *country_code }))
        }
        (None, _) => {
            Err(Stop::refused(RejectionCode::AccountUnknown, format!("there is no account {id}")))
        }
    }
}
