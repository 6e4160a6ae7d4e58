//! Rules about Rust code that no lint of the compiler checks. Called by the parent module for each
//! Rust file.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Finding;
use crate::error::Error;
use crate::repo::TextFile;
use crate::rust_source::{Function, each_token, functions, tokens};
use crate::sql::queries;

/// Returns the findings about the code of a file.
pub(crate) fn check(file: &TextFile) -> Result<Vec<Finding>, Error> {
    let stream = tokens(&file.path, &file.text)?;
    let mut findings = Vec::new();
    for function in functions(&stream) {
        if function.is_test && calls_sleep(&function) {
            let message = format!(
                "`{}` sleeps: move the clock or wait on a condition with a bound",
                function.name
            );
            findings.push(Finding::new(format!("{}:{}", file.path, function.line), message));
        }
        if function.is_test {
            findings.extend(weak_assertions(&file.path, &function));
        }
    }
    if !holds_sql(&file.path) {
        for query in queries::in_file(file)?.queries {
            let message =
                "SQL outside a store: move it to `store.rs` or a file in a folder `store`";
            findings.push(Finding::new(query.place, message));
        }
    }
    Ok(findings)
}

/// Returns whether a file may have SQL.
fn holds_sql(path: &str) -> bool {
    path.ends_with("/store.rs") || path.contains("/store/")
}

/// Returns whether a test sleeps outside a loop. In a loop it waits for a condition.
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

/// Returns the findings about assertions that do not show which of two conditions failed, or that
/// depend on the speed of the machine.
fn weak_assertions(path: &str, test: &Function) -> Vec<Finding> {
    let body = test.body.as_ref().map_or_else(TokenStream::new, proc_macro2::Group::stream);
    let mut found = Vec::new();
    let mut name = (false, false);
    each_token(&body, &mut |tree| {
        if let (TokenTree::Group(group), (true, true)) = (tree, name) {
            let place = format!("{path}:{}", group.span_open().start().line);
            if joins_conditions(&group.stream()) {
                let message = "`assert!` joins two conditions: make each its own assertion, or add \
                               a message with what was found";
                found.push(Finding::new(&place, message));
            }
            if mentions(&group.stream(), "elapsed") {
                let message = "an assertion about elapsed time depends on the machine's speed: \
                               measure it in a benchmark";
                found.push(Finding::new(&place, message));
            }
        }
        name = match tree {
            TokenTree::Ident(word) => (word == "assert", false),
            TokenTree::Punct(mark) if mark.as_char() == '!' => (name.0, true),
            _ => (false, false),
        };
    });
    found
}

/// Returns whether the arguments of `assert!` are `a && b` without a message.
fn joins_conditions(arguments: &TokenStream) -> bool {
    let marks: Vec<char> = arguments
        .clone()
        .into_iter()
        .map(|tree| if let TokenTree::Punct(mark) = tree { mark.as_char() } else { ' ' })
        .collect();
    let message = marks.iter().position(|mark| *mark == ',').is_some_and(|at| at + 1 < marks.len());
    !message && marks.windows(2).any(|two| two == ['&', '&'])
}

fn mentions(stream: &TokenStream, name: &str) -> bool {
    let mut found = false;
    each_token(stream, &mut |tree| {
        found |= matches!(tree, TokenTree::Ident(word) if word == name);
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let file = TextFile { path: "a.rs".to_owned(), text: text.to_owned() };
        check(&file).unwrap().iter().map(ToString::to_string).collect()
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
    fn an_assertion_says_which_condition_failed() {
        let test = |body: &str| findings(&format!("#[test] fn f() {{ {body} }}"));
        let found = test("assert!(a && b);");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("joins two conditions"), "{found:?}");
        assert_eq!(test("if x { assert!(a && (b || c),) }").len(), 1);
        assert!(test("assert!(a && b, \"{a} {b}\");").is_empty());
        assert!(test("assert!((a && b) || c); assert!(a);").is_empty());
        assert!(findings("fn f() { assert!(a && b); }").is_empty());
    }

    #[test]
    fn an_assertion_does_not_depend_on_speed() {
        let found = findings("#[test] fn f() { assert!(start.elapsed() < BOUND, \"slow\"); }");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("elapsed time"), "{found:?}");
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
}
