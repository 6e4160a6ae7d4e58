//! `cargo xtask reference`: checks or writes the pages under `docs/reference`, which are generated
//! from the code. Called by `main`; a page that differs is a finding.

mod economy;

use std::fs;

use crate::error::Error;
use crate::mode::Mode;
use crate::repo::Repo;

/// A generated page.
struct Page {
    /// Path of the page in the repository.
    file: &'static str,
    /// Function that returns the content.
    make: fn() -> String,
}

const PAGES: [Page; 1] = [Page { file: "docs/reference/economy.md", make: economy::page }];

/// Checks or writes the pages. Returns `false` if a page differs from the code.
pub(crate) fn run(repo: &Repo, mode: Mode) -> Result<bool, Error> {
    if mode == Mode::Write {
        for page in PAGES {
            let path = repo.path(page.file);
            fs::write(&path, (page.make)()).map_err(Error::file(&path))?;
        }
    }
    let stale = stale_pages(repo)?;
    for file in &stale {
        println!("{file}: differs from the code; run `cargo xtask reference --write`");
    }
    println!("reference: {} pages, {} findings", PAGES.len(), stale.len());
    Ok(stale.is_empty())
}

fn stale_pages(repo: &Repo) -> Result<Vec<&'static str>, Error> {
    let mut stale = Vec::new();
    for page in PAGES {
        if !repo.path(page.file).exists() || repo.read(page.file)? != (page.make)() {
            stale.push(page.file);
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CFG-10: the reference derives from the one typed source of the economic constants, and
    /// generating it again changes nothing.
    #[test]
    fn generating_the_reference_again_leaves_no_difference() {
        let stale = stale_pages(&Repo::of_this_crate()).unwrap();
        assert!(stale.is_empty(), "stale: {stale:?}; run `cargo xtask reference --write`");
    }
}
