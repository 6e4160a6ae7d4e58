//! What each operation has that its handler does not declare: a name, short texts, its callers, and
//! the idempotency key.

use serde_json::{Map, Value, json};

use crate::idempotency::KEY_LIMIT;
use crate::rate_limit::RouteLimit;
use crate::route_info::{RouteAccess, RouteInfo};

/// Prefix that all paths of the API have, which the names of operations leave out.
const PATH_PREFIX: &str = "/api/v1";
/// Header field with the idempotency key.
const KEY_FIELD: &str = "Idempotency-Key";

/// Completes the operation of a route.
pub(super) fn complete(operation: &mut Map<String, Value>, route: &RouteInfo) {
    split_comment(operation);
    operation.insert("operationId".to_owned(), operation_id(route).into());
    operation.insert("x-access".to_owned(), callers(route.access).into());
    let policies = route.limit.map(RouteLimit::policies).unwrap_or_default().iter();
    let policies: Vec<&str> = policies.map(|policy| policy.name()).collect();
    operation.insert("x-rate-limits".to_owned(), policies.into());
    let is_public = route.access == RouteAccess::Public;
    let security = if is_public { json!([]) } else { json!([{ "bearer": [] }]) };
    operation.insert("security".to_owned(), security);
    if route.method != "GET" {
        add_key(operation);
    }
}

/// Makes the first sentence of the handler's comment the summary, and the rest the description.
fn split_comment(operation: &mut Map<String, Value>) {
    let mut take = |key| match operation.remove(key) {
        Some(Value::String(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    let (first_paragraph, others) = (take("summary"), take("description"));
    let (sentence, rest) =
        first_paragraph.split_once(". ").unwrap_or((first_paragraph.as_str(), ""));
    let summary = sentence.trim_end_matches('.').to_owned();
    let description = format!("{rest} {others}").trim().to_owned();
    operation.insert("summary".to_owned(), summary.into());
    if !description.is_empty() {
        operation.insert("description".to_owned(), description.into());
    }
}

/// Returns the name of an operation: its method and path in camel case, as `getUsersMeSessions`.
fn operation_id(route: &RouteInfo) -> String {
    let path = route.path.strip_prefix(PATH_PREFIX).unwrap_or(&route.path);
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '{');
    let mut id = route.method.to_lowercase();
    for word in words.filter(|word| !word.is_empty()) {
        let (by, word) = word.strip_prefix('{').map_or(("", word), |name| ("By", name));
        let (first, rest) = word.split_at(1.min(word.len()));
        id = format!("{id}{by}{}{rest}", first.to_ascii_uppercase());
    }
    id
}

/// Returns who may use a route, in words.
fn callers(access: RouteAccess) -> String {
    match access {
        RouteAccess::Public => "anybody".to_owned(),
        RouteAccess::User => "a person who is signed in".to_owned(),
        RouteAccess::UserRetrying => {
            "a person who is signed in, or was denied with a retry".to_owned()
        }
        RouteAccess::AdminEnrolling => {
            "an administrator who is signed in, or must enrol a second factor".to_owned()
        }
        RouteAccess::Admin(role) => format!("an administrator of at least {role}"),
    }
}

/// Documents the idempotency key of an operation that changes something. A handler that demands the
/// key declares the parameter itself, and gets the form of the key here.
fn add_key(operation: &mut Map<String, Value>) {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(parameters) = parameters.as_array_mut() else { return };
    let at = parameters.iter().position(|parameter| parameter["name"] == KEY_FIELD);
    let at = at.unwrap_or_else(|| {
        parameters.push(json!({
            "name": KEY_FIELD,
            "in": "header",
            "required": false,
            "description": "The client's name for this request, with or without double quotes. For \
                            24 hours, the same request with the same key gets the same answer again.",
        }));
        parameters.len() - 1
    });
    // The one form is an sf-string (RFC 9651), the other the same key without quotes and blanks.
    let form = format!(r#"^("([ !#-\[\]-~]|\\["\\]){{1,{KEY_LIMIT}}}"|[!#-~]{{1,{KEY_LIMIT}}})$"#);
    parameters[at]["schema"] = json!({ "type": "string", "pattern": form });
    parameters[at]["example"] = "8e03978e-40d5-43dd-bc93-6894a57f9324".into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(method: &str, path: &str) -> String {
        let (method, path) = (method.to_owned(), path.to_owned());
        let (service, access, limit) = ("svc", RouteAccess::Public, None);
        operation_id(&RouteInfo { method, path, service, access, limit })
    }

    #[test]
    fn an_operation_is_named_after_its_method_and_path() {
        assert_eq!(id("GET", "/api/v1/users/me/sessions"), "getUsersMeSessions");
        assert_eq!(id("DELETE", "/api/v1/users/me/sessions/{id}"), "deleteUsersMeSessionsById");
        assert_eq!(id("GET", "/.well-known/jwks.json"), "getWellKnownJwksJson");
        assert_eq!(id("POST", "/api/v1/admin/outbox/{id}/retry"), "postAdminOutboxByIdRetry");
    }

    #[test]
    fn a_summary_is_the_first_sentence_of_the_comment() {
        let split = |summary: &str, description: &str| {
            let mut operation = Map::new();
            operation.insert("summary".to_owned(), summary.into());
            operation.insert("description".to_owned(), description.into());
            split_comment(&mut operation);
            Value::Object(operation)
        };
        assert_eq!(split("Ends the\nsession.", ""), json!({ "summary": "Ends the session" }));
        assert_eq!(
            split("Locks an account. Its tokens\nare refused.", "It stays so.\nFor ever."),
            json!({
                "summary": "Locks an account",
                "description": "Its tokens are refused. It stays so. For ever.",
            })
        );
    }
}
