//! Writes the report of `cargo xtask promises`. Called by the parent module, which prints it.

use std::fmt::Write;

use super::coverage::{Coverage, Quoting};
use super::lists::{Requirement, RequirementList};

/// Returns the report: each list with its requirements, the wrong ids, and the counts.
pub(crate) fn text(coverage: &Coverage, only_missing: bool) -> String {
    let mut out = String::new();
    for list in &coverage.lists {
        list_text(&mut out, coverage, list, only_missing);
    }
    wrong_text(&mut out, "Quoted, but in no list:", &coverage.unknown());
    wrong_text(&mut out, "Quoted by ignored tests only:", &coverage.only_ignored());
    for list in &coverage.lists {
        line(&mut out, &summary(coverage, list));
    }
    out
}

fn list_text(out: &mut String, coverage: &Coverage, list: &RequirementList, only_missing: bool) {
    line(out, &format!("{} ({})", list.title, list.file));
    for row in &list.rows {
        let tests = coverage.tests(&row.id);
        if tests.is_empty() {
            let word = row.unquoted_word();
            line(out, &format!("  {:<10} {word}  {}", row.id, row.text));
        } else if !only_missing {
            line(out, &format!("  {:<10} {}", row.id, row.text));
            tests.iter().for_each(|test| line(out, &test_text(test)));
        }
    }
    out.push('\n');
}

fn wrong_text(out: &mut String, title: &str, wrong: &[(&str, &[Quoting])]) {
    if wrong.is_empty() {
        return;
    }
    line(out, title);
    for (id, tests) in wrong {
        line(out, &format!("  {id}"));
        tests.iter().for_each(|test| line(out, &test_text(test)));
    }
    out.push('\n');
}

fn test_text(test: &Quoting) -> String {
    let ignored = if test.ignored { " (ignored)" } else { "" };
    format!("      {} {}{ignored}", test.place, test.name)
}

fn summary(coverage: &Coverage, list: &RequirementList) -> String {
    let due = |row: &&Requirement| !row.is_retired() && !row.is_planned();
    let standing: Vec<&Requirement> = list.rows.iter().filter(due).collect();
    let quoted = standing.iter().filter(|row| !coverage.tests(&row.id).is_empty()).count();
    format!(
        "{}: {quoted} of {} quoted, {} missing",
        list.title,
        standing.len(),
        standing.len() - quoted
    )
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promises::coverage::tests::{list, test};

    fn sample() -> Coverage {
        let tests = vec![test("prj_01_a_story", false), test("prj_09_typo", true)];
        Coverage::new(vec![list(&["PRJ-01", "PRJ-02"])], tests)
    }

    #[test]
    fn every_row_is_printed_with_its_tests() {
        let expected = "\
Sample (sample.md)
  PRJ-01     Text of PRJ-01.
      a.rs:1 prj_01_a_story
  PRJ-02     MISSING  Text of PRJ-02.

Quoted, but in no list:
  PRJ-09
      a.rs:1 prj_09_typo (ignored)

Quoted by ignored tests only:
  PRJ-09
      a.rs:1 prj_09_typo (ignored)

Sample: 1 of 2 quoted, 1 missing
";
        assert_eq!(text(&sample(), false), expected);
    }

    #[test]
    fn what_is_quoted_is_left_out_on_request() {
        let report = text(&sample(), true);
        assert!(!report.contains("prj_01_a_story"));
        assert!(report.contains("PRJ-02     MISSING"));
    }
}
