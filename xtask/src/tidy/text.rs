//! Rules about all text files. Called by the parent module for each file.

use super::Finding;
use crate::repo::TextFile;

/// Most lines of a Rust file: a longer one has more than one subject.
const MAX_LINES: usize = 500;
/// Most columns of a line of a comment. A table and a link may be wider.
const MAX_COMMENT_COLUMNS: usize = 100;

/// Forbidden texts with the reason. Each text is in two parts, so that this file, which is checked,
/// too, does not contain it.
const FORBIDDEN: [(&str, &str, &str); 12] = [
    ("/ho", "me/", "an absolute path of one machine"),
    ("/wo", "rk/", "an absolute path of one machine"),
    ("/ro", "ot/", "an absolute path of one machine"),
    ("/Us", "ers/", "an absolute path of one machine"),
    ("index.crates", ".io", "a registry's host is allowed in lock files only"),
    ("static.crates", ".io", "a registry's host is allowed in lock files only"),
    ("pypi.", "org", "a registry's host is allowed in lock files only"),
    ("registry.npmjs", ".org", "a registry's host is allowed in lock files only"),
    ("FIX", "ME", "unfinished work"),
    ("TO", "DO", "unfinished work"),
    ("to", "do!(", "unfinished work"),
    ("unimple", "mented!(", "unfinished work"),
];

/// Returns the findings about the text of a file.
pub(crate) fn check(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if file.is_rust() && lines > MAX_LINES {
        let message = format!("{lines} lines, above {MAX_LINES}: split it by subject");
        findings.push(Finding::new(&file.path, message));
    }
    if is_lock_file(&file.path) {
        return findings;
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        for (start, end, reason) in FORBIDDEN {
            let word = format!("{start}{end}");
            if line.contains(&word) {
                let place = format!("{}:{number}", file.path);
                findings.push(Finding::new(place, format!("`{word}`: {reason}")));
            }
        }
        if file.is_rust() && is_wide_comment(line) {
            let message = format!("a comment above {MAX_COMMENT_COLUMNS} columns: wrap it");
            findings.push(Finding::new(format!("{}:{number}", file.path), message));
        }
        if line.ends_with([' ', '\t']) {
            findings
                .push(Finding::new(format!("{}:{number}", file.path), "space at the line's end"));
        }
    }
    findings
}

fn is_wide_comment(line: &str) -> bool {
    let text = line.trim_start();
    text.starts_with("//")
        && !text.starts_with("//! |")
        && !text.contains("](")
        && line.chars().count() > MAX_COMMENT_COLUMNS
}

fn is_lock_file(path: &str) -> bool {
    path.ends_with(".lock") || path.ends_with("package-lock.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        check(&file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn forbidden_words_are_found_with_their_line() {
        let text = format!("fine\ncd {}{}ann", "/ho", "me/");
        assert_eq!(
            findings("a.sh", &text),
            [format!("a.sh:2: `{}{}`: an absolute path of one machine", "/ho", "me/")]
        );
    }

    #[test]
    fn wide_comments_are_found_and_tables_are_not() {
        let wide = "x".repeat(MAX_COMMENT_COLUMNS);
        assert_eq!(
            findings("a.rs", &format!("    // {wide}")),
            ["a.rs:1: a comment above 100 columns: wrap it"]
        );
        assert!(findings("a.rs", &format!("//! | {wide} |")).is_empty());
        assert!(findings("a.rs", &format!("let x = \"{wide}\";")).is_empty());
    }

    #[test]
    fn lock_files_may_name_registries() {
        let text = format!("source = {}{}", "index.crates", ".io");
        assert!(findings("Cargo.lock", &text).is_empty());
        assert_eq!(findings("Cargo.toml", &text).len(), 1);
    }

    #[test]
    fn long_rust_files_and_trailing_spaces_are_found() {
        let long = "x\n".repeat(MAX_LINES + 1);
        assert_eq!(findings("a.rs", &long), ["a.rs: 501 lines, above 500: split it by subject"]);
        assert!(findings("a.csv", &long).is_empty());
        assert_eq!(findings("a.md", "x \n"), ["a.md:1: space at the line's end"]);
    }
}
