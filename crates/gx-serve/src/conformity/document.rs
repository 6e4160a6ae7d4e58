//! Rules that the document of each service keeps, and that a linter does not know.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{conforms, resolve};
use crate::extract::JSON;
use crate::file_form::FORM;
use crate::openapi::NO_EXAMPLE;

/// Statuses that every operation has.
const GENERAL: [&str; 10] = ["400", "408", "413", "414", "415", "429", "431", "500", "503", "504"];
/// Those among them that are described once, in `components.responses`.
const SAID_ONCE: [&str; 7] = ["408", "413", "414", "415", "431", "500", "504"];
/// Longest summary, in characters.
const SUMMARY_LIMIT: usize = 120;

/// Returns each breach of the rules: an operation has a summary, one tag that is described, a name
/// of its own, an example of its body and of its answer that fits the schema, a body that refuses
/// unknown fields and may be absent if it has no required ones, and the answers of every route.
pub fn check_document(document: &Value) -> Vec<String> {
    let mut breaches = Vec::new();
    let (mut ids, mut tags) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let place = format!("{} {path}", method.to_uppercase());
            let id = operation["operationId"].as_str().unwrap_or_default();
            if id.is_empty() || !ids.insert(id) {
                breaches.push(format!("{place}: `{id}` is not a name of its own"));
            }
            match operation["tags"].as_array().map(Vec::as_slice) {
                Some([tag]) => {
                    tags.insert(tag.as_str().unwrap_or_default());
                }
                _ => breaches.push(format!("{place}: declare one tag")),
            }
            let (body, answers) = (body(document, operation), answers(document, operation));
            let of_operation = texts(operation).into_iter().chain(body).chain(answers);
            breaches.extend(of_operation.map(|breach| format!("{place}: {breach}")));
        }
    }
    let described = document["tags"].as_array().into_iter().flatten();
    let described: BTreeSet<&str> = described.filter_map(|tag| tag["name"].as_str()).collect();
    let other = tags.symmetric_difference(&described);
    breaches.extend(other.map(|tag| format!("the tag `{tag}` is not described, or not used")));
    breaches
}

fn texts(operation: &Value) -> Vec<String> {
    let summary = operation["summary"].as_str().unwrap_or_default();
    let is_short = (1..=SUMMARY_LIMIT).contains(&summary.chars().count());
    if is_short { vec![] } else { vec![format!("`{summary}` is no summary")] }
}

fn body(document: &Value, operation: &Value) -> Vec<String> {
    let Some(body) = operation.get("requestBody") else { return vec![] };
    let content = &body["content"];
    let described = content.get(JSON).or_else(|| content.get(FORM)).unwrap_or(&Value::Null);
    let schema = resolve(document, &described["schema"]);
    let has_required = schema["required"].as_array().is_some_and(|names| !names.is_empty());
    let mut breaches = examples(document, body, "the body");
    if schema["additionalProperties"] != false {
        breaches.push("the body does not say that it refuses unknown fields".to_owned());
    }
    if body["required"] != has_required {
        breaches.push("the body is required exactly if it has a required field".to_owned());
    }
    breaches
}

fn answers(document: &Value, operation: &Value) -> Vec<String> {
    let responses = &operation["responses"];
    let missing = GENERAL.iter().filter(|status| responses[**status].is_null());
    let mut breaches: Vec<String> =
        missing.map(|status| format!("{status} is not documented")).collect();
    let repeated = SAID_ONCE.iter().filter(|status| responses[**status]["$ref"].is_null());
    breaches.extend(repeated.map(|status| format!("{status} is not a shared response")));
    for (status, response) in responses.as_object().into_iter().flatten() {
        if status.starts_with('2') {
            breaches.extend(examples(document, response, status));
        }
    }
    breaches
}

/// Returns what is wrong with the examples of a body or response.
fn examples(document: &Value, owner: &Value, name: &str) -> Vec<String> {
    let content = owner["content"].as_object().into_iter().flatten();
    let json = content.filter(|(media_type, _)| media_type.ends_with("json"));
    let mut breaches = Vec::new();
    for (media_type, described) in json {
        let example = &described["example"];
        let mut lacking = Vec::new();
        find_lacking(example, "", &mut lacking);
        if !lacking.is_empty() {
            let fields = lacking.join(", ");
            breaches.push(format!("{name}, {media_type}: no `#[schema(example = …)]` of {fields}"));
        }
        if let Err(why) = conforms(document, &described["schema"], example, "") {
            breaches.push(format!("{name}, {media_type}: the example does not fit: {why}"));
        }
    }
    breaches
}

/// Finds the fields without an example.
fn find_lacking(example: &Value, at: &str, found: &mut Vec<String>) {
    match example {
        Value::String(text) if text == NO_EXAMPLE => found.push(at.to_owned()),
        Value::Array(items) => items.iter().for_each(|item| find_lacking(item, at, found)),
        Value::Object(members) => {
            for (name, member) in members {
                find_lacking(member, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}
