//! The country list.

use gx_model::{CountryCode, CountryList, CountryListError};

const HEADER: &str = "countryCode,name,sharePpb\n";

/// DB-07: the embedded list has each code once, and its shares sum to exactly 10^9.
#[test]
fn db_07_the_embedded_list_is_complete() {
    let list = CountryList::embedded();
    assert_eq!(list.iter().len(), 250);
    let sum: u64 = list.iter().map(|country| u64::from(country.share_ppb)).sum();
    assert_eq!(sum, CountryList::SHARE_TOTAL);
    let codes: Vec<CountryCode> = list.iter().map(|country| country.country_code).collect();
    assert!(codes.is_sorted_by(|a, b| a < b), "in order, each once");
    let malaysia = list.get("MY".parse().unwrap()).unwrap();
    assert_eq!(malaysia.name, "Malaysia");
    assert!(list.get("XK".parse().unwrap()).is_some());
    assert!(list.get("ZZ".parse().unwrap()).is_none());
}

/// DB-07: a wrong file is refused, and the error names the line, the country or the sum.
#[test]
fn db_07_wrong_files_are_refused() {
    let list = |rows: &str| CountryList::parse(&format!("{HEADER}{rows}"));
    let quoted = list("MY,\"Malaysia, all of it\",1000000000\n").unwrap();
    assert_eq!(quoted.iter().next().unwrap().name, "Malaysia, all of it");
    assert_eq!(list(""), Err(CountryListError::Sum(0)));
    assert_eq!(list("MY,M,600000000\nSG,S,400000001\n"), Err(CountryListError::Sum(1_000_000_001)));
    assert_eq!(list("MY,M,600000000\nSG,S,399999999\n"), Err(CountryListError::Sum(999_999_999)));
    let twice = CountryListError::Twice("MY".parse().unwrap());
    assert_eq!(list("MY,M,600000000\nMY,M,400000000\n"), Err(twice));
    for (rows, line) in [
        ("my,M,1000000000\n", 2),
        ("MYS,M,1000000000\n", 2),
        ("MY,M,600000000\nSG,S,-1\n", 3),
        ("MY,M,0.5\n", 2),
        ("MY,M\n", 2),
        ("MY,M,1,2\n", 2),
    ] {
        match list(rows) {
            Err(CountryListError::Line { line: named, .. }) => assert_eq!(named, line, "{rows}"),
            other => panic!("{rows}: {other:?}"),
        }
    }
    let renamed = CountryList::parse("code,name,sharePpb\nMY,M,1000000000\n");
    assert!(renamed.unwrap_err().to_string().contains("countryCode"));
}
