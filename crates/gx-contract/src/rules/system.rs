//! The rules of the whole system: supply, countries, pause, treasuries. Each function applies one
//! kind of command for [`super::apply`].

use gx_model::{
    AccountBalance, AccountId, Country, CountryCode, CountryList, DomainEvent, Pool, Qirat,
    ReasonCode, RejectionCode,
};

use super::account;
use crate::call_error::{Damaged, Stop};
use crate::keys;
use crate::overlay::{Effect, Overlay};
use crate::records::{Account, Standing, System};

pub(super) fn bootstrap(system: &System) -> Result<Effect, Stop> {
    if system.bootstrapped {
        let detail = "the supply exists already";
        return Err(Stop::refused(RejectionCode::AlreadyBootstrapped, detail));
    }
    let pools = Pool::ALL
        .map(|pool| AccountBalance { account: AccountId::Pool(pool), balance: pool.start() });
    let effect = Effect::new(DomainEvent::SystemBootstrapped { pools: pools.to_vec() })
        .put(keys::SYSTEM, &System { bootstrapped: true, ..system.clone() });
    Ok(pools.into_iter().fold(effect, |effect, AccountBalance { account, balance }| {
        effect.put(keys::account(&account), &Account { balance, standing: Standing::Open {} })
    }))
}

pub(super) fn add_countries(state: &Overlay, countries: &[Country]) -> Result<Effect, Stop> {
    if countries.is_empty() {
        let detail = "a list of countries has at least one";
        return Err(Stop::refused(RejectionCode::InvalidCommand, detail));
    }
    let mut shares: u64 = state.get(keys::SHARES)?.unwrap_or_default();
    let mut effect =
        Effect::new(DomainEvent::CountryDataInitialized { countries: countries.to_vec() });
    for (at, country) in countries.iter().enumerate() {
        let code = country.country_code;
        let twice = countries[..at].iter().any(|before| before.country_code == code);
        let known: Option<Country> = state.get(&keys::country(code))?;
        if twice || known.is_some() {
            let detail = format!("{code} has its data already");
            return Err(Stop::refused(RejectionCode::CountryExists, detail));
        }
        let treasury = Account { balance: Qirat::ZERO, standing: Standing::Locked {} };
        effect = effect
            .put(keys::country(code), country)
            .put(keys::account(&AccountId::Treasury(code)), &treasury);
        shares = shares
            .checked_add(u64::from(country.share_ppb))
            .ok_or_else(|| Damaged("the sum of the shares is above 64 bits".to_owned()))?;
    }
    if shares > CountryList::SHARE_TOTAL {
        let detail = format!("the shares would sum to {shares} parts per 10^9");
        return Err(Stop::refused(RejectionCode::SharesExceedTotal, detail));
    }
    Ok(effect.put(keys::SHARES, &shares))
}

pub(super) fn pause(system: &System, reason_code: &ReasonCode) -> Result<Effect, Stop> {
    if system.paused.is_some() {
        let detail = "the system is paused already";
        return Err(Stop::refused(RejectionCode::AlreadyPaused, detail));
    }
    let event = DomainEvent::SystemPaused { reason_code: reason_code.clone() };
    let paused = System { paused: Some(reason_code.clone()), ..system.clone() };
    Ok(Effect::new(event).put(keys::SYSTEM, &paused))
}

pub(super) fn resume(system: &System) -> Result<Effect, Stop> {
    if system.paused.is_none() {
        return Err(Stop::refused(RejectionCode::NotPaused, "the system is not paused"));
    }
    let running = System { paused: None, ..system.clone() };
    Ok(Effect::new(DomainEvent::SystemResumed {}).put(keys::SYSTEM, &running))
}

pub(super) fn activate(state: &Overlay, country_code: CountryCode) -> Result<Effect, Stop> {
    let id = AccountId::Treasury(country_code);
    let treasury = account(state, &id)?;
    if treasury.standing != (Standing::Locked {}) {
        let detail = format!("{id} is active already");
        return Err(Stop::refused(RejectionCode::TreasuryActive, detail));
    }
    let treasury = Account { standing: Standing::Open {}, ..treasury };
    let event = DomainEvent::TreasuryAccountActivated { country_code };
    Ok(Effect::new(event).put(keys::account(&id), &treasury))
}
