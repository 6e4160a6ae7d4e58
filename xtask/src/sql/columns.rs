//! Finds queries that return `*`. A migration that adds a column changes what they return, and the
//! server then refuses the prepared plan (DB-11). Called by the parent module for each description.

use serde_json::Value;

/// Returns the finding about a described query, or `None` if it names its columns or returns no
/// rows.
pub(crate) fn finding(description: &str) -> Option<String> {
    let file: Value = serde_json::from_str(description).ok()?;
    let sql = file["query"].as_str()?;
    let returns_rows = file["describe"]["columns"].as_array().is_some_and(|all| !all.is_empty());
    if !returns_rows || !returns_all_columns(sql) {
        return None;
    }
    let words: Vec<&str> = sql.split_whitespace().take(8).collect();
    let start = words.join(" ");
    Some(format!("`{start} …`: returns `*`, so that a migration breaks its plan; name its columns"))
}

/// Returns whether a `*` is in the outermost list of columns; inner queries may have one.
fn returns_all_columns(sql: &str) -> bool {
    let outermost = outermost(sql);
    let mut before = "";
    for word in outermost.split_whitespace() {
        let is_all = word.trim_end_matches(',') == "*";
        let begins = ["SELECT", "RETURNING", "DISTINCT"].contains(&&*before.to_uppercase());
        if is_all && (begins || before.ends_with(',')) || word.trim_end_matches(',').ends_with(".*")
        {
            return true;
        }
        before = word;
    }
    false
}

/// Returns the SQL without the parts in parentheses or quotes.
fn outermost(sql: &str) -> String {
    let (mut kept, mut depth, mut quoted) = (String::new(), 0_usize, false);
    for letter in sql.chars() {
        match letter {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(letter),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_counts_in_the_outermost_list_alone() {
        for all in [
            "SELECT * FROM a",
            "select a.* from a",
            "UPDATE a SET b = 1 RETURNING *",
            "SELECT b, * FROM a",
            "SELECT *, '(' FROM a",
        ] {
            assert!(returns_all_columns(all), "{all}");
        }
        for named in [
            "SELECT count(*) FROM a",
            "WITH gone AS (DELETE FROM a RETURNING *) SELECT b FROM gone",
            "SELECT b FROM (SELECT * FROM a) AS c",
            "SELECT b * 2 FROM a WHERE c = ' * '",
        ] {
            assert!(!returns_all_columns(named), "{named}");
        }
    }

    #[test]
    fn a_query_that_returns_nothing_may_copy_everything() {
        let described = |columns: &str| {
            format!(r#"{{"query": "SELECT * FROM a", "describe": {{"columns": [{columns}]}}}}"#)
        };
        assert!(finding(&described(r#""b""#)).is_some());
        assert_eq!(finding(&described("")), None);
    }
}
