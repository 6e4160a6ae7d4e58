//! Finds operations in a document.

use serde_json::{Map, Value};

use crate::route_info::RouteInfo;

/// Returns the operation of a route.
pub(super) fn operation<'a>(
    document: &'a mut Value,
    route: &RouteInfo,
) -> Option<&'a mut Map<String, Value>> {
    let item = document["paths"].get_mut(&route.path)?;
    item.get_mut(route.method.to_lowercase())?.as_object_mut()
}

/// Returns all operations of a document.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = items.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    operations.filter_map(Value::as_object_mut)
}
