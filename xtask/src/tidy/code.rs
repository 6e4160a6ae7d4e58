//! Rules about Rust code that the compiler's lints do not know.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Finding;
use crate::error::Error;
use crate::repo::TextFile;
use crate::rust_source::{Function, attribute_path, each_token, functions, tokens};
use crate::sql::queries;

/// A function longer than this does not fit a screen.
const MAX_FUNCTION_LINES: usize = 70;

/// What breaks a rule about code.
pub(crate) fn check(file: &TextFile) -> Result<Vec<Finding>, Error> {
    let stream = tokens(&file.path, &file.text)?;
    let mut findings = Vec::new();
    for function in functions(&stream) {
        let place = format!("{}:{}", file.path, function.line);
        let lines = function.body_lines();
        if lines > MAX_FUNCTION_LINES {
            let message = format!(
                "`{}` has {lines} lines, above {MAX_FUNCTION_LINES}: give its parts names",
                function.name
            );
            findings.push(Finding::new(&place, message));
        }
        if function.is_test && calls_sleep(&function) {
            let message = format!(
                "`{}` sleeps: move the clock or wait on a condition with a bound",
                function.name
            );
            findings.push(Finding::new(&place, message));
        }
    }
    if !holds_sql(&file.path) {
        for query in queries::in_file(file)?.queries {
            let message = "SQL stands in a store: `store.rs`, or a file in a folder `store`";
            findings.push(Finding::new(query.place, message));
        }
    }
    let lines = unexplained_allows(&stream);
    findings.extend(lines.into_iter().map(|line| {
        Finding::new(format!("{}:{line}", file.path), "a lint is switched off without `reason`")
    }));
    Ok(findings)
}

/// Whether a file is there for SQL.
fn holds_sql(path: &str) -> bool {
    path.ends_with("/store.rs") || path.contains("/store/")
}

/// Whether a test waits for a time. In a loop it waits for a condition instead.
fn calls_sleep(test: &Function) -> bool {
    let body = test.body.as_ref().map_or_else(TokenStream::new, proc_macro2::Group::stream);
    sleeps_outside_loops(&body)
}

fn sleeps_outside_loops(stream: &TokenStream) -> bool {
    let (mut after_sleep, mut in_loop_head) = (false, false);
    for tree in stream.clone() {
        match &tree {
            TokenTree::Ident(word) => {
                let word = word.to_string();
                in_loop_head |= matches!(word.as_str(), "loop" | "while" | "for");
                after_sleep = word == "sleep";
                continue;
            }
            TokenTree::Group(group) => {
                let loop_body = in_loop_head && group.delimiter() == Delimiter::Brace;
                if after_sleep || (!loop_body && sleeps_outside_loops(&group.stream())) {
                    return true;
                }
                in_loop_head &= !loop_body;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        after_sleep = false;
    }
    false
}

/// The lines of `allow` and `expect` attributes that do not say why.
fn unexplained_allows(stream: &TokenStream) -> Vec<usize> {
    let mut lines = Vec::new();
    each_token(stream, &mut |tree| {
        if let TokenTree::Group(group) = tree
            && group.delimiter() == Delimiter::Bracket
            && is_unexplained_allow(&group.stream())
        {
            lines.push(group.span_open().start().line);
        }
    });
    lines
}

/// Looks at what may be an attribute's inside. An array or index cannot look like this:
/// `allow` or `expect` followed by one parenthesis with paths in it.
fn is_unexplained_allow(attribute: &TokenStream) -> bool {
    let path = attribute_path(attribute);
    let has_list = matches!(attribute.clone().into_iter().nth(1), Some(TokenTree::Group(_)));
    if !has_list || (path != ["allow"] && path != ["expect"]) {
        return false;
    }
    let mut explained = false;
    each_token(attribute, &mut |tree| {
        explained |= matches!(tree, TokenTree::Ident(name) if name == "reason");
    });
    !explained
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let file = TextFile { path: "a.rs".to_owned(), text: text.to_owned() };
        check(&file).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn long_functions_are_found() {
        let text = format!("fn long() {{{}}}", "\n".repeat(MAX_FUNCTION_LINES));
        assert_eq!(
            findings(&text),
            ["a.rs:1: `long` has 71 lines, above 70: give its parts names"]
        );
    }

    #[test]
    fn tests_do_not_sleep() {
        let text = "#[tokio::test] async fn naps() { tokio::time::sleep(x).await; }";
        assert!(findings(text)[0].contains("`naps` sleeps"));
        assert!(findings("async fn backs_off() { tokio::time::sleep(x).await; }").is_empty());
        assert!(findings("#[test] fn fine() { let sleep = 1; f(sleep, 2); }").is_empty());
        let polls = "#[test] fn polls() { while !f() { assert!(in_time()); sleep(x); } }";
        assert!(findings(polls).is_empty());
        assert_eq!(findings("#[test] fn f() { spawn(async { sleep(x).await }); }").len(), 1);
    }

    #[test]
    fn sql_stands_in_stores() {
        let check_at = |path: &str| {
            let text = "fn f() { sqlx::query!(\"SELECT 1\"); }".to_owned();
            check(&TextFile { path: path.to_owned(), text }).unwrap()
        };
        assert_eq!(check_at("crates/x/src/people/http.rs").len(), 1);
        assert!(check_at("crates/x/src/people/store.rs").is_empty());
        assert!(check_at("crates/x/src/store/lanes.rs").is_empty());
    }

    #[test]
    fn a_switched_off_lint_says_why() {
        let found = findings("#[allow(dead_code)]\nfn f() {}");
        assert_eq!(found, ["a.rs:1: a lint is switched off without `reason`"]);
        assert!(findings("#[allow(dead_code, reason = \"shared\")] fn f() {}").is_empty());
        assert!(findings("fn f() { x[allow]; }").is_empty());
    }
}
