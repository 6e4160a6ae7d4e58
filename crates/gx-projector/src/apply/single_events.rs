//! Applies events of rare kinds, each with its own statements: bootstrap, countries, treasuries,
//! pause and resume, freeze and unfreeze. Called by `events`.

use gx_db::PgConnection;
use gx_model::{
    AccountBalance, AccountId, Country, CountryCode, DomainEvent, FabricUserId, Prerequisite,
    ReasonCode,
};
use time::OffsetDateTime;

use super::store::freezes;
use super::store::money;
use super::store::system;
use crate::error::{NotApplied, no_account};
use crate::place::{Place, wallet_id};

/// Applies an event of a rare kind. A newer fact in the database stays. The event is inapplicable
/// if it is of another kind, if the read model lacks its treasury, if a pool of a bootstrap is not
/// a pool, or if the database rejects its data; the caller makes it a dead letter then.
pub(crate) async fn apply(
    conn: &mut PgConnection,
    event: &DomainEvent,
    place: &Place,
) -> Result<(), NotApplied> {
    match event {
        DomainEvent::SystemBootstrapped { pools } => bootstrap(conn, pools, place).await,
        DomainEvent::CountryDataInitialized { countries } => {
            initialize_countries(conn, countries, place).await
        }
        DomainEvent::SystemPaused { reason_code } => {
            set_paused(conn, Some(reason_code), place).await
        }
        DomainEvent::SystemResumed {} => set_paused(conn, None, place).await,
        DomainEvent::TreasuryAccountActivated { country_code } => {
            activate_treasury(conn, *country_code, place).await
        }
        DomainEvent::WalletFrozen { user_id, reason_code } => {
            set_frozen(conn, user_id, Some(&reason_code.to_string()), place).await
        }
        DomainEvent::WalletUnfrozen { user_id } => set_frozen(conn, user_id, None, place).await,
        DomainEvent::UserCreated { .. }
        | DomainEvent::GenesisDistributed { .. }
        | DomainEvent::TransferCompleted { .. }
        | DomainEvent::CommandsCancelled { .. } => {
            Err(NotApplied::Inapplicable(format!("{} is written as rows", event.name())))
        }
    }
}

/// Releases the commands that are blocked until this event.
pub(crate) async fn release(
    conn: &mut PgConnection,
    event: &DomainEvent,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let arrived = match event {
        DomainEvent::SystemBootstrapped { .. } => vec![Prerequisite::SystemBootstrapped {}],
        DomainEvent::SystemResumed {} => vec![Prerequisite::SystemResumed {}],
        DomainEvent::CountryDataInitialized { countries } => countries
            .iter()
            .map(|country| Prerequisite::Country { country_code: country.country_code })
            .collect(),
        _ => return Ok(()),
    };
    gx_outbox::projector::prerequisites_arrived(conn, &arrived, now).await
}

/// Adds the pools with their start balances, and records the bootstrap.
async fn bootstrap(
    conn: &mut PgConnection,
    pools: &[AccountBalance],
    place: &Place,
) -> Result<(), NotApplied> {
    let mut ids = Vec::with_capacity(pools.len());
    for pool in pools {
        let AccountId::Pool(id) = &pool.account else {
            return Err(NotApplied::Inapplicable(format!("{} is not a pool", pool.account)));
        };
        ids.push(id.name().to_owned());
    }
    let balances: Vec<i64> = pools.iter().map(|pool| pool.balance.get()).collect();
    system::create_pools(conn, &ids, &balances).await?;
    system::bootstrapped(conn, place).await?;
    Ok(())
}

/// Records a pause of the system, or that it was resumed if there is no reason.
async fn set_paused(
    conn: &mut PgConnection,
    reason: Option<&ReasonCode>,
    place: &Place,
) -> Result<(), NotApplied> {
    let reason = reason.map(ToString::to_string);
    system::set_paused(conn, reason.as_deref(), place).await?;
    Ok(())
}

/// Adds or updates countries, and adds a locked, empty treasury for each new one.
async fn initialize_countries(
    conn: &mut PgConnection,
    countries: &[Country],
    place: &Place,
) -> Result<(), NotApplied> {
    let treasuries: Vec<AccountId> =
        countries.iter().map(|country| AccountId::Treasury(country.country_code)).collect();
    let codes: Vec<_> = countries.iter().map(|country| country.country_code.to_string()).collect();
    let names: Vec<_> = countries.iter().map(|country| country.name.clone()).collect();
    let shares: Vec<_> = countries.iter().map(|country| i64::from(country.share_ppb)).collect();
    system::set_countries(conn, &codes, &names, &shares, place).await?;
    let wallet_ids: Vec<_> = treasuries.iter().map(wallet_id).collect();
    let account_ids: Vec<_> = treasuries.iter().map(ToString::to_string).collect();
    money::create_treasuries(conn, &wallet_ids, &account_ids, place).await?;
    Ok(())
}

/// Unlocks a treasury. An event that is older than the lock changes nothing.
async fn activate_treasury(
    conn: &mut PgConnection,
    country_code: CountryCode,
    place: &Place,
) -> Result<(), NotApplied> {
    let account = AccountId::Treasury(country_code).to_string();
    if money::unlock(conn, &account, place).await?
        || !money::with_wallet(conn, &[&account]).await?.is_empty()
    {
        return Ok(());
    }
    Err(NotApplied::Inapplicable(no_account(&account)))
}

/// Freezes a person, or unfreezes the person if there is no reason. If the creation of the person
/// is a dead letter, the freeze is stored and takes effect when that is replayed.
async fn set_frozen(
    conn: &mut PgConnection,
    user_id: &FabricUserId,
    reason: Option<&str>,
    place: &Place,
) -> Result<(), NotApplied> {
    let (id, is_frozen) = (user_id.to_string(), reason.is_some());
    freezes::note_user(conn, &id).await?;
    let is_newest = freezes::set_frozen(conn, &id, reason, place).await?;
    let owner = freezes::see_freeze(conn, &id, place.ledger_at).await?;
    if let Some(profile_id) = owner {
        let at = place.ledger_at;
        freezes::follow_freeze(conn, &profile_id, is_frozen, is_newest, at).await?;
    }
    Ok(())
}
