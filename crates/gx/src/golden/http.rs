//! The three HTTP services: every route with what it takes and answers, every problem code, and
//! the metrics of requests.
//!
//! Texts for people (titles, descriptions) and the names of Rust types and functions that
//! utoipa puts into the document are left out: they may change.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use gx_admin::AdminSettings;
use gx_auth::testing::TestHost;
use gx_documents::RequiredDocuments;
use gx_documents::testing::documents_of;
use gx_identity::IdentitySettings;
use serde_json::{Map, Value};

use super::check;

/// Words of a schema that are texts for people.
const FOR_PEOPLE: [&str; 4] = ["title", "description", "example", "examples"];
/// Words of a schema that have lines of their own.
const WITH_OWN_LINES: [&str; 6] = ["properties", "required", "items", "allOf", "oneOf", "anyOf"];

#[tokio::test]
async fn routes_of_svc_identity_are_those_of_the_golden_file() {
    let settings = IdentitySettings::default();
    let host = TestHost::new(|base| {
        let documents = documents_of(&base);
        gx_identity::service(&settings, base, documents)
    })
    .await;
    check_service("svc-identity", &host).await;
}

#[tokio::test]
async fn routes_of_svc_tokenomics_are_those_of_the_golden_file() {
    check_service("svc-tokenomics", &TestHost::new(gx_tokenomics::service).await).await;
}

#[tokio::test]
async fn routes_of_svc_admin_are_those_of_the_golden_file() {
    let settings = AdminSettings {
        biometric_key: "a biometric key of 32 bytes or more".into(),
        kyc_required_documents: RequiredDocuments::default(),
        review: gx_admin::ReviewSettings::default(),
    };
    let host = TestHost::new(|base| {
        let documents = documents_of(&base);
        gx_admin::service(&settings, base, documents)
    })
    .await;
    check_service("svc-admin", &host).await;
}

/// The metrics of requests get their labels as a list, which the sources do not show.
#[tokio::test]
async fn metrics_of_requests_are_those_of_the_golden_file() {
    let host = TestHost::new(gx_tokenomics::service).await;
    assert_eq!(host.get("/api/v1/supply", "").await.code(), 200);
    let text = host.get("/metrics", "").await.text;
    let samples = text.lines().filter(|line| line.starts_with("gx_http_request"));
    let names: BTreeSet<String> = samples
        .map(|sample| {
            let (name, rest) = sample.split_once('{').unwrap();
            let labels = rest.split("\",").filter_map(|label| label.split('=').next());
            format!("{name} {{{}}}\n", labels.collect::<Vec<_>>().join(", "))
        })
        .collect();
    check("http-metrics.txt", &names.into_iter().collect::<String>());
}

async fn check_service(name: &str, host: &TestHost) {
    check(&format!("{name}.routes.txt"), &Document(&host.service.openapi).text());
    let page = host.get("/problems", "").await.text;
    check(&format!("{name}.problems.txt"), &problems(&page));
}

/// Returns the status and code of each problem on a service's `/problems` page.
fn problems(page: &str) -> String {
    let headings = page.split("<h2 id=\"").skip(1);
    headings
        .map(|heading| {
            let (_, rest) = heading.split_once("\">").unwrap();
            let (status, rest) = rest.split_once(" <code>").unwrap();
            let (code, _) = rest.split_once("</code>").unwrap();
            format!("{status} {code}\n")
        })
        .collect()
}

/// An OpenAPI document, printed with one line for each field.
struct Document<'a>(&'a Value);

impl Document<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                writeln!(text, "{} {path}", method.to_uppercase()).unwrap();
                self.add_operation(&mut text, operation);
            }
        }
        writeln!(text, "Problem").unwrap();
        self.add_schema(&mut text, "", &self.0["components"]["schemas"]["Problem"], &[]);
        text
    }

    fn add_operation(&self, text: &mut String, operation: &Value) {
        writeln!(text, "  access: {}", operation["x-access"].as_str().unwrap()).unwrap();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (place, name) = (&parameter["in"], &parameter["name"]);
            let required = if parameter["required"] == true { " required" } else { "" };
            writeln!(text, "  {} {}{required}", place.as_str().unwrap(), name.as_str().unwrap())
                .unwrap();
            self.add_schema(text, "", &parameter["schema"], &[]);
        }
        if let Some(body) = operation.get("requestBody") {
            let what = if body["required"] == true { "request" } else { "optional request" };
            self.add_content(text, what, &body["content"]);
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = match response["$ref"].as_str() {
                Some(shared) => self.0.pointer(shared.trim_start_matches('#')).unwrap(),
                None => response,
            };
            for header in response["headers"].as_object().into_iter().flat_map(Map::keys) {
                writeln!(text, "  {status} header {header}").unwrap();
            }
            self.add_content(text, status, &response["content"]);
        }
    }

    fn add_content(&self, text: &mut String, what: &str, content: &Value) {
        let Some(types) = content.as_object() else {
            writeln!(text, "  {what} without body").unwrap();
            return;
        };
        for (media, body) in types {
            writeln!(text, "  {what} {media}").unwrap();
            if media != "application/problem+json" {
                self.add_schema(text, "", &body["schema"], &[]);
            }
        }
    }

    /// Adds the lines of a schema, with references replaced by what they lead to. `outer` are
    /// the references that led here.
    fn add_schema(&self, text: &mut String, at: &str, schema: &Value, outer: &[&str]) {
        if let Some(reference) = schema["$ref"].as_str() {
            assert!(!outer.contains(&reference), "{reference} contains itself at {at}");
            let target = self.0.pointer(reference.trim_start_matches('#')).unwrap();
            self.add_schema(text, at, target, &[outer, &[reference]].concat());
            return;
        }
        let Some(words) = schema.as_object() else { return };
        let own: Map<String, Value> = words
            .iter()
            .filter(|(word, _)| !FOR_PEOPLE.contains(&word.as_str()))
            .filter(|(word, _)| !WITH_OWN_LINES.contains(&word.as_str()))
            .map(|(word, value)| (word.clone(), value.clone()))
            .collect();
        if !own.is_empty() {
            writeln!(text, "    {} {}", if at.is_empty() { "." } else { at }, Value::from(own))
                .unwrap();
        }
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mark = if required.contains(name.as_str()) { "*" } else { "" };
            self.add_schema(text, &format!("{at}.{name}{mark}"), property, outer);
        }
        if let Some(items) = schema.get("items") {
            self.add_schema(text, &format!("{at}[]"), items, outer);
        }
        for choice in ["allOf", "oneOf", "anyOf"] {
            for part in schema[choice].as_array().into_iter().flatten() {
                self.add_schema(text, &format!("{at}({choice})"), part, outer);
            }
        }
    }
}
