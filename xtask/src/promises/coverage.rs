//! Compares the requirements with the tests that quote their ids. Called by the parent module, and
//! printed by `report`.

use std::collections::{BTreeMap, BTreeSet};

use super::ids;
use super::lists::RequirementList;

/// A test, with the texts that may quote ids.
#[derive(Clone)]
pub(crate) struct Quoting {
    /// `file:line`.
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) ignored: bool,
}

/// The requirements, and the tests that quote each id.
pub(crate) struct Coverage {
    pub(crate) lists: Vec<RequirementList>,
    quotations: BTreeMap<String, Vec<Quoting>>,
}

impl Coverage {
    /// Assigns tests to the ids that they quote.
    pub(crate) fn new(lists: Vec<RequirementList>, tests: Vec<Quoting>) -> Self {
        let themes: BTreeSet<String> = lists.iter().flat_map(RequirementList::themes).collect();
        let mut quotations: BTreeMap<String, Vec<Quoting>> = BTreeMap::new();
        for test in tests {
            for id in ids::quoted(&test.name, &test.doc, &themes) {
                quotations.entry(id).or_default().push(test.clone());
            }
        }
        Self { lists, quotations }
    }

    /// Returns the tests that quote an id; none if it is missing.
    pub(crate) fn tests(&self, id: &str) -> &[Quoting] {
        self.quotations.get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns the quoted ids that no list has, with their tests.
    pub(crate) fn unknown(&self) -> Vec<(&str, &[Quoting])> {
        let known =
            |id: &str| self.lists.iter().flat_map(|list| &list.rows).any(|row| row.id == id);
        self.quotations
            .iter()
            .filter(|(id, _)| !known(id))
            .map(|(id, tests)| (id.as_str(), tests.as_slice()))
            .collect()
    }

    /// Returns the ids that only ignored tests quote, with their tests.
    pub(crate) fn only_ignored(&self) -> Vec<(&str, &[Quoting])> {
        self.quotations
            .iter()
            .filter(|(_, tests)| tests.iter().all(|test| test.ignored))
            .map(|(id, tests)| (id.as_str(), tests.as_slice()))
            .collect()
    }

    /// Returns whether every quoted id is in a list and is quoted by a test that runs.
    pub(crate) fn is_sound(&self) -> bool {
        self.unknown().is_empty() && self.only_ignored().is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::promises::lists::Requirement;

    pub(crate) fn list(rows: &[&str]) -> RequirementList {
        let row = |id: &&str| Requirement { id: (*id).to_owned(), text: format!("Text of {id}.") };
        RequirementList {
            title: "Sample".to_owned(),
            file: "sample.md".to_owned(),
            rows: rows.iter().map(row).collect(),
        }
    }

    pub(crate) fn test(name: &str, ignored: bool) -> Quoting {
        let place = "a.rs:1".to_owned();
        Quoting { place, name: name.to_owned(), doc: String::new(), ignored }
    }

    #[test]
    fn an_id_that_no_list_has_is_unsound() {
        let coverage = Coverage::new(vec![list(&["PRJ-01"])], vec![test("prj_02_x", false)]);
        assert_eq!(coverage.unknown()[0].0, "PRJ-02");
        assert!(!coverage.is_sound());
    }

    #[test]
    fn an_id_quoted_by_ignored_tests_only_is_unsound() {
        let ignored = vec![test("prj_01_slow", true)];
        assert!(!Coverage::new(vec![list(&["PRJ-01"])], ignored.clone()).is_sound());

        let both = [ignored, vec![test("prj_01_fast", false)]].concat();
        assert!(Coverage::new(vec![list(&["PRJ-01"])], both).is_sound());
    }

    #[test]
    fn an_id_that_nobody_quotes_is_missing_and_sound() {
        let coverage = Coverage::new(vec![list(&["PRJ-01"])], Vec::new());
        assert!(coverage.tests("PRJ-01").is_empty());
        assert!(coverage.is_sound());
    }
}
