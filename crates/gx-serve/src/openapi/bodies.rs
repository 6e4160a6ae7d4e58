//! Bodies of requests, described as strictly as [`crate::extract::Json`] and [`crate::FileForm`]
//! read them: fields that the schema does not name are refused, and a JSON body without required
//! fields may be absent.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::paths::operations;
use crate::extract::{JSON, MERGE_PATCH};
use crate::file_form::FORM;

/// Place of named schemas in a document.
const SCHEMAS: &str = "#/components/schemas/";

/// Makes the descriptions of all bodies strict.
pub(super) fn make_strict(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let mut of_bodies = BTreeSet::new();
    for operation in operations(document) {
        if let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut) {
            let name = schema_name(body);
            let has_required = |schema: &Value| {
                schema["required"].as_array().is_some_and(|names| !names.is_empty())
            };
            let is_required = name.as_ref().is_none_or(|name| has_required(&schemas[name]));
            body.insert("required".to_owned(), is_required.into());
            of_bodies.extend(name);
        }
    }
    for name in of_bodies {
        document["components"]["schemas"][name]["additionalProperties"] = false.into();
    }
    add_merge_patches(document);
}

/// Returns the name of the schema of a JSON body or a form.
fn schema_name(body: &Map<String, Value>) -> Option<String> {
    let content = body.get("content")?;
    let described = content.get(JSON).or_else(|| content.get(FORM))?;
    let reference = described.get("schema")?.get("$ref")?.as_str()?;
    reference.strip_prefix(SCHEMAS).map(str::to_owned)
}

/// Adds the second media type of a PATCH.
fn add_merge_patches(document: &mut Value) {
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for patch in items.filter_map(|item| item.get_mut("patch")) {
        let content = patch.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
        let Some(content) = content else { continue };
        if let Some(json) = content.get(JSON).cloned() {
            content.insert(MERGE_PATCH.to_owned(), json);
        }
    }
}
