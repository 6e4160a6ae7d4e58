//! Finds the tests in a JavaScript file: calls of `it`, each with the doc comment above it. Called
//! by the parent module for each file.
//!
//! Only the style of this repository is understood: each call begins a line, and its comment is
//! directly above.

use super::coverage::Quoting;
use crate::repo::TextFile;

/// End of the name of a file with tests.
const TEST_FILE: &str = ".test.js";

/// Returns whether a file has tests.
pub(crate) fn has_tests(file: &TextFile) -> bool {
    file.path.ends_with(TEST_FILE)
}

/// Returns all tests of a file.
pub(crate) fn tests(file: &TextFile) -> Vec<Quoting> {
    let mut found = Vec::new();
    let mut doc = String::new();
    let mut in_doc = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        let line = line.trim();
        if let Some(start) = line.strip_prefix("/**") {
            doc = comment_text(start);
            in_doc = !line.ends_with("*/");
        } else if in_doc {
            doc = format!("{doc}\n{}", comment_text(line));
            in_doc = !line.ends_with("*/");
        } else {
            let doc = std::mem::take(&mut doc);
            if let Some((ignored, name)) = test_call(line) {
                let place = format!("{}:{number}", file.path);
                found.push(Quoting { place, name: name.to_owned(), doc, ignored });
            }
        }
    }
    found
}

fn comment_text(line: &str) -> String {
    line.trim_end_matches("*/").trim_start_matches('*').trim().to_owned()
}

/// Returns whether a test is ignored and its name, or `None` if the line is no call of `it`.
fn test_call(line: &str) -> Option<(bool, &str)> {
    let after = line.strip_prefix("it")?;
    let (ignored, after) = match after.strip_prefix(".skip").or(after.strip_prefix(".todo")) {
        Some(after) => (true, after),
        None => (false, after),
    };
    let after = after.strip_prefix('(')?;
    let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"' | '`'))?;
    let (name, _) = after[1..].split_once(quote)?;
    Some((ignored, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests_of(text: &str) -> Vec<(String, String, String, bool)> {
        let file = TextFile { path: "a.test.js".to_owned(), text: text.to_owned() };
        tests(&file).into_iter().map(|t| (t.place, t.name, t.doc, t.ignored)).collect()
    }

    #[test]
    fn a_test_has_the_comment_above_it() {
        let text =
            "/** FAB-01: one. */\n  it('does', async () => {\n  });\n  it(\"has none\", () => {});";
        let expected = [
            ("a.test.js:2".to_owned(), "does".to_owned(), "FAB-01: one.".to_owned(), false),
            ("a.test.js:4".to_owned(), "has none".to_owned(), String::new(), false),
        ];
        assert_eq!(tests_of(text), expected);
    }

    #[test]
    fn a_comment_may_have_several_lines() {
        let text = "/**\n * FAB-01: one,\n * and FAB-02.\n */\nit(`both`, () => {});";
        assert_eq!(tests_of(text)[0].2.trim(), "FAB-01: one,\nand FAB-02.");
    }

    #[test]
    fn a_comment_of_something_else_is_not_the_next_tests() {
        let text = "/** FAB-01 is for this. */\nfunction f() {}\nit('x', () => {});";
        assert_eq!(tests_of(text)[0].2, "");
    }

    #[test]
    fn tests_that_are_switched_off_are_ignored() {
        assert!(tests_of("it.skip('later', () => {});")[0].3);
        assert!(tests_of("items('no test')").is_empty());
    }
}
