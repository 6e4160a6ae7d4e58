//! Domain events on the wire.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::DomainEvent;

/// A domain event on the wire: `{"name", "version", "aggregates", "data"}`. It stays JSON
/// until [`EventRecord::decode`], so that one event that cannot be read is a dead letter of
/// its own and does not take its neighbours with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventRecord(Value);

/// Why an event on the wire cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    /// `name`, `version`, `aggregates` or `data` is absent, of another type, or not alone.
    #[error("the event's envelope is malformed: {0}")]
    Envelope(String),
    /// This release knows no event of that name and version.
    #[error("no event {name} of version {version} is known")]
    Unknown {
        /// The event's name.
        name: String,
        /// The event's version.
        version: u64,
    },
    /// The data are not those of this event.
    #[error("the data of {name} are malformed: {reason}")]
    Data {
        /// The event's name.
        name: String,
        /// Which field, and why.
        reason: String,
    },
}

/// The envelope's fields, exactly.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    name: String,
    version: u64,
    #[serde(rename = "aggregates")]
    _aggregates: Vec<String>,
    data: Value,
}

impl EventRecord {
    /// The version of every event written now.
    pub const VERSION: u64 = 1;

    /// An event as it stood on the wire.
    pub fn from_json(json: Value) -> Self {
        Self(json)
    }

    /// The event as it stood on the wire.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The event's name, if it can be read.
    pub fn name(&self) -> Option<&str> {
        self.0.get("name")?.as_str()
    }

    /// What the event concerns, if it can be read even though the rest may not be.
    pub fn aggregates(&self) -> Option<Vec<String>> {
        let list = self.0.get("aggregates")?.as_array()?;
        list.iter().map(|key| key.as_str().map(str::to_owned)).collect()
    }

    /// The event itself, read by its name and version.
    ///
    /// # Errors
    /// [`UnreadableEvent`]; an absent field is an error, never a default (PRJ-02).
    pub fn decode(&self) -> Result<DomainEvent, UnreadableEvent> {
        let envelope: Envelope = serde_json::from_value(self.0.clone())
            .map_err(|why| UnreadableEvent::Envelope(why.to_string()))?;
        let Envelope { name, version, data, .. } = envelope;
        if version != Self::VERSION || !DomainEvent::NAMES.contains(&name.as_str()) {
            return Err(UnreadableEvent::Unknown { name, version });
        }
        serde_json::from_value(json!({ "name": name, "data": data }))
            .map_err(|why| UnreadableEvent::Data { name, reason: why.to_string() })
    }
}

impl From<&DomainEvent> for EventRecord {
    fn from(event: &DomainEvent) -> Self {
        let mut json = serde_json::to_value(event).expect("an event has only text keys");
        json["version"] = Self::VERSION.into();
        json["aggregates"] = event.aggregates().iter().map(ToString::to_string).collect();
        Self(json)
    }
}
