//! Checks whether the ledger has what a command declares as its result (OUT-08). Called by
//! `operate::housekeeping` for each committed command whose result is not checked yet.

use gx_fabric_client::{Ledger, LedgerError};
use gx_model::{AccountId, Command, Country, Pool, PostCondition, Qirat};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A pool in the ledger's answer. Other fields of the answer are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PoolHolding {
    pool_id: AccountId,
    balance: Qirat,
}

/// A country in the ledger's answer.
#[derive(Deserialize)]
struct CountryFacts {
    country: Country,
}

/// Returns which part of the declared result is missing, or `None` if all is there or nothing was
/// declared. An answer of the ledger that cannot be read counts as missing.
///
/// # Errors
/// [`LedgerError`] if the ledger does not answer; nothing is known then.
pub(crate) async fn missing(
    ledger: &Ledger,
    command: &Command,
) -> Result<Option<String>, LedgerError> {
    match (command.kind().post_condition(), command) {
        (Some(PostCondition::PoolsFilled), _) => empty_pools(ledger).await,
        (Some(PostCondition::CountriesKnown), Command::InitializeCountryData { countries }) => {
            unknown_country(ledger, countries).await
        }
        (Some(PostCondition::CountriesKnown), _) | (None, _) => Ok(None),
    }
}

/// Returns a message with the pools that are empty, or `None` if there are none.
async fn empty_pools(ledger: &Ledger) -> Result<Option<String>, LedgerError> {
    let answer = ledger.evaluate("TokenomicsContract:GetPoolStatus", &[]).await?;
    let held: Vec<PoolHolding> = match read("GetPoolStatus", &answer) {
        Ok(held) => held,
        Err(unreadable) => return Ok(Some(unreadable)),
    };
    let is_filled = |pool: &Pool| {
        let mut of_pool = held.iter().filter(|one| one.pool_id == AccountId::Pool(*pool));
        of_pool.any(|one| one.balance > Qirat::ZERO)
    };
    let empty: Vec<_> = Pool::ALL.into_iter().filter(|pool| !is_filled(pool)).collect();
    if empty.is_empty() {
        return Ok(None);
    }
    let names: Vec<_> = empty.iter().map(|pool| pool.name()).collect();
    Ok(Some(format!("the ledger holds nothing in {}", names.join(", "))))
}

/// Returns a message about the first country that is missing or differs from the command.
async fn unknown_country(
    ledger: &Ledger,
    countries: &[Country],
) -> Result<Option<String>, LedgerError> {
    for wanted in countries {
        let code = wanted.country_code.to_string();
        let args = [code.clone()];
        let answer = ledger.evaluate("AdminContract:GetCountryStats", &args).await?;
        let found: Option<CountryFacts> = match read("GetCountryStats", &answer) {
            Ok(found) => found,
            Err(unreadable) => return Ok(Some(unreadable)),
        };
        if found.is_none_or(|found| found.country != *wanted) {
            return Ok(Some(format!("the ledger does not have country {code} as it was wanted")));
        }
    }
    Ok(None)
}

fn read<T: DeserializeOwned>(query: &str, answer: &[u8]) -> Result<T, String> {
    serde_json::from_slice(answer).map_err(|why| format!("the answer of {query} is unknown: {why}"))
}
