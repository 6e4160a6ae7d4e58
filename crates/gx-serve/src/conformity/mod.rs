//! Compares a response with the OpenAPI document (API-09), and the document with the rules for
//! documents. For tests.

mod document;

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;

pub use document::check_document;

/// Checks the response to a request for `path` against the document.
///
/// # Errors
/// The first difference from the document.
pub fn check(
    document: &Value,
    method: &str,
    path: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), String> {
    let Some(operation) = operation(document, method, path) else {
        // An undocumented route must not exist.
        let absent = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status);
        return if absent { Ok(()) } else { Err(format!("{method} {path} is not documented")) };
    };
    let answer = resolve(document, &operation["responses"][status.as_str()]);
    if answer.is_null() {
        return Err(format!("{method} {path} does not document {status}"));
    }
    let Some(types) = answer["content"].as_object() else {
        let what = format!("{method} {path} documents no body for {status}");
        return if body.is_empty() { Ok(()) } else { Err(what) };
    };
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let Some(media) = types.get(given) else {
        return Err(format!("{method} {path} {status}: {given:?} is not a documented type"));
    };
    if !given.ends_with("json") {
        return Ok(());
    }
    let json: Value =
        serde_json::from_slice(body).map_err(|why| format!("the body is not JSON: {why}"))?;
    conforms(document, &media["schema"], &json, "")
}

/// Returns what a reference leads to, or the value itself if it is none.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    target.map_or(value, |pointer| document.pointer(pointer).unwrap_or(&Value::Null))
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap_or(path);
    let paths = document["paths"].as_object()?;
    let (_, item) = paths.iter().find(|(template, _)| matches(template, path))?;
    item.get(method.to_lowercase())
}

fn matches(template: &str, path: &str) -> bool {
    let (mut parts, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(text)) if part.starts_with('{') || part == text => {}
            _ => return false,
        }
    }
}

/// Checks JSON against a schema. Supports the parts of JSON Schema that our documents use:
/// references, types, properties (none may be undocumented), required, items, combinations.
fn conforms(document: &Value, schema: &Value, json: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        let target = target.ok_or_else(|| format!("{reference} leads nowhere"))?;
        return conforms(document, target, json, at);
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all_of(document, all, json, at);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let fits = choices.iter().any(|one| conforms(document, one, json, at).is_ok());
            return if fits { Ok(()) } else { Err(format!("{at}: {json} fits none of {choice}")) };
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    if !types.iter().any(|kind| is_of(kind, json)) {
        return Err(format!("{at}: {json} is not {types:?}"));
    }
    if let (Some(items), Some(elements)) = (schema.get("items"), json.as_array()) {
        for (index, element) in elements.iter().enumerate() {
            conforms(document, items, element, &format!("{at}/{index}"))?;
        }
    }
    members(document, &[schema], json, at)
}

/// Checks JSON against all parts. It may have no property that no part declares.
fn all_of(document: &Value, parts: &[Value], json: &Value, at: &str) -> Result<(), String> {
    let mut resolved = Vec::new();
    for part in parts {
        let target = match part["$ref"].as_str() {
            Some(reference) => document.pointer(reference.trim_start_matches('#')),
            None => Some(part),
        };
        resolved.push(target.ok_or_else(|| format!("{at}: a part leads nowhere"))?);
    }
    members(document, &resolved, json, at)
}

fn members(document: &Value, schemas: &[&Value], json: &Value, at: &str) -> Result<(), String> {
    let Some(object) = json.as_object() else { return Ok(()) };
    for schema in schemas {
        let required = schema["required"].as_array().into_iter().flatten();
        if let Some(name) =
            required.filter_map(Value::as_str).find(|name| !object.contains_key(*name))
        {
            return Err(format!("{at}: {name} is required and absent"));
        }
    }
    let declares = schemas.iter().any(|schema| schema["properties"].is_object());
    for (name, member) in object {
        let known = schemas.iter().find_map(|schema| schema["properties"].get(name));
        match known {
            Some(property) => conforms(document, property, member, &format!("{at}/{name}"))?,
            None if declares => return Err(format!("{at}: {name} is not documented")),
            None => {}
        }
    }
    Ok(())
}

fn is_of(kind: &str, json: &Value) -> bool {
    match kind {
        "null" => json.is_null(),
        "boolean" => json.is_boolean(),
        "integer" => json.is_i64() || json.is_u64(),
        "number" => json.is_number(),
        "string" => json.is_string(),
        "array" => json.is_array(),
        "object" => json.is_object(),
        _ => false,
    }
}
