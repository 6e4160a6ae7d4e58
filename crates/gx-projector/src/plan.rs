//! What many events write together: one statement a table, each row in its last state.

use std::collections::BTreeMap;

use gx_db::PgConnection;

use crate::effects::{Balance, Effects, Grant, HistoryRow, Person, PoolMove};
use crate::error::NotApplied;
use crate::place::Place;
use crate::store::{money, people};

/// A transaction, a pool, and what kind of movement.
type MoveKey<'a> = (&'a str, &'static str, &'static str);

/// The rows of events that were added in the chain's order. Sorted by their keys, they touch
/// the indexes in order.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    people: BTreeMap<&'a str, (&'a Person, &'a Place)>,
    grants: BTreeMap<&'a str, (&'a Grant, &'a Place)>,
    countries: BTreeMap<&'a str, &'a Grant>,
    balances: BTreeMap<&'a str, (&'a Balance, &'a Place)>,
    moves: BTreeMap<MoveKey<'a>, (i64, &'a Place)>,
    history: Vec<(&'a HistoryRow, &'a Place)>,
}

impl<'a> Plan<'a> {
    /// Adds an event's rows; `false`, and nothing added, where they must come in a plan of
    /// their own: somebody comes into being whom earlier events of this plan name already.
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
            self.countries.insert(&grant.country_code, grant);
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

    /// Writes everything, or says what the read model lacks; what was written then must be
    /// rolled back.
    pub(crate) async fn write(mut self, conn: &mut PgConnection) -> Result<(), NotApplied> {
        self.create_people(conn).await?;
        if !self.grants.is_empty() {
            let grants: Vec<_> = self.grants.values().copied().collect();
            expect(
                &grants,
                |(grant, _)| &grant.fabric_user_id,
                people::grant(conn, &grants).await?,
            )
            .map_err(|id| no_account(&id))?;
        }
        self.assign(conn).await?;
        if !self.countries.is_empty() {
            let counters: Vec<_> = self.countries.values().copied().collect();
            let known = money::set_counters(conn, &counters).await?;
            expect(&counters, |one| &one.country_code, known).map_err(|code| {
                NotApplied::Inapplicable(format!("the read model has no country {code}"))
            })?;
        }
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

    /// People who are new get one row each with all that the plan says of them.
    async fn create_people(&mut self, conn: &mut PgConnection) -> Result<(), NotApplied> {
        if self.people.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = self.people.keys().copied().collect();
        let owners: BTreeMap<String, String> =
            people::reserved_by(conn, &ids).await?.into_iter().collect();
        let mut new = Vec::with_capacity(ids.len());
        for (id, (person, place)) in &self.people {
            let Some(profile_id) = owners.get(*id) else {
                let reason = format!("no account here has reserved {id}");
                return Err(NotApplied::Inapplicable(reason));
            };
            new.push(people::NewPerson {
                person,
                place,
                profile_id,
                grant: self.grants.remove(id),
                balance: self.balances.remove(id),
            });
        }
        people::create_users(conn, &new).await?;
        people::register(conn, &new).await?;
        people::create_wallets(conn, &new).await?;
        Ok(())
    }

    /// Balances of wallets that exist.
    async fn assign(&self, conn: &mut PgConnection) -> Result<(), NotApplied> {
        if self.balances.is_empty() {
            return Ok(());
        }
        let balances: Vec<_> = self.balances.values().copied().collect();
        let known = money::set_balances(conn, &balances).await?;
        expect(&balances, |(balance, _)| &balance.account_id, known).map_err(|id| no_account(&id))
    }
}

/// That each of some rows was found, or the key of the first that was not.
fn expect<T>(
    rows: &[T],
    key: impl Fn(&T) -> &String,
    mut found: Vec<String>,
) -> Result<(), String> {
    if found.len() == rows.len() {
        return Ok(());
    }
    found.sort_unstable();
    let missing = rows.iter().map(key).find(|key| found.binary_search(key).is_err());
    missing.map_or(Ok(()), |key| Err(key.clone()))
}

fn no_account(id: &str) -> NotApplied {
    NotApplied::Inapplicable(format!("the read model has no account {id}"))
}
