//! Reading an object field by field, so that a refusal names every field that is wrong.
//!
//! Serde stops at the first error. A request is read by [`Fields`] instead: each field is
//! asked for by name and type, and what is missing, malformed, unknown or given twice is
//! collected as JSON Pointers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use time::OffsetDateTime;

use crate::problem::InvalidField;

/// Wrong fields that an answer names at most: no request of ours has as many fields.
const ERRORS_LIMIT: usize = 100;
/// Characters of an unknown name that are looked at and echoed.
const NAME_LIMIT: usize = 100;

/// Why one field is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// An error of that code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The JSON type is wrong.
    pub fn wrong_type(expected: &str) -> Self {
        Self::new("type", format!("must be {expected}"))
    }
}

/// A value that a field can hold.
pub trait Field: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    fn read(value: &Value) -> Result<Self, FieldError>;
}

/// A request that is read from an object.
pub trait FromFields: Sized {
    /// Asks for each field. `None` when one of them is missing or wrong; the fields know why.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// The members of an object in the order they came, names that came twice included.
#[derive(Clone, Debug, Default)]
pub struct Members(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsMembers;
        impl<'de> Visitor<'de> for AsMembers {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(AsMembers)
    }
}

/// An object that is being read.
pub struct Fields {
    members: Members,
    now: OffsetDateTime,
    known: Vec<&'static str>,
    errors: Vec<InvalidField>,
}

impl Fields {
    /// Reads a request, wholly or not at all.
    ///
    /// # Errors
    /// Every field that is missing, wrong, unknown or given twice.
    pub fn read<T: FromFields>(
        members: Members,
        now: OffsetDateTime,
    ) -> Result<T, Vec<InvalidField>> {
        let mut fields = Self { members, now, known: Vec::new(), errors: Vec::new() };
        let request = T::from_fields(&mut fields);
        fields.find_unknown();
        match request {
            Some(request) if fields.errors.is_empty() => Ok(request),
            _ => Err(fields.errors),
        }
    }

    /// The names that a request asks for, to compare them with its schema.
    pub fn names<T: FromFields>() -> Vec<&'static str> {
        let (members, now) = (Members::default(), OffsetDateTime::UNIX_EPOCH);
        let mut fields = Self { members, now, known: Vec::new(), errors: Vec::new() };
        let _empty = T::from_fields(&mut fields);
        fields.known
    }

    /// When the request arrived, for what is valid only for a time.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// A field that must be there.
    pub fn required<T: Field>(&mut self, name: &'static str) -> Option<T> {
        match self.take(name) {
            None => {
                self.refuse(name, FieldError::new("required", "is required"));
                None
            }
            Some(value) => self.parse(name, &value),
        }
    }

    /// A field that may be left out or `null`. The outer `None` says that it is wrong.
    #[allow(clippy::option_option, reason = "absent and wrong are different answers")]
    pub fn optional<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.take(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.parse(name, &value).map(Some),
        }
    }

    /// Records that a field is wrong for a reason that needs more than the field to see.
    pub fn refuse(&mut self, name: &str, error: FieldError) {
        if self.errors.len() < ERRORS_LIMIT {
            self.errors.push(InvalidField {
                pointer: pointer(name),
                code: error.code,
                message: error.message,
            });
        }
    }

    fn parse<T: Field>(&mut self, name: &'static str, value: &Value) -> Option<T> {
        T::read(value).map_err(|error| self.refuse(name, error)).ok()
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let mut given = self.members.0.iter().filter(|(member, _)| member == name);
        let first = given.next().map(|(_, value)| value.clone());
        if given.next().is_some() {
            self.refuse(name, FieldError::new("duplicate", "is given more than once"));
        }
        first
    }

    fn find_unknown(&mut self) {
        let unknown = |(name, _): &&(String, Value)| !self.known.contains(&name.as_str());
        let cut = |(name, _): &(String, Value)| name.chars().take(NAME_LIMIT).collect();
        let names: Vec<String> =
            self.members.0.iter().filter(unknown).take(ERRORS_LIMIT).map(cut).collect();
        for name in names {
            let message = match closest(&name, &self.known) {
                Some(meant) => format!("is unknown; did you mean {meant}?"),
                None => "is unknown".to_owned(),
            };
            self.refuse(&name, FieldError::new("unknown", message));
        }
    }
}

/// The JSON Pointer of a member (RFC 6901).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The known name that differs by no more than two edits, or in case alone.
pub fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    const EDITS: usize = 2;
    known
        .iter()
        .map(|candidate| (edits(&name.to_lowercase(), &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= EDITS && *distance * 2 < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) that turn one text into the other.
pub fn edits(one: &str, other: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    rows[0] = (0..=b.len()).collect();
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// Reads a text.
///
/// # Errors
/// When the value is no text.
pub fn text(value: &Value) -> Result<&str, FieldError> {
    value.as_str().ok_or_else(|| FieldError::wrong_type("a text"))
}

/// A text of at most `MAX` characters without control characters other than line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> Field for Text<MAX> {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let text = text(value)?;
        if text.chars().count() > MAX {
            return Err(FieldError::new("too_long", format!("must have at most {MAX} characters")));
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t') {
            return Err(FieldError::new("format", "must have no control characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Field for bool {
    fn read(value: &Value) -> Result<Self, FieldError> {
        value.as_bool().ok_or_else(|| FieldError::wrong_type("true or false"))
    }
}

/// A request without fields.
#[derive(Clone, Copy, Debug, utoipa::ToSchema)]
pub struct Nothing {}

impl FromFields for Nothing {
    fn from_fields(_: &mut Fields) -> Option<Self> {
        Some(Self {})
    }
}
