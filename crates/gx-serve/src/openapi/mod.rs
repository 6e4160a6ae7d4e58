//! The OpenAPI 3.1 document: the declarations of the handlers, and what all operations share. Built
//! with the routes of a service; nothing here runs for a request.

mod bodies;
mod examples;
mod operation;
mod paths;
mod responses;

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::{OpenApi, PathItem};

use crate::build_info::BUILD;
use crate::problem::{InvalidField, ProblemBody, ProblemKind};
use crate::route_info::RouteInfo;
use responses::SharedResponses;

#[cfg(feature = "testing")]
pub(crate) use examples::NO_EXAMPLE;

/// A group of routes in the document: its name, and what its routes are for.
pub type TagText = (&'static str, &'static str);

/// A route, and the problems that only it answers with.
pub(crate) type DocumentedRoute = (RouteInfo, Vec<&'static ProblemKind>);

/// Returns the methods that a path declares.
pub(crate) fn methods(item: &PathItem) -> Vec<&'static str> {
    [
        ("GET", item.get.is_some()),
        ("PUT", item.put.is_some()),
        ("POST", item.post.is_some()),
        ("DELETE", item.delete.is_some()),
        ("PATCH", item.patch.is_some()),
    ]
    .into_iter()
    .filter_map(|(method, declared)| declared.then_some(method))
    .collect()
}

/// Completes the document that the handlers declare: adds what all operations share, and makes it
/// as strict as the code.
pub(crate) fn finish(
    declared: &OpenApi,
    service: &str,
    tags: &[TagText],
    routes: &[DocumentedRoute],
) -> Value {
    let mut document = serde_json::to_value(declared).expect("a document has only text keys");
    document["info"] = info(service);
    document["servers"] = json!([{ "url": "/", "description": "The origin of this document." }]);
    let tag = |(name, description): &TagText| json!({ "name": name, "description": description });
    document["tags"] = tags.iter().map(tag).collect();
    let mut shared = SharedResponses::default();
    for (route, problems) in routes {
        if let Some(operation) = paths::operation(&mut document, route) {
            operation::complete(operation, route);
            shared.add_problems(operation, route, problems);
        }
    }
    add_components(&mut document, shared.into_components());
    bodies::make_strict(&mut document);
    examples::add(&mut document);
    remove_unused_schemas(&mut document);
    document
}

fn info(service: &str) -> Value {
    json!({
        "title": format!("GX Protocol {service}"),
        "version": BUILD.version,
        "description": "Amounts are decimal texts in GX; times are RFC 3339 in UTC. A failure is a \
                        problem (RFC 9457): its `code` is stable, its `type` leads to its \
                        description at `/problems`. Fields that a body does not document are \
                        refused.",
        "license": { "name": "Apache License 2.0", "identifier": "Apache-2.0" },
    })
}

/// Adds the schemas of problems, the shared responses and the bearer token.
fn add_components(document: &mut Value, responses: Map<String, Value>) {
    let as_json = |schema| serde_json::to_value(schema).expect("a schema has only text keys");
    let components = &mut document["components"];
    components["schemas"]["Problem"] = as_json(<ProblemBody<'_> as PartialSchema>::schema());
    components["schemas"]["InvalidField"] = as_json(InvalidField::schema());
    components["responses"] = Value::Object(responses);
    components["securitySchemes"] =
        json!({ "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } });
}

/// Removes the schemas that nothing refers to: a page, for example, contains the schema of its
/// items.
fn remove_unused_schemas(document: &mut Value) {
    loop {
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object_mut();
        let schemas = schemas.expect("a document has the schemas of problems");
        let count = schemas.len();
        schemas.retain(|name, _| text.contains(&format!("\"#/components/schemas/{name}\"")));
        if schemas.len() == count {
            return;
        }
    }
}
