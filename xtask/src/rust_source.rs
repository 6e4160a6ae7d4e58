//! Reads Rust source as tokens. Called by the checks of `promises`, `sql` and `tidy`.
//!
//! Checks use tokens and not a syntax tree, so that the bodies of macros such as `proptest!` are
//! read like other code.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::error::Error;

/// Returns the tokens of a file. Comments are left out, doc comments are `doc` attributes.
/// [`Error::Rust`] if the text is not Rust.
pub(crate) fn tokens(file: &str, text: &str) -> Result<TokenStream, Error> {
    text.parse().map_err(|error: proc_macro2::LexError| Error::Rust {
        file: file.to_owned(),
        line: error.span().start().line,
        message: error.to_string(),
    })
}

/// A function with the facts of its attributes.
pub(crate) struct Function {
    /// Line of the name, from 1.
    pub(crate) line: usize,
    /// Name of the function.
    pub(crate) name: String,
    /// Doc comment of the function.
    pub(crate) doc: String,
    /// Whether the function is a test: it has an attribute whose path ends in `test`.
    pub(crate) is_test: bool,
    /// Whether the test runs only on request.
    pub(crate) is_ignored: bool,
    /// Body of the function; `None` if a trait only declares it.
    pub(crate) body: Option<Group>,
}

/// Returns all functions of a file, also nested ones and those in bodies of macros.
pub(crate) fn functions(stream: &TokenStream) -> Vec<Function> {
    let mut found = Vec::new();
    collect_functions(stream, &mut found);
    found
}

fn collect_functions(stream: &TokenStream, found: &mut Vec<Function>) {
    let trees: Vec<TokenTree> = stream.clone().into_iter().collect();
    let mut attributes: Vec<TokenStream> = Vec::new();
    let mut at = 0;
    while at < trees.len() {
        match (&trees[at], trees.get(at + 1)) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(body)))
                if hash.as_char() == '#' && body.delimiter() == Delimiter::Bracket =>
            {
                attributes.push(body.stream());
                at += 1;
            }
            (TokenTree::Ident(keyword), Some(TokenTree::Ident(name))) if keyword == "fn" => {
                let rest = &trees[at + 2..];
                found.push(function(name, std::mem::take(&mut attributes), rest));
                at += 1;
            }
            (TokenTree::Ident(word), _) if is_qualifier(&word.to_string()) => {}
            (TokenTree::Literal(_), _) => {}
            (TokenTree::Group(group), _) => {
                if group.delimiter() != Delimiter::Parenthesis {
                    attributes.clear();
                }
                collect_functions(&group.stream(), found);
            }
            _ => attributes.clear(),
        }
        at += 1;
    }
}

/// Returns whether a word may be between a function's attributes and `fn`.
fn is_qualifier(word: &str) -> bool {
    matches!(word, "pub" | "async" | "const" | "unsafe" | "extern")
}

/// Makes a function from its name, its attributes and the tokens after the name.
fn function(
    name: &proc_macro2::Ident,
    attributes: Vec<TokenStream>,
    rest: &[TokenTree],
) -> Function {
    let paths: Vec<Vec<String>> = attributes.iter().map(attribute_path).collect();
    let ends = rest.iter().find_map(|tree| match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
            Some(Some(group.clone()))
        }
        TokenTree::Punct(punct) if punct.as_char() == ';' => Some(None),
        _ => None,
    });
    Function {
        line: name.span().start().line,
        name: name.to_string(),
        doc: attributes.into_iter().filter_map(doc_text).collect::<Vec<_>>().join("\n"),
        is_test: paths.iter().any(|path| path.last().is_some_and(|last| last == "test")),
        is_ignored: paths.iter().any(|path| *path == ["ignore"]),
        body: ends.flatten(),
    }
}

/// Returns the names in an attribute's path: `tokio` and `test` of `tokio::test(flavor = …)`.
fn attribute_path(attribute: &TokenStream) -> Vec<String> {
    let mut path = Vec::new();
    for tree in attribute.clone() {
        match tree {
            TokenTree::Ident(name) => path.push(name.to_string()),
            TokenTree::Punct(colon) if colon.as_char() == ':' => {}
            _ => break,
        }
    }
    path
}

/// Returns the text of a `doc` attribute, or `None` for any other attribute.
fn doc_text(attribute: TokenStream) -> Option<String> {
    let mut trees = attribute.into_iter();
    match (trees.next()?, trees.next()?, trees.next()?) {
        (TokenTree::Ident(name), TokenTree::Punct(_), literal) if name == "doc" => string(&literal),
        _ => None,
    }
}

/// Returns the value of a string literal, or `None` for any other token.
pub(crate) fn string(tree: &TokenTree) -> Option<String> {
    syn::parse2::<syn::LitStr>(TokenStream::from(tree.clone())).ok().map(|text| text.value())
}

/// Calls `visit` for each token, also inside groups.
pub(crate) fn each_token(stream: &TokenStream, visit: &mut impl FnMut(&TokenTree)) {
    for tree in stream.clone() {
        visit(&tree);
        if let TokenTree::Group(group) = &tree {
            each_token(&group.stream(), visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions_of(text: &str) -> Vec<Function> {
        functions(&tokens("sample.rs", text).unwrap())
    }

    #[test]
    fn a_test_is_known_by_the_last_name_of_an_attribute() {
        let found = functions_of(
            "#[test] fn plain() {} #[tokio::test(flavor = \"x\")] pub(crate) async fn waits() {}
             #[cfg(test)] fn helper() {} mod tests { #[test] #[ignore = \"slow\"] fn inner() {} }",
        );
        let seen: Vec<_> =
            found.iter().map(|f| (f.name.as_str(), f.is_test, f.is_ignored)).collect();
        assert_eq!(
            seen,
            [
                ("plain", true, false),
                ("waits", true, false),
                ("helper", false, false),
                ("inner", true, true)
            ]
        );
    }

    #[test]
    fn tests_in_a_macro_body_are_found_with_their_doc_comments() {
        let found = functions_of(
            "proptest! { #![proptest_config(x)]\n/// G4: sums hold.\n#[test]\nfn sums(a in 0..3u8) {} }",
        );
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].line), ("sums", 4));
        assert_eq!(found[0].doc.trim(), "G4: sums hold.");
        assert!(found[0].is_test);
    }

    #[test]
    fn attributes_belong_to_the_next_item_only() {
        let found = functions_of("#[test] struct S; fn plain() {}");
        assert!(!found[0].is_test);
    }
}
