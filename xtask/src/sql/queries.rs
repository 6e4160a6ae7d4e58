//! Finds the checked queries of a file. Called by the parent module and by `tidy::code` for each
//! Rust file.

use proc_macro2::{TokenStream, TokenTree};

use crate::error::Error;
use crate::repo::TextFile;
use crate::rust_source::{string, tokens};

/// The macros whose SQL is checked.
const MACROS: [&str; 6] = [
    "query",
    "query_as",
    "query_scalar",
    "query_unchecked",
    "query_as_unchecked",
    "query_scalar_unchecked",
];

/// A checked query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// `file:line`.
    pub(crate) place: String,
    pub(crate) sql: String,
}

/// The checked queries of a file.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) queries: Vec<Query>,
    /// Findings about calls whose SQL is not a literal.
    pub(crate) unreadable: Vec<String>,
}

/// Returns the calls of sqlx's query macros, also those in bodies of other macros.
pub(crate) fn in_file(file: &TextFile) -> Result<Found, Error> {
    let mut found = Found::default();
    collect(&file.path, &tokens(&file.path, &file.text)?, &mut found);
    Ok(found)
}

fn collect(path: &str, stream: &TokenStream, found: &mut Found) {
    let trees: Vec<TokenTree> = stream.clone().into_iter().collect();
    for (at, tree) in trees.iter().enumerate() {
        if let TokenTree::Group(group) = tree {
            collect(path, &group.stream(), found);
        }
        if let [TokenTree::Ident(name), TokenTree::Punct(bang), TokenTree::Group(arguments), ..] =
            &trees[at..]
            && bang.as_char() == '!'
            && MACROS.iter().any(|known| name == known)
        {
            let place = format!("{path}:{}", name.span().start().line);
            match sql(&arguments.stream()) {
                Some(sql) => found.queries.push(Query { place, sql }),
                None => {
                    found
                        .unreadable
                        .push(format!("{place}: the SQL of `{name}!` must be a literal"));
                }
            }
        }
    }
}

/// Returns the first string literal with those joined to it by `+`, as the macros read them, or
/// `None` if the SQL is not a literal.
fn sql(arguments: &TokenStream) -> Option<String> {
    let mut trees = arguments.clone().into_iter();
    let mut sql = trees.find_map(|tree| string(&tree))?;
    while let (Some(TokenTree::Punct(plus)), Some(next)) = (trees.next(), trees.next()) {
        if plus.as_char() != '+' {
            break;
        }
        sql.push_str(&string(&next)?);
    }
    Some(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Found {
        in_file(&TextFile { path: "store.rs".to_owned(), text: text.to_owned() }).unwrap()
    }

    fn sqls(text: &str) -> Vec<String> {
        found(text).queries.into_iter().map(|query| query.sql).collect()
    }

    #[test]
    fn sql_is_read_from_every_form_of_the_macros() {
        let text = r##"
            fn f() {
                sqlx::query!("SELECT 1");
                query_as!(Row<'_, A, B>, r#"SELECT "id" FROM t"#, "an argument");
                sqlx::query_scalar!("SELECT " + "2", x).fetch_one(y);
            }"##;
        assert_eq!(sqls(text), ["SELECT 1", "SELECT \"id\" FROM t", "SELECT 2"]);
        assert_eq!(found(text).queries[0].place, "store.rs:3");
    }

    #[test]
    fn unchecked_functions_are_left_alone() {
        assert!(sqls("fn f() { sqlx::query(\"SELECT 1\"); query != (\"x\"); }").is_empty());
    }

    #[test]
    fn sql_that_is_no_literal_is_reported() {
        let found = found("fn f() { sqlx::query!(CONSTANT); }");
        assert_eq!(found.unreadable, ["store.rs:1: the SQL of `query!` must be a literal"]);
    }
}
