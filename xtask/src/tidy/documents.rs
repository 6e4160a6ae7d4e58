//! Rules about documents: links lead to files, and every decision is listed. Called by the parent
//! module with all files.

use std::collections::BTreeSet;

use super::Finding;
use crate::repo::{Repo, TextFile};

/// The folder of decisions.
const DECISIONS: &str = "docs/decisions/";
const DECISION_LIST: &str = "docs/decisions/README.md";

/// Returns the findings about the Markdown files among `files`.
pub(crate) fn check(repo: &Repo, files: &[TextFile]) -> Vec<Finding> {
    let pages = files.iter().filter(|file| file.path.ends_with(".md"));
    let mut findings = Vec::new();
    let mut listed = BTreeSet::new();
    for page in pages.clone() {
        for (line, link) in relative_links(&page.text) {
            let target = resolve(&page.path, &link);
            if !repo.path(&target).exists() {
                let place = format!("{}:{line}", page.path);
                findings
                    .push(Finding::new(place, format!("links to {link}, which does not exist")));
            }
            if page.path == DECISION_LIST {
                listed.insert(target);
            }
        }
    }
    let decisions = pages.filter(|page| page.path.starts_with(DECISIONS));
    let unlisted =
        decisions.filter(|page| page.path != DECISION_LIST && !listed.contains(&page.path));
    findings.extend(
        unlisted.map(|page| Finding::new(&page.path, format!("is not listed in {DECISION_LIST}"))),
    );
    findings
}

/// Returns the targets of a page's links to other files, with their lines.
fn relative_links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for part in line.split("](").skip(1) {
            let target = part.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                links.push((number, target.to_owned()));
            }
        }
    }
    links
}

/// Returns the path of a link's target from the root of the repository.
fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_from_their_page() {
        assert_eq!(resolve("docs/a/b.md", "../c.md"), "docs/c.md");
        assert_eq!(resolve("README.md", "docs/x/"), "docs/x");
    }

    #[test]
    fn only_links_to_files_are_looked_at() {
        let text = "[a](b.md#part) [c](https://example.org)\n[d](#here) [e](f/)";
        assert_eq!(relative_links(text), [(1, "b.md".to_owned()), (2, "f/".to_owned())]);
    }

    #[test]
    fn a_dead_link_and_an_unlisted_decision_are_found() {
        let page =
            |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = [
            page("docs/decisions/README.md", "[gone](9999-gone.md)"),
            page("docs/decisions/0001-new.md", "text"),
        ];
        let found: Vec<String> =
            check(&Repo::of_this_crate(), &files).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/decisions/README.md:1: links to 9999-gone.md, which does not exist",
                "docs/decisions/0001-new.md: is not listed in docs/decisions/README.md"
            ]
        );
    }
}
