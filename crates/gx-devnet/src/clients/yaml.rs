//! Writes a value as YAML in block style, for the connection profile. Texts are quoted as in JSON,
//! which YAML reads, too.

use serde_json::Value;

/// Returns the document.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let entries: Vec<(String, &Value)> = match value {
        Value::Object(entries) => {
            entries.iter().map(|(name, value)| (format!("{}:", quoted(name)), value)).collect()
        }
        Value::Array(items) => items.iter().map(|item| ("-".to_owned(), item)).collect(),
        scalar => vec![(String::new(), scalar)],
    };
    for (head, value) in entries {
        text.push_str(&indent);
        text.push_str(&head);
        if is_nested(value) {
            text.push('\n');
            block(value, depth + 1, text);
        } else {
            text.push_str(&format!(" {value}\n"));
        }
    }
}

/// Returns whether the value needs its own block; empty lists and maps are written as in JSON.
fn is_nested(value: &Value) -> bool {
    value.as_object().is_some_and(|entries| !entries.is_empty())
        || value.as_array().is_some_and(|items| !items.is_empty())
}

/// Returns a name of a map, in quotes if it needs them.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let starts_plainly = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if starts_plainly && name.chars().all(plain) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn values_are_written_in_blocks() {
        let value = json!({ "a": { "b.c": ["x: y", "2"], "1": {} }, "z": true });
        let text = "a:\n  \"1\": {}\n  b.c:\n    - \"x: y\"\n    - \"2\"\nz: true\n";
        assert_eq!(super::text(&value), text);
    }
}
