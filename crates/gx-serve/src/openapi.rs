//! The OpenAPI 3.1 document: the declarations of the handlers, and the parts that all operations
//! share. Built with the routes of a service; nothing here runs for a request.

use std::collections::BTreeMap;

use utoipa::PartialSchema;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, RefOr, Required,
    ResponseBuilder,
};

use crate::build_info::BUILD;
use crate::problem::{InvalidField, ProblemBody, ProblemKind};
use crate::rate_limit::RouteLimit;
use crate::route_info::{RouteAccess, RouteInfo};

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

/// Documents the problems of an operation, with one response for each status.
pub(crate) fn add_problems(item: &mut PathItem, method: &str, problems: &[&ProblemKind]) {
    let Some(operation) = operation_mut(item, method) else { return };
    let mut codes: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for ProblemKind { code, status, .. } in problems {
        codes.entry(*status).or_default().push(format!("`{code}`"));
    }
    for (status, codes) in codes {
        let response = problem_response(&format!("{}.", codes.join(" or ")));
        operation.responses.responses.insert(status.to_string(), response);
    }
}

/// Adds the parts that all operations share: the general problems, the permitted callers, and the
/// bearer token.
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
            complete(operation, route.access, route.limit);
            if route.method != "GET" {
                add_key(operation);
            }
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

/// Documents the idempotency key of an operation that changes something.
fn add_key(operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    let is_key = |one: &RefOr<Parameter>| matches!(one, RefOr::T(parameter) if parameter.name == "Idempotency-Key");
    if !parameters.iter().any(is_key) {
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The client's name for this request, with or without double quotes. For 24 hours, \
                 the same request with the same key gets the same answer again.",
            ))
            .schema(Some(String::schema()));
        parameters.push(RefOr::T(parameter.build()));
    }
    describe(operation, "400", "`idempotency_key_required`: the key cannot be read.");
    describe(operation, "409", "`request_in_progress`: the first request is not finished.");
    describe(operation, "422", "`idempotency_key_reused`: the key belongs to another request.");
}

/// Adds a problem to the answers of an operation, or its description to the answer with its status.
fn describe(operation: &mut Operation, status: &str, description: &str) {
    let responses = &mut operation.responses.responses;
    match responses.get_mut(status) {
        Some(RefOr::T(own)) => own.description = format!("{} {description}", own.description),
        _ => drop(responses.insert(status.to_owned(), problem_response(description))),
    }
}

fn complete(operation: &mut Operation, access: RouteAccess, limit: Option<RouteLimit>) {
    let who = match access {
        RouteAccess::Public => "anybody".to_owned(),
        RouteAccess::User => "a person who is signed in".to_owned(),
        RouteAccess::UserRetrying => {
            "a person who is signed in, or was denied with a retry".to_owned()
        }
        RouteAccess::AdminEnrolling => {
            "an administrator who is signed in, or must enrol a second factor".to_owned()
        }
        RouteAccess::Admin(role) => format!("an administrator of at least {role}"),
    };
    let extensions = operation.extensions.get_or_insert_default();
    extensions.insert("x-access".to_owned(), who.into());
    let policies = limit.map(RouteLimit::policies).unwrap_or_default().iter();
    let policies: Vec<&str> = policies.map(|policy| policy.name()).collect();
    extensions.insert("x-rate-limits".to_owned(), policies.into());
    let mut general = vec![
        ("408", "The request took too long to arrive."),
        ("413", "The body is too large."),
        ("414", "The address is too long."),
        (
            "429",
            "`quota_exceeded`: see `Retry-After`, `RateLimit` and `RateLimit-Policy`; \
             `x-rate-limits` names the policies.",
        ),
        ("431", "The header fields are too large."),
        ("500", "A failure on our side."),
        ("503", "Not available at the moment; see Retry-After."),
        ("504", "The response took too long."),
    ];
    if operation.request_body.is_some() || operation.parameters.is_some() {
        general.push(("400", "The request is not valid; `errors` names every field."));
    }
    if operation.request_body.is_some() {
        general.push(("415", "The body is not application/json."));
    }
    if access != RouteAccess::Public {
        general.push(("401", "No valid token."));
        general.push(("403", "The token does not permit this route."));
        let requirement = SecurityRequirement::new("bearer", Vec::<String>::new());
        operation.security = Some(vec![requirement]);
    }
    for (status, description) in general {
        describe(operation, status, description);
    }
}

fn problem_response(description: &str) -> RefOr<utoipa::openapi::Response> {
    let content =
        ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))).build();
    let response = ResponseBuilder::new().description(description);
    RefOr::T(response.content("application/problem+json", content).build())
}
