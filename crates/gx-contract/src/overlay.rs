//! What a transaction has read and what it will write.

use std::collections::{BTreeMap, BTreeSet};

use gx_model::{DomainEvent, Qirat};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::halt::Damaged;
use crate::{State, StateError, keys};

/// Reads and writes of one transaction. Commands read from it alone, so that a command
/// sees what those before it in the batch did.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    values: BTreeMap<String, Option<Vec<u8>>>,
    written: BTreeSet<String>,
    fees: Qirat,
}

/// What one applied command changes. A rule returns it as a whole or not at all, so a
/// refused command cannot leave anything behind.
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
    /// Reads the values of these keys, in one go.
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

    /// A value that was read ahead, or written by a command before.
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

    /// Takes over what a command changes, and gives its events.
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

    /// The writes, each key once, in order. The transaction's fees go to a key of their own
    /// that nobody reads here: a shared balance would make all transfers conflict.
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

/// The JSON in which a value is stored or answered.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("the contract's values have only text keys")
}

/// Reads a stored value.
pub(crate) fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Damaged> {
    serde_json::from_slice(bytes).map_err(|why| Damaged(format!("the value of {key}: {why}")))
}
