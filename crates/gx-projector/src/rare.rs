//! What happens a few times in the life of a ledger: bootstrap, countries, pauses, freezes.

use gx_db::PgConnection;
use gx_model::{
    AccountBalance, AccountId, Country, CountryCode, DomainEvent, FabricUserId, Prerequisite,
    ReasonCode,
};
use time::OffsetDateTime;

use crate::error::NotApplied;
use crate::place::{Place, wallet_id};
use crate::store::{money, people, system};

/// Applies a rare event. An account that the read model does not know makes it
/// inapplicable; nothing is ever dropped.
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
        DomainEvent::SystemPaused { reason_code } => pause(conn, Some(reason_code), place).await,
        DomainEvent::SystemResumed {} => pause(conn, None, place).await,
        DomainEvent::TreasuryAccountActivated { country_code } => {
            activate_treasury(conn, *country_code, place).await
        }
        DomainEvent::WalletFrozen { user_id, reason_code } => {
            freeze(conn, user_id, Some(&reason_code.to_string()), place).await
        }
        DomainEvent::WalletUnfrozen { user_id } => freeze(conn, user_id, None, place).await,
        DomainEvent::UserCreated { .. }
        | DomainEvent::GenesisDistributed { .. }
        | DomainEvent::TransferCompleted { .. }
        | DomainEvent::CommandsCancelled { .. } => {
            Err(NotApplied::Inapplicable(format!("{} is written as rows", event.name())))
        }
    }
}

/// Frees the commands that waited for what an event brought.
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
    gx_outbox::prerequisites_arrived(conn, &arrived, now).await
}

async fn bootstrap(
    conn: &mut PgConnection,
    pools: &[AccountBalance],
    place: &Place,
) -> Result<(), NotApplied> {
    let mut ids = Vec::with_capacity(pools.len());
    for pool in pools {
        let AccountId::Pool(id) = &pool.account else {
            return Err(NotApplied::Inapplicable(format!("{} is no pool", pool.account)));
        };
        ids.push(id.name().to_owned());
    }
    let balances: Vec<i64> = pools.iter().map(|pool| pool.balance.get()).collect();
    system::create_pools(conn, &ids, &balances).await?;
    system::bootstrapped(conn, &place.channel, &place.tx_id, place.ledger_at).await?;
    Ok(())
}

/// Pauses the system, or ends that (no reason).
async fn pause(
    conn: &mut PgConnection,
    reason: Option<&ReasonCode>,
    place: &Place,
) -> Result<(), NotApplied> {
    let reason = reason.map(ToString::to_string);
    system::set_paused(conn, &place.channel, reason.as_deref(), place.ledger_at).await?;
    Ok(())
}

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
    system::create_countries(conn, &codes, &names, &shares).await?;
    let wallet_ids: Vec<_> = treasuries.iter().map(wallet_id).collect();
    let account_ids: Vec<_> = treasuries.iter().map(ToString::to_string).collect();
    money::create_treasuries(
        conn,
        &wallet_ids,
        &account_ids,
        &place.tx_id,
        place.block_number,
        place.ledger_at,
    )
    .await?;
    Ok(())
}

async fn activate_treasury(
    conn: &mut PgConnection,
    country_code: CountryCode,
    place: &Place,
) -> Result<(), NotApplied> {
    let account = AccountId::Treasury(country_code);
    let (tx_id, block) = (&place.tx_id, place.block_number);
    if money::unlock(conn, &account.to_string(), tx_id, block, place.ledger_at).await? {
        return Ok(());
    }
    Err(unknown(&account))
}

async fn freeze(
    conn: &mut PgConnection,
    user_id: &FabricUserId,
    reason: Option<&str>,
    place: &Place,
) -> Result<(), NotApplied> {
    let Some(profile_id) = people::set_frozen(conn, &user_id.to_string(), reason).await? else {
        return Err(unknown(&AccountId::User(user_id.clone())));
    };
    let (from, to) = if reason.is_some() { ("ACTIVE", "FROZEN") } else { ("FROZEN", "ACTIVE") };
    people::move_status(conn, &profile_id, from, to, place.ledger_at).await?;
    Ok(())
}

/// An account that the chain knows and the read model does not.
fn unknown(account: &AccountId) -> NotApplied {
    NotApplied::Inapplicable(format!("the read model has no account {account}"))
}
