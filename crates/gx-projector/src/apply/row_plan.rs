//! The rows that many events write together: one statement for each table, each row in its final
//! state. Called by `events`, which adds events to a plan, writes it, and rolls back if it fails.

use std::collections::BTreeMap;

use gx_db::PgConnection;

use super::effects::{Balance, Effects, Grant, HistoryRow, Person, PoolMove};
use super::new_people::NewPeople;
use super::store::money;
use super::store::people::{self, NewPersonFacts};
use crate::error::{Missing, NotApplied};
use crate::place::Place;

/// Transaction id, pool and kind of a move.
type MoveKey<'a> = (&'a str, &'static str, &'static str);

/// The rows of events that were added in the order of the chain. They are sorted by key so that
/// writing them touches the indexes in order.
#[derive(Debug, Default)]
pub(crate) struct RowPlan<'a> {
    people: BTreeMap<&'a str, (&'a Person, &'a Place)>,
    grants: BTreeMap<&'a str, (&'a Grant, &'a Place)>,
    countries: BTreeMap<&'a str, (&'a Grant, &'a Place)>,
    balances: BTreeMap<&'a str, (&'a Balance, &'a Place)>,
    moves: BTreeMap<MoveKey<'a>, (i64, &'a Place)>,
    history: Vec<(&'a HistoryRow, &'a Place)>,
}

impl<'a> RowPlan<'a> {
    /// Adds the rows of an event. Returns `false` and adds nothing if the event creates a person
    /// that this plan already names; the event must then go into the next plan.
    pub(crate) fn add(&mut self, effects: &'a Effects, place: &'a Place) -> bool {
        if let Some(person) = &effects.person {
            let id = person.fabric_user_id.as_str();
            let known = self.people.contains_key(id)
                || self.grants.contains_key(id)
                || self.balances.contains_key(id);
            if known {
                return false;
            }
            self.people.insert(id, (person, place));
        }
        if let Some(grant) = &effects.grant {
            self.grants.insert(&grant.fabric_user_id, (grant, place));
            self.countries.insert(&grant.country_code, (grant, place));
        }
        for balance in &effects.balances {
            self.balances.insert(&balance.account_id, (balance, place));
        }
        for PoolMove { pool, kind, amount } in &effects.moves {
            self.moves.entry((&place.tx_id, pool.name(), kind)).or_insert((0, place)).0 += amount;
        }
        self.history.extend(effects.history.iter().map(|row| (row, place)));
        true
    }

    /// Writes all rows, or returns what the read model lacks; the caller must roll back then. A
    /// newer fact in the database stays.
    pub(crate) async fn write(
        mut self,
        conn: &mut PgConnection,
        new_people: &NewPeople,
    ) -> Result<(), NotApplied> {
        self.create_people(conn, new_people).await?;
        self.grant(conn).await?;
        self.assign(conn).await?;
        self.count(conn).await?;
        if !self.moves.is_empty() {
            let moves = self.moves.iter();
            let moves: Vec<_> = moves
                .map(|((tx_id, pool_id, kind), (amount, place))| money::NewMove {
                    tx_id,
                    pool_id,
                    kind,
                    amount: *amount,
                    at: place.ledger_at,
                })
                .collect();
            money::move_pools(conn, &moves).await?;
        }
        if !self.history.is_empty() {
            money::add_history(conn, &self.history).await?;
        }
        Ok(())
    }

    /// Creates the new people, each in one row with everything that the plan says about the person.
    async fn create_people(
        &mut self,
        conn: &mut PgConnection,
        new_people: &NewPeople,
    ) -> Result<(), NotApplied> {
        if self.people.is_empty() {
            return Ok(());
        }
        let unknown = NewPersonFacts::default();
        let mut all = Vec::with_capacity(self.people.len());
        for (id, (person, place)) in &self.people {
            let facts = new_people.get(id).unwrap_or(&unknown);
            // A row that already exists gets its grant like any other person.
            let grant = if facts.freeze.is_none() { self.grants.remove(id) } else { None };
            let balance = self.balances.remove(id);
            all.push(people::NewPerson { person, place, facts, grant, balance });
        }
        let (noted, new): (Vec<_>, Vec<_>) =
            all.iter().partition(|person| person.facts.freeze.is_some());
        if !new.is_empty() {
            people::create_users(conn, &new).await?;
        }
        for person in noted {
            people::complete_user(conn, person).await?;
        }
        let owned: Vec<_> = all.iter().filter_map(registration).collect();
        if !owned.is_empty() {
            people::register(conn, &owned).await?;
        }
        people::create_wallets(conn, &all).await?;
        Ok(())
    }

    /// Writes the grants of people who exist.
    async fn grant(&self, conn: &mut PgConnection) -> Result<(), NotApplied> {
        if self.grants.is_empty() {
            return Ok(());
        }
        let grants: Vec<_> = self.grants.values().copied().collect();
        if people::record_grants(conn, &grants).await?.len() == grants.len() {
            return Ok(());
        }
        let ids: Vec<&str> = self.grants.keys().copied().collect();
        let known = people::created(conn, &ids).await?;
        all_known(&ids, known, Missing::People)
    }

    /// Writes the balances of wallets that exist.
    async fn assign(&self, conn: &mut PgConnection) -> Result<(), NotApplied> {
        if self.balances.is_empty() {
            return Ok(());
        }
        let balances: Vec<_> = self.balances.values().copied().collect();
        if money::set_balances(conn, &balances).await?.len() == balances.len() {
            return Ok(());
        }
        let accounts: Vec<&str> = self.balances.keys().copied().collect();
        let known = money::with_wallet(conn, &accounts).await?;
        all_known(&accounts, known, Missing::Wallets)
    }

    /// Writes the counters of countries that exist.
    async fn count(&self, conn: &mut PgConnection) -> Result<(), NotApplied> {
        if self.countries.is_empty() {
            return Ok(());
        }
        let counters: Vec<_> = self.countries.values().copied().collect();
        if money::set_counters(conn, &counters).await?.len() == counters.len() {
            return Ok(());
        }
        let codes: Vec<&str> = self.countries.keys().copied().collect();
        let known = money::known_countries(conn, &codes).await?;
        all_known(&codes, known, Missing::Countries)
    }
}

/// Returns how a new person's account is registered, if the person has one.
fn registration<'a>(new: &'a people::NewPerson<'_>) -> Option<people::Registration<'a>> {
    let created_at = new.place.ledger_at;
    let freeze = new.facts.freeze;
    Some(people::Registration {
        profile_id: new.facts.profile_id.as_ref()?,
        fabric_user_id: &new.person.fabric_user_id,
        created_at,
        seen_at: freeze.map_or(created_at, |freeze| freeze.seen_at.max(created_at)),
        is_frozen: freeze.is_some_and(|freeze| freeze.is_frozen),
    })
}

/// Checks that each key is known and returns the missing ones as an error. A known row that was not
/// written has newer facts.
fn all_known(
    keys: &[&str],
    mut known: Vec<String>,
    missing: impl FnOnce(Vec<String>) -> Missing,
) -> Result<(), NotApplied> {
    known.sort_unstable();
    let is_known = |key: &str| known.binary_search_by(|one| one.as_str().cmp(key)).is_ok();
    let unknown: Vec<String> =
        keys.iter().filter(|key| !is_known(key)).map(|key| (*key).to_owned()).collect();
    if unknown.is_empty() { Ok(()) } else { Err(NotApplied::Missing(missing(unknown))) }
}
