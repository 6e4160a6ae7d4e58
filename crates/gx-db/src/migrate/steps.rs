//! Reads the text of a migration in steps, before the runner applies it. A text that is no list of
//! steps is an error of the release and ends the run.
//!
//! Each step begins with a line that contains its kind and its name:
//!
//! ```sql
//! -- index: "Wallet_country_idx"
//! CREATE INDEX CONCURRENTLY IF NOT EXISTS "Wallet_country_idx" ON "Wallet" (country);
//! -- batches: fill in the country
//! UPDATE "Wallet" SET country = 'MY' WHERE "walletId" IN (
//!     SELECT "walletId" FROM "Wallet" WHERE country IS NULL LIMIT 1000);
//! -- step: the country is known
//! ALTER TABLE "Wallet" ADD CONSTRAINT "Wallet_country_known" CHECK (country <> '') NOT VALID;
//! ```

use std::collections::BTreeSet;

/// How a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    /// One transaction, which also records the step.
    Transaction,
    /// One `CREATE INDEX CONCURRENTLY IF NOT EXISTS` of the index that the step is named after.
    Index,
    /// One statement in repeated transactions, until it changes no row.
    Batches,
}

/// A step of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step<'a> {
    pub(super) kind: StepKind,
    /// Unique within its migration; for an index, its SQL name without quotes.
    pub(super) name: &'a str,
    pub(super) sql: &'a str,
}

/// Why a text is not a list of steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepsError {
    /// A statement comes before the first step.
    #[error("a statement comes before the first step")]
    StatementBeforeFirstStep,
    /// The text has no step.
    #[error("the text has no step")]
    NoStep,
    /// Two steps have the same name.
    #[error("two steps have the name {0}")]
    DuplicateName(String),
    /// A step has no statement.
    #[error("step {0} has no statement")]
    NoStatement(String),
    /// A step for an index does something else.
    #[error("step {0} is not one CREATE INDEX CONCURRENTLY IF NOT EXISTS of that name")]
    NotAnIndex(String),
}

/// Returns the steps of a text, in order.
pub(super) fn parse(text: &str) -> Result<Vec<Step<'_>>, StepsError> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut begun: Option<(StepKind, &str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((kind, name)) = header(line) {
            match begun.replace((kind, name, at + line.len())) {
                Some((kind, name, from)) => steps.push(Step { kind, name, sql: &text[from..at] }),
                None if has_statement(&text[..at]) => {
                    return Err(StepsError::StatementBeforeFirstStep);
                }
                None => {}
            }
        }
        at += line.len();
    }
    let (kind, name, from) = begun.ok_or(StepsError::NoStep)?;
    steps.push(Step { kind, name, sql: &text[from..] });
    check(&steps)?;
    Ok(steps)
}

fn check(steps: &[Step<'_>]) -> Result<(), StepsError> {
    let mut names = BTreeSet::new();
    for Step { kind, name, sql } in steps {
        if !names.insert(name) {
            return Err(StepsError::DuplicateName((*name).to_owned()));
        }
        if !has_statement(sql) {
            return Err(StepsError::NoStatement((*name).to_owned()));
        }
        let creates = ["", "UNIQUE "]
            .map(|unique| format!("CREATE {unique}INDEX CONCURRENTLY IF NOT EXISTS \"{name}\" "));
        let statement = without_comments(sql);
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_one = statement.matches(';').count() == 1 && statement.ends_with(';');
        let is_index = creates.iter().any(|create| statement.starts_with(create));
        if *kind == StepKind::Index && !(is_index && is_one) {
            return Err(StepsError::NotAnIndex((*name).to_owned()));
        }
    }
    Ok(())
}

fn header(line: &str) -> Option<(StepKind, &str)> {
    let (kind, name) = line.strip_prefix("-- ")?.trim_end().split_once(": ")?;
    let kind = match kind {
        "step" => StepKind::Transaction,
        "index" => StepKind::Index,
        "batches" => StepKind::Batches,
        _ => return None,
    };
    Some((kind, name.trim().trim_matches('"')))
}

fn has_statement(text: &str) -> bool {
    !without_comments(text).trim().is_empty()
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_step_by_step() {
        let text = "-- Why.\n\n-- index: \"a_idx\"\n-- It is asked for.\nCREATE INDEX CONCURRENTLY \
                    IF NOT EXISTS \"a_idx\" ON a (b);\n-- batches: fill\nUPDATE a SET b = 1;\n\
                    -- step: known\nALTER TABLE a ADD c int;\nALTER TABLE a ADD d int;\n";
        let steps = parse(text).unwrap();
        let read: Vec<_> = steps.iter().map(|step| (step.kind, step.name)).collect();
        let expected = [
            (StepKind::Index, "a_idx"),
            (StepKind::Batches, "fill"),
            (StepKind::Transaction, "known"),
        ];
        assert_eq!(read, expected);
        assert_eq!(steps[2].sql, "ALTER TABLE a ADD c int;\nALTER TABLE a ADD d int;\n");
    }

    #[test]
    fn a_text_that_is_no_list_of_steps_is_refused() {
        let cases = [
            ("CREATE TABLE a (b int);", StepsError::NoStep),
            ("SELECT 1;\n-- step: a\nSELECT 2;", StepsError::StatementBeforeFirstStep),
            ("-- step: a\nSELECT 1;\n-- step: a\nSELECT 2;", StepsError::DuplicateName("a".into())),
            ("-- step: a\n-- Nothing.\n-- step: b\nSELECT 2;", StepsError::NoStatement("a".into())),
            ("-- index: a\nCREATE INDEX a ON b (c);", StepsError::NotAnIndex("a".into())),
            (
                "-- index: a\nCREATE INDEX CONCURRENTLY IF NOT EXISTS \"a\" ON b (c); SELECT 1;",
                StepsError::NotAnIndex("a".into()),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
