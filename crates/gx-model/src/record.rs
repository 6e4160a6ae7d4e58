//! Domain events in their wire form. The contracts write them into the event of a transaction; the
//! projector reads them from blocks, and again from dead letters.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::DomainEvent;

/// A domain event in its wire form: `{"name", "version", "aggregates", "data"}`.
///
/// It stays JSON until [`EventRecord::decode`], so that an event which cannot be decoded does not
/// affect the other events of its batch: it becomes a dead letter. If its `aggregates` cannot be
/// read either, no dead letter is possible and the projector halts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventRecord(Value);

/// Why an event in its wire form cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    /// `name`, `version`, `aggregates` or `data` is absent or has another type, or there is another
    /// field.
    #[error("the event's wire form is malformed: {0}")]
    WireForm(String),
    /// This release has no event with this name and version.
    #[error("no event {name} of version {version} is known")]
    Unknown {
        /// The event's name.
        name: String,
        /// The event's version.
        version: u64,
    },
    /// The data do not have the fields of this event.
    #[error("the data of {name} are malformed: {reason}")]
    Data {
        /// The event's name.
        name: String,
        /// The field and what is wrong with it.
        reason: String,
    },
}

/// The fields of the wire form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventFields {
    name: String,
    version: u64,
    /// Only checked to be there: [`EventRecord::aggregates`] returns it.
    #[serde(rename = "aggregates")]
    _aggregates: Vec<String>,
    data: Value,
}

impl EventRecord {
    /// The version that this release writes for every event.
    pub const VERSION: u64 = 1;

    /// Creates a record from the JSON of a dead letter. Only [`EventRecord::decode`] checks it.
    pub fn from_json(json: Value) -> Self {
        Self(json)
    }

    /// Returns the JSON of the record. For an event that was read, it is what the ledger emitted.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// Returns the event's name, if the JSON has one.
    pub fn name(&self) -> Option<&str> {
        self.0.get("name")?.as_str()
    }

    /// Returns the accounts that the event sets, or `None` if the JSON has no such list. The
    /// projector stores them with a dead letter, so that later events of these accounts wait for
    /// it, even if the rest of the event cannot be read.
    pub fn aggregates(&self) -> Option<Vec<String>> {
        let list = self.0.get("aggregates")?.as_array()?;
        list.iter().map(|key| key.as_str().map(str::to_owned)).collect()
    }

    /// Parses the event by its name and version.
    ///
    /// # Errors
    /// [`UnreadableEvent`] if this release cannot read the event; the projector makes it a dead
    /// letter. An absent field is an error and never gets a default (PRJ-02).
    pub fn decode(&self) -> Result<DomainEvent, UnreadableEvent> {
        let fields: EventFields = serde_json::from_value(self.0.clone())
            .map_err(|why| UnreadableEvent::WireForm(why.to_string()))?;
        let EventFields { name, version, data, .. } = fields;
        if version != Self::VERSION || !DomainEvent::NAMES.contains(&name.as_str()) {
            return Err(UnreadableEvent::Unknown { name, version });
        }
        serde_json::from_value(json!({ "name": name, "data": data }))
            .map_err(|why| UnreadableEvent::Data { name, reason: why.to_string() })
    }
}

/// Writes an event of this release in its wire form, for the contracts.
impl From<&DomainEvent> for EventRecord {
    fn from(event: &DomainEvent) -> Self {
        let mut json = serde_json::to_value(event).expect("an event has only text keys");
        json["version"] = Self::VERSION.into();
        json["aggregates"] = event.aggregates().iter().map(ToString::to_string).collect();
        Self(json)
    }
}
