//! Examples of bodies and of successful answers, made from the examples of their fields. A field
//! that is not required is in the example of its object if it has an example of its own.

use serde_json::{Map, Value, json};

use super::paths::operations;

/// The text in place of an example that is missing. `conformity` finds it.
pub(crate) const NO_EXAMPLE: &str = "…";
/// Example of a time.
const MOMENT: &str = "2026-03-01T12:00:00.123Z";
/// Example of a day.
const DAY: &str = "2026-03-01";

/// Adds an example to each body, and to each successful answer, that is JSON and has none.
pub(super) fn add(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for operation in operations(document) {
        if let Some(body) = operation.get_mut("requestBody") {
            add_to_content(body, &schemas);
        }
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            if status.starts_with('2') {
                add_to_content(response, &schemas);
            }
        }
    }
}

fn add_to_content(owner: &mut Value, schemas: &Value) {
    let content = owner.get_mut("content").and_then(Value::as_object_mut);
    for (media_type, described) in content.into_iter().flatten() {
        if media_type.ends_with("json") && described.get("example").is_none() {
            described["example"] = example(schemas, &described["schema"]);
        }
    }
}

/// Returns a value that fits the schema. No schema of ours contains itself.
fn example(schemas: &Value, schema: &Value) -> Value {
    if let Some(given) = own_example(schema) {
        return given.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return example(schemas, &schemas[name]);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(|part| example(schemas, part));
        let members = parts.filter_map(|part| part.as_object().cloned()).flatten();
        return Value::Object(members.collect());
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let one = choices.iter().find(|one| one["type"] != "null");
            return one.map_or(Value::Null, |one| example(schemas, one));
        }
    }
    match schema.pointer("/enum/0") {
        Some(first) => first.clone(),
        None => example_of_type(schemas, schema),
    }
}

/// Returns the example that the schema itself has.
fn own_example(schema: &Value) -> Option<&Value> {
    schema.get("example").or_else(|| schema.pointer("/examples/0"))
}

fn example_of_type(schemas: &Value, schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("boolean") => false.into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("string") => match schema["format"].as_str() {
            Some("date-time") => MOMENT.into(),
            Some("date") => DAY.into(),
            _ => NO_EXAMPLE.into(),
        },
        Some("array") => json!([example(schemas, &schema["items"])]),
        Some("object") => Value::Object(members(schemas, schema)),
        Some(_) => NO_EXAMPLE.into(),
        // Several types: null is among them.
        None if schema["type"].is_array() => Value::Null,
        // Any value.
        None => json!({}),
    }
}

fn members(schemas: &Value, schema: &Value) -> Map<String, Value> {
    let required = schema["required"].as_array().into_iter().flatten();
    let required: Vec<&str> = required.filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .filter(|(name, property)| {
            required.contains(&name.as_str()) || own_example(property).is_some()
        })
        .map(|(name, property)| (name.clone(), example(schemas, property)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_made_of_the_examples_of_fields() {
        let schemas = json!({
            "Person": {
                "type": "object",
                "required": ["name", "nickname", "since", "tags", "state"],
                "properties": {
                    "name": { "type": "string", "example": "Sarah" },
                    "nickname": { "type": ["string", "null"] },
                    "since": { "type": "string", "format": "date-time" },
                    "tags": { "type": "array", "items": { "type": "string" } },
                    "state": { "enum": ["OPEN", "CLOSED"], "type": "string" },
                    "left": { "type": "boolean" },
                    "note": { "type": ["string", "null"], "example": "a note" },
                },
            },
        });
        let part = json!({ "type": "object", "required": ["more"],
                           "properties": { "more": { "type": "integer", "minimum": 0 } } });
        let whole = json!({ "allOf": [{ "$ref": "#/components/schemas/Person" }, part] });
        assert_eq!(
            example(&schemas, &whole),
            json!({
                "name": "Sarah", "nickname": null, "since": MOMENT, "tags": [NO_EXAMPLE],
                "state": "OPEN", "note": "a note", "more": 0,
            })
        );
        let maybe = json!({ "oneOf": [{ "type": "null" }, { "type": "string", "example": "x" }] });
        assert_eq!(example(&schemas, &maybe), json!("x"));
    }
}
