//! Rules about money: amounts are integers, never floats (G4, DB-06). Called by the parent module
//! for each file.

use proc_macro2::TokenTree;

use super::Finding;
use crate::error::Error;
use crate::repo::TextFile;
use crate::rust_source::{each_token, tokens};

/// Crates in which no float is allowed at all.
const MONEY_CRATES: [&str; 3] =
    ["crates/gx-model/", "crates/gx-contract/", "crates/gx-tokenomics/"];

/// Types of amounts: a file that names one of them handles money.
const MONEY_TYPES: [&str; 2] = ["Qirat", "Gx"];

/// Column types that can round.
const INEXACT_COLUMNS: [&str; 6] = ["real", "double", "float4", "float8", "money", "numeric"];

/// Returns the findings about floats in a Rust file that handles money.
pub(crate) fn check_rust(file: &TextFile) -> Result<Vec<Finding>, Error> {
    let mut handles_money = MONEY_CRATES.iter().any(|folder| file.path.starts_with(folder));
    let mut floats = Vec::new();
    let mut after_dot = false;
    each_token(&tokens(&file.path, &file.text)?, &mut |tree| {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(name) => {
                let name = name.to_string();
                handles_money |= MONEY_TYPES.contains(&name.as_str());
                if name == "f32" || name == "f64" {
                    floats.push((line, name));
                }
            }
            // The lexer reads the two indices of `pair.0.1` as a float.
            TokenTree::Literal(literal) if !after_dot && is_float(&literal.to_string()) => {
                floats.push((line, literal.to_string()));
            }
            _ => {}
        }
        after_dot = matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '.');
    });
    if !handles_money {
        return Ok(Vec::new());
    }
    let finding = |(line, float): (usize, String)| {
        let place = format!("{}:{line}", file.path);
        Finding::new(place, format!("`{float}`: a float in code that handles money; use `Qirat`"))
    };
    Ok(floats.into_iter().map(finding).collect())
}

/// Returns whether the source text of a literal is a float such as `1.5`, `1e3` or `2f64`.
fn is_float(literal: &str) -> bool {
    literal.starts_with(|c: char| c.is_ascii_digit())
        && !literal.starts_with("0x")
        && (literal.contains('.')
            || literal.ends_with("f32")
            || literal.ends_with("f64")
            || (literal.contains(['e', 'E']) && !literal.ends_with("size")))
}

/// Returns the findings about inexact column types in a migration.
pub(crate) fn check_sql(file: &TextFile) -> Vec<Finding> {
    if !file.path.ends_with(".sql") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let code = line.split("--").next().unwrap_or_default().to_ascii_lowercase();
        let mut words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '\'');
        if let Some(word) = words.find(|word| INEXACT_COLUMNS.contains(word)) {
            let place = format!("{}:{number}", file.path);
            findings.push(Finding::new(place, format!("`{word}`: store amounts as bigint Qirat")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(path: &str, text: &str) -> Vec<String> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        check_rust(&file).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn floats_are_found_where_money_is() {
        let text = "fn f(amount: Qirat) {\n let x = 1.5; let y: f64 = 2e3; }";
        assert_eq!(
            rust("crates/gx/src/a.rs", text),
            [
                "crates/gx/src/a.rs:2: `1.5`: a float in code that handles money; use `Qirat`",
                "crates/gx/src/a.rs:2: `f64`: a float in code that handles money; use `Qirat`",
                "crates/gx/src/a.rs:2: `2e3`: a float in code that handles money; use `Qirat`"
            ]
        );
        assert_eq!(rust("crates/gx-model/src/a.rs", "const X: f32 = 1f32;").len(), 2);
    }

    #[test]
    fn floats_elsewhere_are_left_alone() {
        assert!(rust("crates/gx-serve/src/a.rs", "let lag_ratio = 0.5;").is_empty());
    }

    #[test]
    fn integers_are_no_floats() {
        assert!(
            rust("crates/gx-model/src/a.rs", "[0x1e3, 1_000, 7usize, 0..3, pair.0.1]").is_empty()
        );
    }

    #[test]
    fn inexact_columns_are_found_in_migrations() {
        let file = TextFile {
            path: "crates/gx-db/migrations/1.sql".to_owned(),
            text: "-- real money\n balance numeric(20, 6),\n lane smallint".to_owned(),
        };
        let found = check_sql(&file);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("1.sql:2: `numeric`"));
    }
}
