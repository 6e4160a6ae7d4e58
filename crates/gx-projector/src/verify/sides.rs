//! Both sides of a few subjects at once: read here in one go each, asked of the chain side by
//! side.

use std::collections::BTreeMap;

use gx_db::PgConnection;
use gx_model::{CountryCode, Pool};

use super::VerifyError;
use super::chain::{Chain, PoolView, UserView};
use super::facts::{
    Facts, Subject, candidates, country_here, country_on_chain, facts, person_here,
    person_on_chain, system_here, system_on_chain,
};
use crate::store::verify as store;

/// One subject as the read model has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Here {
    /// What is compared.
    pub(super) facts: Facts,
    /// What else tells that the subject has not moved between two looks.
    mark: Option<String>,
    /// Keys under which a dead letter holds it back; none where any may.
    pub(super) keys: Vec<String>,
}

/// Reads both sides.
#[derive(Clone, Debug)]
pub(super) struct Sides {
    pub(super) chain: Chain,
    pub(super) channel: String,
}

impl Sides {
    /// Each subject as the read model has it, in order.
    pub(super) async fn here(
        &self,
        conn: &mut PgConnection,
        subjects: &[Subject],
    ) -> Result<Vec<Here>, VerifyError> {
        let codes: Vec<String> = countries(subjects).map(|code| code.to_string()).collect();
        let named: Vec<String> = people(subjects).map(str::to_owned).collect();
        let mut countries = BTreeMap::new();
        if !codes.is_empty() {
            for row in store::countries(conn, &codes).await? {
                let keys = vec![format!("treasury_{}", row.country_code), "SYSTEM".to_owned()];
                let here = Here { facts: country_here(&row), mark: None, keys };
                countries.insert(row.country_code, here);
            }
        }
        let mut people = BTreeMap::new();
        if !named.is_empty() {
            let limit = i64::try_from(named.len()).unwrap_or(i64::MAX);
            for row in store::people(conn, "", Some(&named), limit).await? {
                let (facts, keys) = (person_here(&row), candidates(&row));
                let mark = row.as_of_block.map(|block| block.to_string());
                people.insert(row.profile_id, Here { facts, mark, keys });
            }
        }
        let mut all = Vec::with_capacity(subjects.len());
        for subject in subjects {
            all.push(match subject {
                Subject::Country(code) => countries.remove(&code.to_string()).unwrap_or_default(),
                Subject::Person(profile_id) => people.remove(profile_id).unwrap_or_default(),
                Subject::System => self.system(conn).await?,
                Subject::Pools => pools(conn).await?,
                Subject::Totals => totals(conn).await?,
            });
        }
        Ok(all)
    }

    /// Each subject as the chain has it, in order.
    pub(super) async fn on_chain(
        &self,
        subjects: &[Subject],
        here: &[Here],
    ) -> Result<Vec<Facts>, VerifyError> {
        let codes: Vec<String> = countries(subjects).map(|code| code.to_string()).collect();
        let mut countries = self.chain.countries(&codes).await?.into_iter();
        let ids = subjects.iter().zip(here).filter(|(one, _)| matches!(one, Subject::Person(_)));
        let ids: Vec<String> = ids.flat_map(|(_, here)| here.keys.iter().cloned()).collect();
        let mut users = self.chain.users(&ids).await?.into_iter();
        let mut all = Vec::with_capacity(subjects.len());
        for (subject, here) in subjects.iter().zip(here) {
            all.push(match subject {
                Subject::Country(_) => country_on_chain(countries.next().flatten().as_ref()),
                Subject::Person(_) => {
                    let known = users.by_ref().take(here.keys.len()).flatten();
                    the_one(&known.collect::<Vec<_>>())
                }
                Subject::System => system_on_chain(&self.chain.system().await?),
                Subject::Pools => self.pools_on_chain().await?,
                Subject::Totals => self.totals_on_chain().await?,
            });
        }
        Ok(all)
    }

    async fn system(&self, conn: &mut PgConnection) -> Result<Here, VerifyError> {
        let row = store::system(conn, &self.channel).await?;
        let pools = Pool::ALL.into_iter().map(|pool| pool.name().to_owned());
        let keys = pools.chain(["SYSTEM".to_owned()]).collect();
        Ok(Here { facts: system_here(row.as_ref()), mark: None, keys })
    }

    /// Each pool as it would be without grants: what those took stands in the countries' own
    /// rows, and a country that is wrong makes no pool wrong.
    async fn pools_on_chain(&self) -> Result<Facts, VerifyError> {
        let codes: Vec<String> = gx_model::CountryList::embedded()
            .iter()
            .map(|country| country.country_code.to_string())
            .collect();
        let pools = self.chain.pools().await?;
        let (mut users, mut treasuries) = (0, 0);
        for view in self.chain.countries(&codes).await?.into_iter().flatten() {
            users += view.user_total.get();
            treasuries += view.treasury_total.get();
        }
        let before_grants = |pool: &PoolView| {
            let granted = match pool.pool_id.as_str() {
                id if id == Pool::UserGenesis.name() => users,
                id if id == Pool::GovtGenesis.name() => treasuries,
                _ => 0,
            };
            (pool.pool_id.clone(), (pool.balance.get() + granted).to_string())
        };
        Ok(pools.iter().map(before_grants).collect())
    }

    async fn totals_on_chain(&self) -> Result<Facts, VerifyError> {
        let (supply, system) = (self.chain.supply().await?, self.chain.system().await?);
        Ok(facts([
            ("wallets", Some(supply.in_circulation.to_string())),
            ("pools", Some(supply.in_pools.to_string())),
            ("users", Some(supply.users.to_string())),
            ("sharePpb", Some(system.share_ppb.to_string())),
        ]))
    }
}

async fn pools(conn: &mut PgConnection) -> Result<Here, VerifyError> {
    let rows = store::pools(conn).await?;
    let facts = rows.into_iter().map(|row| (row.pool_id, row.before_grants.to_string())).collect();
    // A grant between two looks changes what the chain's pools hold, and no row of ours here.
    let mark = Some(format!("{:?}", store::granted(conn).await?));
    Ok(Here { facts, mark, keys: vec![] })
}

async fn totals(conn: &mut PgConnection) -> Result<Here, VerifyError> {
    let sums = store::sums(conn).await?;
    let facts = facts([
        ("wallets", Some(sums.wallets.to_string())),
        ("pools", Some(sums.pools.to_string())),
        ("users", Some(sums.users.to_string())),
        ("sharePpb", Some(sums.share_ppb.to_string())),
    ]);
    Ok(Here { facts, mark: None, keys: vec![] })
}

/// The person among those whom the chain has under an account's ids. There is one at most:
/// a second id is reserved only after the first was refused for good.
fn the_one(known: &[UserView]) -> Facts {
    let mut facts = person_on_chain(known.first());
    if let Some(second) = known.get(1) {
        facts.insert("a second person".to_owned(), second.user_id.clone());
    }
    facts
}

fn countries(subjects: &[Subject]) -> impl Iterator<Item = CountryCode> {
    subjects.iter().filter_map(|subject| match subject {
        Subject::Country(code) => Some(*code),
        _ => None,
    })
}

fn people(subjects: &[Subject]) -> impl Iterator<Item = &str> {
    subjects.iter().filter_map(|subject| match subject {
        Subject::Person(profile_id) => Some(profile_id.as_str()),
        _ => None,
    })
}
