//! Names that no value at run time lists: metrics with their labels, fields of log lines, keys of
//! hand-made JSON, audit actions, and the contracts' error codes. They are read from the tokens of
//! the sources. Pages that list such names for people are compared here, too.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::check;

/// Ends of file names, which look like audit actions.
const FILE_ENDINGS: [&str; 5] = ["csv", "json", "pem", "sql", "yaml"];
/// Crates that never ship.
const NOT_SHIPPED: [&str; 3] = ["gx-bench", "gx-sim", "gx-testkit"];

#[test]
fn metrics_are_those_of_the_golden_file() {
    let mut found = BTreeSet::new();
    for (_, tokens) in shipped_sources() {
        each_run(&tokens, &mut |trees| {
            if let [TokenTree::Ident(kind), TokenTree::Punct(mark), TokenTree::Group(call), ..] =
                trees
                && mark.as_char() == '!'
                && ["counter", "gauge", "histogram"].contains(&kind.to_string().as_str())
            {
                found.insert(format!("{} {kind}{}", metric_name(call), labels(call)));
            }
        });
    }
    check("metrics.txt", &lines(found));
}

#[test]
fn fields_of_log_lines_are_those_of_the_golden_file() {
    check("log-fields.txt", &lines(log_fields()));
}

#[test]
fn fields_of_log_lines_are_those_of_the_table_in_logging_md() {
    let page = page("logging.md");
    let (_, table) = page.split_once("\n## Fields\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let (listed, logged) = (first_column(table), log_fields());
    let missing: Vec<&String> = logged.difference(&listed).collect();
    let unused: Vec<&String> = listed.difference(&logged).collect();
    assert!(
        missing.is_empty() && unused.is_empty(),
        "docs/logging.md lacks a row for {missing:?} and has a row for {unused:?}, which no log \
         line has"
    );
}

#[test]
fn every_problem_code_has_a_line_in_errors_md() {
    let page = page("errors.md");
    let (problems, _) = page.split_once("\n## A field that is wrong\n").unwrap();
    let listed = first_column(problems);
    let missing: BTreeSet<String> = problem_codes().difference(&listed).cloned().collect();
    assert!(missing.is_empty(), "docs/errors.md lacks a line for {missing:?}");
}

#[test]
fn every_problem_code_is_in_a_test() {
    let mut tests = Vec::new();
    for entry in std::fs::read_dir(crates()).unwrap() {
        collect_tests(&entry.unwrap().path(), false, &mut tests);
    }
    let mut missing = problem_codes();
    missing.retain(|code| !tests.iter().any(|text| text.contains(&format!("\"{code}\""))));
    assert!(missing.is_empty(), "no test has a client that is answered {missing:?}");
}

/// Each row of the tables in security.md has a state, and what is met names a test that exists, or
/// a page.
#[test]
fn tests_of_the_security_page_exist() {
    let page = page("security.md");
    let (_, tables) = page.split_once("\n## OWASP ASVS 5.0\n").unwrap();
    let mut wrong = Vec::new();
    for row in tables.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Id ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, state, proof] = cells[..] else { panic!("{row} has not four cells") };
        let named: Vec<(&str, &str)> =
            proof.split('`').skip(1).step_by(2).filter_map(|test| test.split_once(": ")).collect();
        let tests = named.iter().filter(|(package, _)| crates().join(package).is_dir());
        let missing = tests.clone().any(|(package, name)| !has_function(package, name));
        let is_shown = tests.count() > 0 || proof.contains("](");
        if missing || !["met", "not met", "n/a"].contains(&state) || (state == "met" && !is_shown) {
            wrong.push(id.to_owned());
        }
    }
    assert!(wrong.is_empty(), "docs/security.md: no state, no proof or no such test: {wrong:?}");
}

/// Returns whether a crate has a function with this name.
fn has_function(package: &str, name: &str) -> bool {
    fn search(folder: &Path, function: &str) -> bool {
        std::fs::read_dir(folder).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                return search(&path, function);
            }
            path.extension().is_some_and(|ending| ending == "rs")
                && std::fs::read_to_string(&path).unwrap().contains(function)
        })
    }
    search(&crates().join(package), &format!("fn {name}("))
}

/// Returns the codes of all services.
fn problem_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for service in ["svc-admin", "svc-identity", "svc-tokenomics"] {
        let file = crates().join("gx/golden").join(format!("{service}.problems.txt"));
        let text = std::fs::read_to_string(file).unwrap();
        codes.extend(text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())));
    }
    codes
}

/// Adds the texts of the files that have nothing but tests.
fn collect_tests(folder: &Path, inside: bool, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_for_tests = inside || ["tests", "tests.rs"].contains(&name);
        if path.is_dir() {
            collect_tests(&path, is_for_tests, texts);
        } else if is_for_tests && name.ends_with(".rs") {
            texts.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Metrics whose name a helper function takes, notification channels, and values of the
/// certificate attribute.
#[test]
fn names_that_begin_with_gx_are_those_of_the_golden_file() {
    let is_name = |text: &String| {
        text.starts_with("gx_")
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let all = shipped_sources().into_iter().flat_map(|(_, tokens)| literals(&tokens));
    check("gx-names.txt", &lines(all.filter(is_name).collect()));
}

#[test]
fn keys_of_json_made_by_hand_are_those_of_the_golden_file() {
    let mut found = BTreeSet::new();
    for (_, tokens) in shipped_sources() {
        each_run(&tokens, &mut |trees| {
            if let [TokenTree::Ident(name), TokenTree::Punct(mark), TokenTree::Group(json), ..] =
                trees
                && name == "json"
                && mark.as_char() == '!'
            {
                each_run(&json.stream(), &mut |trees| {
                    if let [key, TokenTree::Punct(colon), ..] = trees
                        && colon.as_char() == ':'
                        && let Some(key) = text(key)
                    {
                        found.insert(key);
                    }
                });
            }
        });
    }
    check("json-keys.txt", &lines(found));
}

/// An action is a text such as `user.approved` in a file that writes to the audit log.
#[test]
fn audit_actions_are_those_of_the_golden_file() {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let is_action = |text: &String| {
        text.split_once('.').is_some_and(|(subject, verb)| {
            is_word(subject) && is_word(verb) && !FILE_ENDINGS.contains(&verb)
        })
    };
    let mut found = BTreeSet::new();
    for (path, tokens) in shipped_sources() {
        if path.contains("audit") || tokens.to_string().contains("audit") {
            found.extend(literals(&tokens).into_iter().filter(is_action));
        }
    }
    check("audit-actions.txt", &lines(found));
}

#[test]
fn error_codes_of_the_contracts_are_those_of_the_golden_file() {
    let is_code = |text: &String| {
        text.contains('_') && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let mut found = BTreeSet::new();
    for (path, tokens) in shipped_sources() {
        if path.contains("gx-contract") {
            let words = literals(&tokens).into_iter();
            found.extend(words.filter_map(|text| Some(text.split(':').next()?.to_owned())));
        }
    }
    found.retain(|text| is_code(text) && text != "SCREAMING_SNAKE_CASE");
    check("contract-codes.txt", &lines(found));
}

/// Returns the name of a metric, or `*` where a helper function takes it.
fn metric_name(call: &Group) -> String {
    let first: TokenStream =
        call.stream().into_iter().take_while(|tree| !is_punct(tree, ',')).collect();
    literals(&first).pop().unwrap_or_else(|| "*".to_owned())
}

/// Returns the labels of a metric in braces. A value that is not a literal is `*`.
fn labels(call: &Group) -> String {
    let trees: Vec<TokenTree> = call.stream().into_iter().collect();
    let labels = trees.windows(4).filter_map(|trees| match trees {
        [name, equals, more, value] if is_punct(equals, '=') && is_punct(more, '>') => {
            let value = text(value).unwrap_or_else(|| "*".to_owned());
            Some(format!("{}={value}", text(name)?))
        }
        _ => None,
    });
    let labels: Vec<String> = labels.collect();
    if labels.is_empty() { String::new() } else { format!(" {{{}}}", labels.join(", ")) }
}

/// Returns the names of the fields of every log line and span that ships.
fn log_fields() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, tokens) in shipped_sources() {
        each_run(&tokens, &mut |trees| {
            if let [TokenTree::Ident(name), colon, colon2, call @ ..] = trees
                && name == "tracing"
                && is_punct(colon, ':')
                && is_punct(colon2, ':')
            {
                // In a macro of our own the level is `$level`.
                let call = if call.first().is_some_and(|tree| is_punct(tree, '$')) {
                    &call[1..]
                } else {
                    call
                };
                if let [TokenTree::Ident(kind), mark, TokenTree::Group(call), ..] = call
                    && is_punct(mark, '!')
                {
                    found.extend(fields(call, kind.to_string().ends_with("span")));
                }
            }
        });
    }
    found
}

/// Returns the names of the fields of one log line, which come before its message, or of a span,
/// which come after its name.
fn fields(call: &Group, is_span: bool) -> Vec<String> {
    let trees: Vec<TokenTree> = call.stream().into_iter().collect();
    let arguments = trees.split(|tree| is_punct(tree, ',')).skip(usize::from(is_span));
    let fields = arguments.take_while(|argument| argument.first().and_then(text).is_none());
    let names = fields.filter_map(|field| {
        field.iter().find_map(|tree| match tree {
            TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        })
    });
    names.collect()
}

/// Returns the names in backticks of the first column of a page's tables.
fn first_column(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.flat_map(|(cell, _)| cell.split("`, `").map(str::to_owned)).collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(crates().join("../docs").join(name)).unwrap()
}

fn crates() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns the tokens of every source file that ships, with its path. Tests are left out.
pub(super) fn shipped_sources() -> Vec<(String, TokenStream)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(crates()).unwrap() {
        let entry = entry.unwrap();
        if !NOT_SHIPPED.contains(&entry.file_name().to_str().unwrap()) {
            collect(&entry.path().join("src"), &mut files);
        }
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, TokenStream)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_for_tests = ["tests", "tests.rs", "testing", "testing.rs", "golden"].contains(&name);
        if path.is_dir() && !is_for_tests {
            collect(&path, files);
        } else if name.ends_with(".rs") && !is_for_tests {
            let tokens: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
            files.push((path.to_str().unwrap().to_owned(), without_tests(tokens)));
        }
    }
}

/// Leaves out the items that are built for tests alone.
fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut is_test = false;
    let mut kept = Vec::new();
    for tree in tokens {
        match &tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                is_test |= group.stream().to_string().replace(' ', "") == "cfg(test)";
                kept.push(tree);
            }
            TokenTree::Group(group) if is_test && group.delimiter() == Delimiter::Brace => {
                is_test = false;
            }
            TokenTree::Punct(mark) if is_test && mark.as_char() == ';' => is_test = false,
            _ => kept.push(tree),
        }
    }
    kept.into_iter().collect()
}

/// Calls `visit` with each token and those after it in the same group, at any depth.
pub(super) fn each_run(tokens: &TokenStream, visit: &mut impl FnMut(&[TokenTree])) {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        visit(&trees[at..]);
        if let TokenTree::Group(group) = tree {
            each_run(&group.stream(), visit);
        }
    }
}

/// Returns the string literals among some tokens, at any depth.
pub(super) fn literals(tokens: &TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    each_run(tokens, &mut |trees| found.extend(trees.first().and_then(text)));
    found
}

pub(super) fn is_punct(tree: &TokenTree, mark: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Returns the value of a string literal.
pub(super) fn text(tree: &TokenTree) -> Option<String> {
    syn::parse2::<syn::LitStr>(TokenStream::from(tree.clone())).ok().map(|text| text.value())
}

fn lines(found: BTreeSet<String>) -> String {
    found.into_iter().map(|line| line + "\n").collect()
}
