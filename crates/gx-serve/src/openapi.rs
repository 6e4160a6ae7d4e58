//! The OpenAPI 3.1 document: what the handlers declare, and what is true of all of them.

use utoipa::PartialSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, RefOr, ResponseBuilder,
};

use crate::build_info::BUILD;
use crate::problem::{InvalidField, ProblemBody};
use crate::routes::{Access, RouteInfo};

/// The methods that a path declares.
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

/// Adds what is true of every operation: the problems that any route may answer, who may
/// call it, and how a token is sent.
pub(crate) fn finish(mut document: OpenApi, service: &str, routes: &[RouteInfo]) -> OpenApi {
    document.info = InfoBuilder::new()
        .title(format!("GX Protocol {service}"))
        .version(BUILD.version)
        .description(Some("Amounts are decimal texts in GX; times are RFC 3339 in UTC."))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert("Problem".to_owned(), <ProblemBody<'_> as PartialSchema>::schema());
    components.schemas.insert("InvalidField".to_owned(), InvalidField::schema());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    for route in routes {
        let Some(item) = document.paths.paths.get_mut(&route.path) else { continue };
        if let Some(operation) = operation_mut(item, &route.method) {
            complete(operation, route.access);
        }
    }
    document
}

fn operation_mut<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "PUT" => item.put.as_mut(),
        "POST" => item.post.as_mut(),
        "DELETE" => item.delete.as_mut(),
        "PATCH" => item.patch.as_mut(),
        _ => None,
    }
}

fn complete(operation: &mut Operation, access: Access) {
    let who = match access {
        Access::Public => "anybody".to_owned(),
        Access::User => "a person who is signed in".to_owned(),
        Access::UserRetrying => "a person who is signed in, or was denied with a retry".to_owned(),
        Access::Admin(role) => format!("an administrator of at least {role}"),
    };
    operation.extensions.get_or_insert_default().insert("x-access".to_owned(), who.into());
    let mut general = vec![
        ("408", "The request took too long to arrive."),
        ("413", "The body is too large."),
        ("414", "The address is too long."),
        ("431", "The header fields are too large."),
        ("500", "A failure on our side."),
        ("503", "Not available at the moment; see Retry-After."),
        ("504", "The answer took too long."),
    ];
    if operation.request_body.is_some() || operation.parameters.is_some() {
        general.push(("400", "The request is not valid; `errors` names every field."));
    }
    if operation.request_body.is_some() {
        general.push(("415", "The body is not application/json."));
    }
    if access != Access::Public {
        general.push(("401", "No valid token."));
        general.push(("403", "The token does not reach this route."));
        let requirement = SecurityRequirement::new("bearer", Vec::<String>::new());
        operation.security = Some(vec![requirement]);
    }
    for (status, description) in general {
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| problem_response(description));
    }
}

fn problem_response(description: &str) -> RefOr<utoipa::openapi::Response> {
    let content =
        ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))).build();
    let response = ResponseBuilder::new().description(description);
    RefOr::T(response.content("application/problem+json", content).build())
}
