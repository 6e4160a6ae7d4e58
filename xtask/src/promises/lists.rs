//! Reads the lists of requirements under `docs/requirements` for `cargo xtask promises`. A
//! malformed row fails the command.

use std::collections::BTreeSet;

use super::ids;
use crate::error::Error;
use crate::repo::Repo;

/// Titles and files of the lists, in the order of the report.
const LISTS: [(&str, &str); 3] = [
    ("Promises", "docs/requirements/promises.md"),
    ("Incidents", "docs/requirements/incidents.md"),
    ("Security requirements", "docs/requirements/security.md"),
];

/// The mark at the start of a requirement that no longer holds.
const RETIRED: &str = "(retired)";
/// The mark at the start of a requirement that is decided, and not built, not in full, or not yet
/// shown by a test.
const PLANNED: &str = "(planned)";

/// A list of requirements.
pub(crate) struct RequirementList {
    pub(crate) title: String,
    pub(crate) file: String,
    pub(crate) rows: Vec<Requirement>,
}

/// A requirement with its id.
pub(crate) struct Requirement {
    pub(crate) id: String,
    pub(crate) text: String,
}

impl Requirement {
    /// Returns whether the requirement no longer holds. Its row keeps the id from being given to
    /// another requirement.
    pub(crate) fn is_retired(&self) -> bool {
        self.text.starts_with(RETIRED)
    }

    /// Returns whether the requirement may lack a test.
    pub(crate) fn is_planned(&self) -> bool {
        self.text.starts_with(PLANNED)
    }

    /// Returns the word that the report shows if no test quotes the requirement.
    pub(crate) fn unquoted_word(&self) -> &'static str {
        match (self.is_retired(), self.is_planned()) {
            (true, _) => "retired",
            (false, true) => "planned",
            (false, false) => "MISSING",
        }
    }
}

impl RequirementList {
    /// Returns the themes of the list's ids: `PRJ` of `PRJ-08`, `G` of `G3`.
    pub(crate) fn themes(&self) -> BTreeSet<String> {
        self.rows.iter().map(|row| ids::theme(&row.id).to_owned()).collect()
    }
}

/// Reads all lists.
pub(crate) fn read_all(repo: &Repo) -> Result<Vec<RequirementList>, Error> {
    LISTS.iter().map(|(title, file)| parse(title, file, &repo.read(file)?)).collect()
}

/// Reads the tables of a Markdown file whose rows are `| id | requirement |`. [`Error::List`] names
/// a malformed row.
fn parse(title: &str, file: &str, text: &str) -> Result<RequirementList, Error> {
    let wrong = |line: usize, message: String| Error::List { file: file.to_owned(), line, message };
    let mut rows: Vec<Requirement> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some(row) = line.strip_prefix('|') else { continue };
        let Some(inner) = row.trim_end().strip_suffix('|') else {
            return Err(wrong(number, "a row must end with `|`".to_owned()));
        };
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        if cells[0] == "id" || cells[0].starts_with("---") {
            continue;
        }
        let [id, sentence] = cells[..] else {
            return Err(wrong(number, "a row must have two cells: id and requirement".to_owned()));
        };
        if !ids::is_id(id) {
            return Err(wrong(number, format!("`{id}` is not an id such as G3 or PRJ-08")));
        }
        if sentence.is_empty() {
            return Err(wrong(number, format!("{id} has no text")));
        }
        if rows.iter().any(|row| row.id == id) {
            return Err(wrong(number, format!("{id} is in the list twice; give each its own id")));
        }
        rows.push(Requirement { id: id.to_owned(), text: sentence.to_owned() });
    }
    if rows.is_empty() {
        return Err(wrong(1, "the list has no rows".to_owned()));
    }
    Ok(RequirementList { title: title.to_owned(), file: file.to_owned(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse("Sample", "sample.md", text).err().unwrap().to_string()
    }

    #[test]
    fn rows_are_read_and_headings_left_out() {
        let text = "# Title\n\n| id | requirement |\n|---|---|\n| A-01 | One. |\n\
                    | A-02 | (retired) Two. |\n| A-03 | (planned) Three. |\n";
        let list = parse("Sample", "sample.md", text).unwrap();
        let seen: Vec<_> =
            list.rows.iter().map(|row| (row.id.as_str(), row.unquoted_word())).collect();
        assert_eq!(seen, [("A-01", "MISSING"), ("A-02", "retired"), ("A-03", "planned")]);
    }

    #[test]
    fn a_malformed_row_is_named_with_its_line() {
        assert_eq!(
            message("| A-1 | One. |"),
            "sample.md:1: `A-1` is not an id such as G3 or PRJ-08"
        );
        assert_eq!(message("\n| A-01 | |"), "sample.md:2: A-01 has no text");
        assert_eq!(
            message("| A-01 | One. | Two. |"),
            "sample.md:1: a row must have two cells: id and requirement"
        );
        assert_eq!(
            message("| A-01 | x |\n| A-01 | y |"),
            "sample.md:2: A-01 is in the list twice; give each its own id"
        );
        assert_eq!(message("| A-01 | One."), "sample.md:1: a row must end with `|`");
        assert_eq!(message("nothing"), "sample.md:1: the list has no rows");
    }
}
