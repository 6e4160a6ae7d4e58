//! What an operator reads about a failure ends with a remedy: lines of level `error`, and the
//! errors of commands. The texts are read from the tokens of the sources.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::sources::{each_run, is_punct, literals, shipped_sources, text};

/// Words with which a remedy begins.
const REMEDY_WORDS: [&str; 41] = [
    "add", "allow", "change", "check", "choose", "compare", "complete", "connect", "correct",
    "create", "delete", "end", "find", "finish", "fix", "free", "give", "look", "make", "nothing",
    "rebuild", "remove", "replace", "replay", "report", "restart", "restore", "retry", "run",
    "see", "set", "sort", "start", "stop", "take", "try", "undo", "use", "verify", "wait", "write",
];
/// Values in a text that are a remedy.
const REMEDY_VALUES: [&str; 2] = ["{hint}", "{remedy}"];

/// The texts of an error type, and the types whose texts it has as its own (`transparent`).
#[derive(Default)]
struct ErrorTexts {
    texts: Vec<String>,
    transparent: Vec<String>,
}

/// A person must act on an `error` line, so that it says what to do.
#[test]
fn every_error_line_has_a_remedy() {
    let mut without: Vec<String> = Vec::new();
    for (_, tokens) in shipped_sources() {
        each_run(&tokens, &mut |trees| {
            if let [TokenTree::Ident(name), colon, colon2, TokenTree::Ident(level), mark, call, ..] =
                trees
                && name == "tracing"
                && is_punct(colon, ':')
                && is_punct(colon2, ':')
                && level == "error"
                && is_punct(mark, '!')
                && let TokenTree::Group(call) = call
            {
                without.push(message(call));
            }
        });
    }
    let has_remedy = |line: &String| line.contains("`gx ") || line.split("; ").any(is_remedy);
    without.retain(|line| !has_remedy(line));
    assert!(
        without.is_empty(),
        "these lines of level `error` lack a `gx` command, or one of {REMEDY_WORDS:?} after a \
         semicolon: {without:#?}"
    );
}

/// `main` prints the errors of `cli_error::printed!` and the messages of `CliError`. The text after
/// the last semicolon is the hint in the last line.
#[test]
fn every_error_of_a_command_has_a_remedy() {
    let sources = shipped_sources();
    let mut errors = BTreeMap::new();
    for (path, tokens) in &sources {
        collect_errors(&crate_of(path), tokens, &mut errors);
    }
    let mut without = messages(&sources);
    let mut left = printed_types(&sources);
    assert!(!left.is_empty() && !without.is_empty(), "the sources are read");
    let mut seen = BTreeSet::new();
    while let Some(error) = left.pop() {
        let Some(ErrorTexts { texts, transparent }) = errors.get(&error) else {
            without.push(format!("{error:?} has no texts"));
            continue;
        };
        without.extend(texts.iter().cloned());
        for inner in transparent {
            let inner = (error.0.clone(), inner.clone());
            if seen.insert(inner.clone()) {
                left.push(inner);
            }
        }
    }
    without.retain(|text| !text.rsplit_once("; ").is_some_and(|(_, end)| is_remedy(end)));
    assert!(
        without.is_empty(),
        "these errors of commands lack one of {REMEDY_WORDS:?} or {REMEDY_VALUES:?} after their \
         last semicolon: {without:#?}"
    );
}

/// Returns whether a text begins like a remedy.
fn is_remedy(text: &str) -> bool {
    REMEDY_VALUES.contains(&text)
        || text.split_whitespace().next().is_some_and(|word| REMEDY_WORDS.contains(&word))
}

/// Returns the message of a log line, without its values.
fn message(call: &Group) -> String {
    let trees: Vec<TokenTree> = call.stream().into_iter().collect();
    let mut arguments = trees.split(|tree| is_punct(tree, ','));
    arguments.find_map(|argument| text(argument.first()?)).unwrap_or_default()
}

/// Returns the messages that `gx` gives to `CliError::message` and `CliError::caused_by`.
fn messages(sources: &[(String, TokenStream)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, tokens) in sources.iter().filter(|(path, _)| crate_of(path) == "gx") {
        each_run(tokens, &mut |trees| {
            if let [TokenTree::Ident(of), colon, _, TokenTree::Ident(method), call, ..] = trees
                && is_punct(colon, ':')
                && (method == "caused_by" || of == "CliError" && method == "message")
                && let TokenTree::Group(call) = call
            {
                let text = literals(&call.stream()).into_iter().next();
                found
                    .push(text.unwrap_or_else(|| format!("{path}: {call} has no text of its own")));
            }
        });
    }
    found
}

/// Returns the crate and name of each type in the lists of `cli_error::printed!`.
fn printed_types(sources: &[(String, TokenStream)]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (_, tokens) in sources.iter().filter(|(path, _)| crate_of(path) == "gx") {
        each_run(tokens, &mut |trees| {
            if let [TokenTree::Ident(name), mark, TokenTree::Group(list), ..] = trees
                && name == "printed"
                && is_punct(mark, '!')
            {
                let list: Vec<TokenTree> = list.stream().into_iter().collect();
                found.extend(list.split(|tree| is_punct(tree, ',')).filter_map(printed_type));
            }
        });
    }
    found
}

/// Returns the crate and name in the path of a type. A single name is a type of `gx`.
fn printed_type(path: &[TokenTree]) -> Option<(String, String)> {
    let names = path.iter().filter_map(|tree| match tree {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    });
    match &names.collect::<Vec<_>>()[..] {
        [] => None,
        [name] => Some(("gx".to_owned(), name.clone())),
        [of, .., name] => Some((of.replace('_', "-"), name.clone())),
    }
}

/// Returns the crate of a source file.
fn crate_of(path: &str) -> String {
    let (_, inside) = path.rsplit_once("/crates/").unwrap();
    inside.split('/').next().unwrap().to_owned()
}

/// Adds the texts in the attributes `error` of each type in a file, under its crate and name.
fn collect_errors(
    of: &str,
    tokens: &TokenStream,
    errors: &mut BTreeMap<(String, String), ErrorTexts>,
) {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut attributes = Vec::new();
    let mut name = None;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                attributes.extend(error_attribute(group));
            }
            TokenTree::Ident(kind) if kind == "struct" || kind == "enum" => {
                name = trees.get(at + 1).map(ToString::to_string);
                let texts = std::mem::take(&mut attributes);
                if let (Some(name), false) = (&name, texts.is_empty()) {
                    let error = errors.entry((of.to_owned(), name.clone())).or_default();
                    error.texts.extend(texts);
                }
            }
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                if let Some(name) = name.take() {
                    collect_variants((of, &name), body, errors);
                }
            }
            TokenTree::Punct(end) if end.as_char() == ';' => name = None,
            _ => {}
        }
    }
}

/// Adds the texts of the variants of one type.
fn collect_variants(
    (of, name): (&str, &str),
    body: &Group,
    errors: &mut BTreeMap<(String, String), ErrorTexts>,
) {
    let mut is_transparent = false;
    for tree in body.stream() {
        let TokenTree::Group(group) = tree else { continue };
        if group.delimiter() == Delimiter::Bracket {
            let Some(text) = error_attribute(&group) else { continue };
            is_transparent = text == "transparent";
            if !is_transparent {
                let error = errors.entry((of.to_owned(), name.to_owned())).or_default();
                error.texts.push(text);
            }
        } else if std::mem::take(&mut is_transparent) {
            let error = errors.entry((of.to_owned(), name.to_owned())).or_default();
            error.transparent.extend(last_ident(&group));
        }
    }
}

/// Returns the text of an attribute `error`, or `transparent`, or `None` for another attribute.
fn error_attribute(attribute: &Group) -> Option<String> {
    let mut trees = attribute.stream().into_iter();
    let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(value))) =
        (trees.next(), trees.next())
    else {
        return None;
    };
    let first = value.stream().into_iter().next()?;
    (name == "error").then(|| text(&first).unwrap_or_else(|| first.to_string()))
}

fn last_ident(group: &Group) -> Option<String> {
    let idents = group.stream().into_iter().filter_map(|tree| match tree {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    });
    idents.last()
}
