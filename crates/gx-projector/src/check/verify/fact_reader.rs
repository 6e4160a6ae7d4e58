//! Reads the facts of some subjects from both sides: from the read model with one query for each
//! kind, and from the chain with several questions at a time. Called by [`super::Verifier`] in each
//! round.

use std::collections::BTreeMap;

use gx_db::PgConnection;
use gx_model::{CountryCode, Pool};

use super::VerifyError;
use super::chain::{ChainReader, PoolView};
use super::facts::{
    Facts, Subject, can_be_asked, country_here, country_on_chain, expected_owner, facts,
    person_here, person_on_chain, system_here, system_on_chain,
};
use super::store;

/// One subject as the read model has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LocalFacts {
    /// The facts that are compared.
    pub(super) facts: Facts,
    /// Another value that tells whether the subject changed between two reads; `None` if the facts
    /// tell it.
    mark: Option<String>,
    /// Keys of dead letters that hold the subject back; if empty, any dead letter does.
    pub(super) keys: Vec<String>,
    /// The account that must own the person; `None` if none has a right to the person.
    owner: Option<String>,
}

/// Reads the facts of both sides.
#[derive(Clone, Debug)]
pub(super) struct FactReader {
    pub(super) chain: ChainReader,
    pub(super) channel: String,
}

impl FactReader {
    /// Returns each subject as the read model has it, in order.
    pub(super) async fn local(
        &self,
        conn: &mut PgConnection,
        subjects: &[Subject],
    ) -> Result<Vec<LocalFacts>, VerifyError> {
        let codes: Vec<String> = countries(subjects).map(|code| code.to_string()).collect();
        let named: Vec<String> = people(subjects).map(str::to_owned).collect();
        let mut countries = BTreeMap::new();
        if !codes.is_empty() {
            for row in store::countries(conn, &codes).await? {
                let keys = vec![format!("treasury_{}", row.country_code), "SYSTEM".to_owned()];
                let here = LocalFacts { facts: country_here(&row), keys, ..LocalFacts::default() };
                countries.insert(row.country_code, here);
            }
        }
        let mut people = BTreeMap::new();
        if !named.is_empty() {
            for row in store::people(conn, &named).await? {
                let (facts, owner) = (person_here(&row), expected_owner(&row));
                let mark = row.as_of_block.map(|block| block.to_string());
                let keys = vec![row.id.clone()];
                people.insert(row.id, LocalFacts { facts, mark, keys, owner });
            }
        }
        let mut all = Vec::with_capacity(subjects.len());
        for subject in subjects {
            all.push(match subject {
                Subject::Country(code) => countries.remove(&code.to_string()).unwrap_or_default(),
                Subject::Person(id) => people.remove(id).unwrap_or_default(),
                Subject::System => self.system(conn).await?,
                Subject::Pools => pools(conn).await?,
                Subject::Totals => totals(conn).await?,
            });
        }
        Ok(all)
    }

    /// Returns each subject as the chain has it, in order.
    pub(super) async fn on_chain(
        &self,
        subjects: &[Subject],
        here: &[LocalFacts],
    ) -> Result<Vec<Facts>, VerifyError> {
        let codes: Vec<String> = countries(subjects).map(|code| code.to_string()).collect();
        let mut countries = self.chain.countries(&codes).await?.into_iter();
        let ids: Vec<String> =
            people(subjects).filter(|id| can_be_asked(id)).map(str::to_owned).collect();
        let mut users = self.chain.users(&ids).await?.into_iter();
        let mut all = Vec::with_capacity(subjects.len());
        for (subject, here) in subjects.iter().zip(here) {
            all.push(match subject {
                Subject::Country(_) => country_on_chain(countries.next().flatten().as_ref()),
                Subject::Person(id) => {
                    let known = if can_be_asked(id) { users.next().flatten() } else { None };
                    person_on_chain(known.as_ref(), here.owner.as_deref())
                }
                Subject::System => system_on_chain(&self.chain.system().await?),
                Subject::Pools => self.pools_on_chain().await?,
                Subject::Totals => self.totals_on_chain().await?,
            });
        }
        Ok(all)
    }

    async fn system(&self, conn: &mut PgConnection) -> Result<LocalFacts, VerifyError> {
        let row = store::system(conn, &self.channel).await?;
        let pools = Pool::ALL.into_iter().map(|pool| pool.name().to_owned());
        let keys = pools.chain(["SYSTEM".to_owned()]).collect();
        Ok(LocalFacts { facts: system_here(row.as_ref()), keys, ..LocalFacts::default() })
    }

    /// Returns each pool as it would be without grants. What grants took is compared with the
    /// countries, so that a wrong country makes no pool wrong.
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

async fn pools(conn: &mut PgConnection) -> Result<LocalFacts, VerifyError> {
    let rows = store::pools(conn).await?;
    let facts = rows.into_iter().map(|row| (row.pool_id, row.before_grants.to_string())).collect();
    // A grant between two reads changes the chain's pools, but no row that is read here.
    let mark = Some(format!("{:?}", store::granted(conn).await?));
    Ok(LocalFacts { facts, mark, ..LocalFacts::default() })
}

async fn totals(conn: &mut PgConnection) -> Result<LocalFacts, VerifyError> {
    let sums = store::sums(conn).await?;
    let facts = facts([
        ("wallets", Some(sums.wallets.to_string())),
        ("pools", Some(sums.pools.to_string())),
        ("users", Some(sums.users.to_string())),
        ("sharePpb", Some(sums.share_ppb.to_string())),
    ]);
    Ok(LocalFacts { facts, ..LocalFacts::default() })
}

fn countries(subjects: &[Subject]) -> impl Iterator<Item = CountryCode> {
    subjects.iter().filter_map(|subject| match subject {
        Subject::Country(code) => Some(*code),
        _ => None,
    })
}

fn people(subjects: &[Subject]) -> impl Iterator<Item = &str> {
    subjects.iter().filter_map(|subject| match subject {
        Subject::Person(id) => Some(id.as_str()),
        _ => None,
    })
}
