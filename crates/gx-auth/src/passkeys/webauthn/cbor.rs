//! CBOR (RFC 8949) of attestation objects, keys and extensions.

pub(super) use ciborium::Value;
use ciborium::de::from_reader_with_recursion_limit;

/// Limit of values within values. Attestation statements have four levels.
const MAX_DEPTH: usize = 16;

/// Reads the first value, and returns it with the bytes behind it.
pub(super) fn read_first(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let mut rest = bytes;
    let value = from_reader_with_recursion_limit(&mut rest, MAX_DEPTH).ok()?;
    Some((value, rest))
}

/// Reads a value behind which there is nothing.
pub(super) fn read_whole(bytes: &[u8]) -> Option<Value> {
    read_first(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The members of a map.
pub(super) struct Members(Vec<(Value, Value)>);

impl Members {
    /// Returns the members, or `None` if the value is not a map.
    pub(super) fn of(value: Value) -> Option<Self> {
        value.into_map().ok().map(Self)
    }

    /// Returns a member. A member that is given twice counts as missing.
    pub(super) fn get(&self, name: impl Into<Value>) -> Option<&Value> {
        let name = name.into();
        let mut found = self.0.iter().filter(|(key, _)| *key == name).map(|(_, value)| value);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Returns a member that is a byte string.
    pub(super) fn bytes(&self, name: impl Into<Value>) -> Option<&[u8]> {
        self.get(name)?.as_bytes().map(Vec::as_slice)
    }

    /// Returns a member that is a whole number.
    pub(super) fn number(&self, name: impl Into<Value>) -> Option<i64> {
        self.get(name)?.as_integer()?.try_into().ok()
    }

    /// Returns whether the map has no members.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
