//! Compares the countries of this release's list, the database and the ledger (DB-07). `gx db
//! check` calls it for the list and the database.

use std::collections::{BTreeMap, BTreeSet};

use gx_model::{Country, CountryList};
use sqlx::PgConnection;

use crate::migrate::store;

/// Returns the differences between the three sets, one line per country. With `None`, the ledger's
/// set is left out.
///
/// # Errors
/// `sqlx::Error` if the countries cannot be read.
pub async fn country_differences(
    conn: &mut PgConnection,
    ledger: Option<&[Country]>,
) -> sqlx::Result<Vec<String>> {
    let database = store::countries(conn).await?;
    let database = database.into_iter().collect();
    let file = shares(CountryList::embedded().iter());
    let ledger = ledger.map(|countries| shares(countries.iter()));
    Ok(compare(&file, &database, ledger.as_ref()))
}

/// Shares in parts per 10^9, by country code.
type Shares = BTreeMap<String, i64>;

fn shares<'a>(countries: impl Iterator<Item = &'a Country>) -> Shares {
    countries.map(|c| (c.country_code.to_string(), i64::from(c.share_ppb))).collect()
}

fn compare(file: &Shares, database: &Shares, ledger: Option<&Shares>) -> Vec<String> {
    let mut sides = vec![("the country list", file), ("the database", database)];
    sides.extend(ledger.map(|shares| ("the ledger", shares)));
    let codes: BTreeSet<&String> = sides.iter().flat_map(|(_, shares)| shares.keys()).collect();
    let mut differences = Vec::new();
    for code in codes {
        let missing = sides.iter().filter(|(_, shares)| !shares.contains_key(code));
        let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            differences.push(format!("country {code} is missing from {}", missing.join(" and ")));
        }
        let present: Vec<(&str, i64)> =
            sides.iter().filter_map(|(name, shares)| Some((*name, *shares.get(code)?))).collect();
        if present.iter().any(|(_, share)| *share != present[0].1) {
            let each: Vec<String> =
                present.iter().map(|(name, share)| format!("{share} in {name}")).collect();
            differences.push(format!("country {code} has share {}", each.join(", ")));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDatabase;

    /// DB-07: a country that is missing from the database or from the ledger is named, and so is a
    /// share that differs.
    #[tokio::test]
    async fn a_country_missing_from_one_side_is_named() {
        let database = TestDatabase::create().await;
        let mut conn = database.connection().await;
        let list: Vec<Country> = CountryList::embedded().iter().cloned().collect();
        assert_eq!(
            country_differences(&mut conn, Some(&list)).await.unwrap(),
            Vec::<String>::new()
        );

        let mut ledger: Vec<Country> = list.clone();
        ledger.retain(|country| country.country_code.to_string() != "MY");
        let found = country_differences(&mut conn, Some(&ledger)).await.unwrap();
        assert_eq!(found, ["country MY is missing from the ledger"]);

        sqlx::raw_sql(r#"DELETE FROM "Country" WHERE "countryCode" IN ('FR', 'MY')"#)
            .execute(&mut conn)
            .await
            .unwrap();
        sqlx::raw_sql(r#"UPDATE "Country" SET "sharePpb" = 7 WHERE "countryCode" = 'DE'"#)
            .execute(&mut conn)
            .await
            .unwrap();
        let found = country_differences(&mut conn, Some(&ledger)).await.unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("country DE has share "));
        assert!(found[0].contains("7 in the database"));
        assert_eq!(found[1], "country FR is missing from the database");
        assert_eq!(found[2], "country MY is missing from the database and the ledger");
    }
}
