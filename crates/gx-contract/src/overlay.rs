//! The reads and writes of a transaction. Each mutating call creates one [`Overlay`], passes it to
//! the rules, and returns its writes at the end.

use std::collections::{BTreeMap, BTreeSet};

use gx_model::{DomainEvent, Qirat};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call_error::Damaged;
use crate::{State, StateError, keys};

/// The values that one transaction has read and will write. Commands read only from here, so each
/// command of a batch sees the writes of the commands before it.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    values: BTreeMap<String, Option<Vec<u8>>>,
    written: BTreeSet<String>,
    fees: Qirat,
}

/// The changes of one applied command. A rule returns either the whole effect or an error, so a
/// refused command changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    writes: Vec<(String, Vec<u8>)>,
    fee: Qirat,
    events: Vec<DomainEvent>,
}

impl Effect {
    pub(crate) fn new(event: DomainEvent) -> Self {
        Self { events: vec![event], ..Self::default() }
    }

    pub(crate) fn put(mut self, key: impl Into<String>, value: &impl Serialize) -> Self {
        self.writes.push((key.into(), json(value)));
        self
    }

    pub(crate) fn fee(mut self, fee: Qirat) -> Self {
        self.fee = fee;
        self
    }
}

impl Overlay {
    /// Reads the values of these keys in one request, without those that were read before.
    pub(crate) fn read_ahead(
        &mut self,
        state: &mut dyn State,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<(), StateError> {
        let new: BTreeSet<String> =
            keys.into_iter().filter(|key| !self.values.contains_key(key)).collect();
        let new: Vec<String> = new.into_iter().collect();
        let values = state.get_many(&new)?;
        self.values.extend(new.into_iter().zip(values));
        Ok(())
    }

    /// Returns a value that was read ahead or written by an earlier command. A key that was neither
    /// is an error.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Damaged> {
        let value = self
            .values
            .get(key)
            .ok_or_else(|| Damaged(format!("the contract did not read {key} ahead")))?;
        value.as_deref().map(|bytes| parse(key, bytes)).transpose()
    }

    pub(crate) fn put(&mut self, key: String, value: &impl Serialize) {
        self.write(key, Some(json(value)));
    }

    pub(crate) fn delete(&mut self, key: String) {
        self.write(key, None);
    }

    /// Adds the changes of a command and returns its events.
    pub(crate) fn apply(&mut self, effect: Effect) -> Vec<DomainEvent> {
        for (key, value) in effect.writes {
            self.write(key, Some(value));
        }
        self.fees = self
            .fees
            .checked_add(effect.fee)
            .expect("fees were paid from balances, and all balances sum to the supply");
        effect.events
    }

    /// Returns the writes: each key once, sorted. The fees of the transaction get a key of their
    /// own, which no command reads; with a shared balance, all transfers would conflict.
    pub(crate) fn into_writes(mut self, tx_id: &str) -> Vec<(String, Option<Vec<u8>>)> {
        if self.fees > Qirat::ZERO {
            let fees = self.fees;
            self.put(keys::fee(tx_id), &fees);
        }
        let Self { mut values, written, .. } = self;
        let entry = |key| values.remove_entry(&key).expect("what was written has a value");
        written.into_iter().map(entry).collect()
    }

    fn write(&mut self, key: String, value: Option<Vec<u8>>) {
        self.written.insert(key.clone());
        self.values.insert(key, value);
    }
}

/// Returns the JSON in which a value is stored or answered.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("the contract's values have only text keys")
}

/// Parses a stored value. A value of another form means that the state is damaged.
pub(crate) fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Damaged> {
    serde_json::from_slice(bytes).map_err(|why| Damaged(format!("the value of {key}: {why}")))
}
