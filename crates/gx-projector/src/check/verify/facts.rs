//! A subject as a list of named facts, with the same names on both sides. A fact differs if only
//! one side has it or the values are not equal. Called by `fact_reader`, which makes the lists, and
//! by the parent module, which compares them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gx_model::{CountryCode, FabricUserId};
use serde::Serialize;

use super::chain::{CountryView, StandingView, SystemView, UserView};
use super::store::{CountryRow, PersonRow, SystemRow};

/// Facts by name. What does not exist has no fact.
pub(super) type Facts = BTreeMap<String, String>;

/// What is compared as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "id", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Subject {
    /// Whether the system is bootstrapped, and whether it is paused.
    System,
    /// The pools, without grants.
    Pools,
    /// A country with its counters and its treasury.
    Country(CountryCode),
    /// A person with identity, grant, wallet and owner, by the Fabric User ID.
    Person(String),
    /// Sums over everything. If only these differ, the chain has something that this database does
    /// not know of.
    Totals,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Pools => f.write_str("pools"),
            Self::Country(code) => write!(f, "country {code}"),
            Self::Person(id) => write!(f, "person {id}"),
            Self::Totals => f.write_str("totals"),
        }
    }
}

/// One fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactDifference {
    /// Table and column, or the name of a pool or sum.
    pub fact: String,
    /// Its value in the read model; `None` if it is absent there.
    pub here: Option<String>,
    /// Its value on the chain; `None` if it is absent there.
    pub chain: Option<String>,
}

/// Returns every fact that differs.
pub(super) fn differing(here: &Facts, chain: &Facts) -> Vec<FactDifference> {
    let names: BTreeSet<&String> = here.keys().chain(chain.keys()).collect();
    let both = names.into_iter().map(|name| FactDifference {
        fact: name.clone(),
        here: here.get(name).cloned(),
        chain: chain.get(name).cloned(),
    });
    both.filter(|fact| fact.here != fact.chain).collect()
}

/// Returns the facts that have a value, by name.
pub(super) fn facts<const N: usize>(known: [(&str, Option<String>); N]) -> Facts {
    let known = known.into_iter();
    known.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Returns `true` or nothing, so that a missing row equals its default.
fn only_true(value: bool) -> Option<String> {
    value.then(|| "true".to_owned())
}

pub(super) fn system_here(row: Option<&SystemRow>) -> Facts {
    facts([
        ("bootstrapped", only_true(row.is_some_and(|row| row.is_bootstrapped))),
        ("LedgerSystem.isPaused", only_true(row.is_some_and(|row| row.is_paused))),
        ("LedgerSystem.pauseReason", row.and_then(|row| row.pause_reason.clone())),
    ])
}

pub(super) fn system_on_chain(view: &SystemView) -> Facts {
    facts([
        ("bootstrapped", only_true(view.bootstrapped)),
        ("LedgerSystem.isPaused", only_true(view.paused)),
        ("LedgerSystem.pauseReason", text(view.reason_code.as_ref())),
    ])
}

pub(super) fn country_here(row: &CountryRow) -> Facts {
    facts([
        ("LedgerCountry.name", row.name.clone()),
        ("LedgerCountry.sharePpb", text(row.share_ppb)),
        ("LedgerCountry.users", text(row.users)),
        ("LedgerCountry.userTotal", text(row.user_total)),
        ("LedgerCountry.treasuryTotal", text(row.treasury_total)),
        ("Wallet.balance", text(row.treasury_balance)),
        ("Wallet.isLocked", text(row.treasury_is_locked)),
    ])
}

pub(super) fn country_on_chain(view: Option<&CountryView>) -> Facts {
    let Some(view) = view else { return Facts::new() };
    facts([
        ("LedgerCountry.name", Some(view.country.name.clone())),
        ("LedgerCountry.sharePpb", text(Some(view.country.share_ppb))),
        ("LedgerCountry.users", text(Some(view.users))),
        ("LedgerCountry.userTotal", text(Some(view.user_total.get()))),
        ("LedgerCountry.treasuryTotal", text(Some(view.treasury_total.get()))),
        ("Wallet.balance", text(Some(view.treasury_balance.get()))),
        ("Wallet.isLocked", text(Some(!view.treasury_active))),
    ])
}

pub(super) fn person_here(row: &PersonRow) -> Facts {
    let unfounded = row.unfounded.as_ref();
    facts([
        ("UserProfile.fabricUserId", {
            row.profile_user_id.clone().or_else(|| unfounded.map(|_| row.id.clone()))
        }),
        ("UserProfile.isRegistered", {
            only_true(row.is_registered == Some(true) || unfounded.is_some())
        }),
        ("LedgerUser.fabricUserId", row.user_id.clone()),
        ("LedgerUser.profileId", row.owner.clone()),
        ("LedgerUser.countryCode", row.country_code.clone()),
        ("LedgerUser.createdTxId", row.created_tx_id.clone()),
        ("LedgerUser.genesisTxId", row.genesis_tx_id.clone()),
        ("LedgerUser.genesisAmount", text(row.genesis_amount)),
        ("LedgerUser.genesisPhase", text(row.genesis_phase)),
        ("LedgerUser.genesisRefusal", row.genesis_refusal.clone()),
        ("LedgerUser.isFrozen", only_true(row.is_frozen == Some(true))),
        ("LedgerUser.frozenReason", row.frozen_reason.clone()),
        ("Wallet.accountId", row.account_id.clone()),
        ("Wallet.profileId", row.wallet_owner.clone()),
        ("Wallet.fabricUserId", row.wallet_user_id.clone()),
        ("Wallet.balance", text(row.balance)),
    ])
}

/// Returns the account that must own a person: the one that has reserved the id or the creation,
/// unless the projector has not yet set the owner.
pub(super) fn expected_owner(row: &PersonRow) -> Option<String> {
    if row.is_awaited && row.owner.is_none() { None } else { row.claimant.clone() }
}

pub(super) fn person_on_chain(view: Option<&UserView>, owner: Option<&str>) -> Facts {
    let Some(view) = view else { return Facts::new() };
    let id = || Some(view.user_id.clone());
    let grant = view.grant.as_ref();
    let frozen = match &view.standing {
        StandingView::Frozen { reason_code } => Some(reason_code.to_string()),
        StandingView::Open {} | StandingView::Locked {} => None,
    };
    let owner = || owner.map(str::to_owned);
    facts([
        ("UserProfile.fabricUserId", owner().and_then(|_| id())),
        ("UserProfile.isRegistered", only_true(owner().is_some())),
        ("LedgerUser.fabricUserId", id()),
        ("LedgerUser.profileId", owner()),
        ("LedgerUser.countryCode", text(Some(view.nationality))),
        ("LedgerUser.createdTxId", Some(view.tx_id.clone())),
        ("LedgerUser.genesisTxId", grant.map(|grant| grant.tx_id.clone())),
        ("LedgerUser.genesisAmount", text(grant.map(|grant| grant.amount.get()))),
        ("LedgerUser.genesisPhase", text(grant.and_then(|grant| grant.phase))),
        ("LedgerUser.genesisRefusal", text(grant.and_then(|grant| grant.refusal))),
        ("LedgerUser.isFrozen", only_true(frozen.is_some())),
        ("LedgerUser.frozenReason", frozen),
        ("Wallet.accountId", id()),
        ("Wallet.profileId", owner()),
        ("Wallet.fabricUserId", id()),
        ("Wallet.balance", text(Some(view.balance.get()))),
    ])
}

/// Returns whether the chain can be asked for an id. It has no person under a text that is not a
/// Fabric User ID.
pub(super) fn can_be_asked(id: &str) -> bool {
    id.parse::<FabricUserId>().is_ok()
}
