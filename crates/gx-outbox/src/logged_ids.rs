//! The ids of commands in a log line. Modules that log about many commands call [`logged_ids`].

use gx_db::StoredCommandId;

/// Limit of the ids in one line; the field `commands` has the number of all.
const MAX_LOGGED: usize = 10;

/// Returns the ids that a log line about these commands names: the first ten.
pub fn logged_ids(ids: &[StoredCommandId]) -> &[StoredCommandId] {
    &ids[..ids.len().min(MAX_LOGGED)]
}
