//! `cargo xtask promises`: prints which tests prove each promise, incident and security
//! requirement. Called by `main`; a wrong id is a finding, a malformed list an error.

mod coverage;
mod ids;
mod javascript;
mod lists;
mod report;

use crate::error::Error;
use crate::repo::{Repo, TextFile};
use crate::rust_source::{functions, tokens};

use self::coverage::{Coverage, Quoting};

/// Prints the coverage. Returns `false` if a test quotes an id that no list has, or if only ignored
/// tests quote an id.
pub(crate) fn run(repo: &Repo, only_missing: bool) -> Result<bool, Error> {
    let coverage = coverage(repo)?;
    print!("{}", report::text(&coverage, only_missing));
    Ok(coverage.is_sound())
}

/// Reads the lists and all tests.
fn coverage(repo: &Repo) -> Result<Coverage, Error> {
    Ok(Coverage::new(lists::read_all(repo)?, quoting_tests(repo)?))
}

/// Returns all tests of the repository.
fn quoting_tests(repo: &Repo) -> Result<Vec<Quoting>, Error> {
    let mut tests = Vec::new();
    for file in repo.text_files()? {
        if file.is_rust() {
            tests.extend(rust_tests(&file)?);
        } else if javascript::has_tests(&file) {
            tests.extend(javascript::tests(&file));
        }
    }
    Ok(tests)
}

/// Returns all tests of a Rust file.
fn rust_tests(file: &TextFile) -> Result<Vec<Quoting>, Error> {
    let stream = tokens(&file.path, &file.text)?;
    let tests = functions(&stream).into_iter().filter(|function| function.is_test);
    Ok(tests
        .map(|function| Quoting {
            place: format!("{}:{}", file.path, function.line),
            name: function.name,
            doc: function.doc,
            ignored: function.is_ignored,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_this_repository_quote_known_ids_only() {
        let coverage = coverage(&Repo::of_this_crate()).unwrap();
        assert!(coverage.is_sound(), "{}", report::text(&coverage, true));
    }

    #[test]
    fn the_lists_hold_every_theme() {
        let themes: Vec<String> = lists::read_all(&Repo::of_this_crate())
            .unwrap()
            .iter()
            .flat_map(lists::RequirementList::themes)
            .collect();
        for theme in ["G", "RDY", "PRJ", "OUT", "FAB", "DB", "CFG", "BKP", "API", "UI", "MON"] {
            assert!(themes.iter().any(|known| known == theme), "no list has {theme}");
        }
        assert!(themes.iter().any(|known| known == "SEC-API"));
    }
}
