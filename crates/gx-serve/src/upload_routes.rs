//! The routes that take a form with a file. The request layer gives them limits of their own.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::file_form::FORM;

/// The routes that take a form with a file: the methods of each path. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct UploadRoutes(Arc<HashMap<String, Vec<String>>>);

impl UploadRoutes {
    /// Finds the routes whose body is a form with a file.
    pub(crate) fn of<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut routes: HashMap<String, Vec<String>> = HashMap::new();
        let paths = documents.into_iter().flat_map(|document| document["paths"].as_object());
        for (path, item) in paths.flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if operation["requestBody"]["content"].get(FORM).is_some() {
                    routes.entry(path.clone()).or_default().push(method.to_uppercase());
                }
            }
        }
        Self(Arc::new(routes))
    }

    /// Returns whether a route takes a form with a file. `path` is its pattern.
    pub(crate) fn has(&self, method: &str, path: &str) -> bool {
        self.0.get(path).is_some_and(|methods| methods.iter().any(|one| one == method))
    }
}
