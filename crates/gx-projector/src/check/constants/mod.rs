//! Compares constants in the program, the database and the chain: the start balances of the pools,
//! and the countries with their shares (CFG-10, DB-07). Called by `run` when the read model is at
//! the ledger's tip; a difference makes the check `constants` unhealthy and stops nothing.

mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gx_db::PgConnection;
use gx_model::{CountryList, Pool};

/// A constant that differs from the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the constant.
    pub subject: String,
    /// Its value in this program; `None` if the program does not have it.
    pub program: Option<i64>,
    /// Where it differs: in the database or on the ledger.
    pub place: &'static str,
    /// Its value there; `None` if it is absent.
    pub found: Option<i64>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Option<i64>| value.map_or("absent".to_owned(), |v| v.to_string());
        let (program, found) = (text(self.program), text(self.found));
        write!(f, "{}: {program} in the program, {found} {}", self.subject, self.place)
    }
}

/// Returns every constant that differs in the database or on the chain. If the chain has no pools
/// or no countries yet, these do not differ.
///
/// # Errors
/// `sqlx::Error` if a query fails.
pub async fn differences(conn: &mut PgConnection) -> Result<Vec<Difference>, sqlx::Error> {
    let countries: BTreeMap<String, i64> = CountryList::embedded()
        .iter()
        .map(|country| (country.country_code.to_string(), i64::from(country.share_ppb)))
        .collect();
    let pools =
        Pool::ALL.into_iter().map(|pool| (pool.name().to_owned(), pool.start().get())).collect();
    let in_database = store::countries(conn).await?;
    let mut all = differing("country", &countries, in_database, "in the database");
    let on_chain = store::ledger_countries(conn).await?;
    if !on_chain.is_empty() {
        all.extend(differing("country", &countries, on_chain, "on the ledger"));
    }
    let on_chain = store::pools(conn).await?;
    if !on_chain.is_empty() {
        all.extend(differing("start of pool", &pools, on_chain, "on the ledger"));
    }
    Ok(all)
}

fn differing(
    kind: &str,
    program: &BTreeMap<String, i64>,
    found: Vec<(String, i64)>,
    place: &'static str,
) -> Vec<Difference> {
    let found: BTreeMap<String, i64> = found.into_iter().collect();
    let names: BTreeSet<&String> = program.keys().chain(found.keys()).collect();
    let of = |name: &String| (program.get(name).copied(), found.get(name).copied());
    names
        .into_iter()
        .map(|name| (name, of(name)))
        .filter(|(_, (ours, theirs))| ours != theirs)
        .map(|(name, (ours, theirs))| Difference {
            subject: format!("{kind} {name}"),
            program: ours,
            place,
            found: theirs,
        })
        .collect()
}
