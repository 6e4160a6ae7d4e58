//! Reads an object field by field, so that a validation problem names every invalid field.
//!
//! Serde stops at the first error. [`Fields`] reads each field by name and type, and collects
//! fields that are missing, malformed, unknown or duplicate as JSON Pointers. Called by the
//! extractors `Json` and `Query`, for the bodies and queries of all routes.

use std::fmt;

use gx_model::{AccountStatus, CommandKind, CommandStatus, DenialFinality};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use strsim::osa_distance;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use crate::field_error::FieldError;
use crate::limits::USUAL_BODY_LIMIT_BYTES;
use crate::problem::InvalidField;

/// Limit of invalid fields in a problem. No request has as many fields.
const ERRORS_LIMIT: usize = 100;
/// Limit of the characters of an unknown name that are compared and returned.
const NAME_LIMIT: usize = 100;

/// A value that a field can hold.
pub trait Field: Sized {
    /// Reads the value.
    ///
    /// # Errors
    /// [`FieldError`] if the value is not valid.
    fn read(value: &Value) -> Result<Self, FieldError>;
}

/// The change of one field that a PATCH asks for (RFC 7396).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// The field is absent and keeps its value.
    Keep,
    /// The field is `null` and loses its value.
    Clear,
    /// The field gets this value.
    Set(T),
}

impl<T> Change<T> {
    /// Returns the new value, or `None` if the field keeps or loses its value.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Returns whether the field loses its value.
    pub fn clears(&self) -> bool {
        matches!(self, Self::Clear)
    }

    /// Returns whether the field changes.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Keep)
    }
}

/// A request that is read from an object.
pub trait FromFields: Sized {
    /// Limit of the body; longer bodies are rejected.
    const BODY_LIMIT_BYTES: usize = USUAL_BODY_LIMIT_BYTES;

    /// Reads each field. Returns `None` if one is missing or invalid; `fields` has the reasons.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// The members of an object in their order, with duplicate names.
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

/// An object that is being read, with the errors found so far.
pub struct Fields {
    members: Members,
    now: OffsetDateTime,
    known: Vec<&'static str>,
    errors: Vec<InvalidField>,
}

impl Fields {
    /// Reads a request.
    ///
    /// # Errors
    /// Every field that is missing, invalid, unknown or duplicate.
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

    /// Returns the names that a request reads, to compare them with its schema.
    pub fn names<T: FromFields>() -> Vec<&'static str> {
        let (members, now) = (Members::default(), OffsetDateTime::UNIX_EPOCH);
        let mut fields = Self { members, now, known: Vec::new(), errors: Vec::new() };
        let _empty = T::from_fields(&mut fields);
        fields.known
    }

    /// Returns the arrival time of the request, for values that are valid for a limited time.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Reads a required field. `None` means that it is missing or invalid.
    pub fn required<T: Field>(&mut self, name: &'static str) -> Option<T> {
        match self.find(name) {
            None => {
                self.refuse(name, FieldError::new("required", "is required"));
                None
            }
            Some(value) => self.parse(name, &value),
        }
    }

    /// Reads a field that may be absent or `null`. The outer `None` means that it is invalid.
    pub fn optional<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.find(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.parse(name, &value).map(Some),
        }
    }

    /// Reads a field of a PATCH that `null` empties. `None` means that it is invalid.
    pub fn change<T: Field>(&mut self, name: &'static str) -> Option<Change<T>> {
        match self.find(name) {
            None => Some(Change::Keep),
            Some(Value::Null) => Some(Change::Clear),
            Some(value) => self.parse(name, &value).map(Change::Set),
        }
    }

    /// Reads a field of a PATCH that cannot be empty. The outer `None` means that it is invalid.
    pub fn change_only<T: Field>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.find(name) {
            None => Some(None),
            Some(Value::Null) => {
                let message = "cannot be emptied; leave it out to keep it";
                self.refuse(name, FieldError::new("required", message));
                None
            }
            Some(value) => self.parse(name, &value).map(Some),
        }
    }

    /// Records that a field is invalid, unless [`ERRORS_LIMIT`] errors are recorded already.
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

    /// Returns the value of a field, which is then known. Refuses a field that is given twice.
    fn find(&mut self, name: &'static str) -> Option<Value> {
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

/// Returns the JSON Pointer of a member (RFC 6901).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Returns the known name that is closest to `name`, ignoring case, or `None` if all of them differ
/// by more than two edits or by half of their length.
fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    const EDITS: usize = 2;
    known
        .iter()
        .map(|candidate| {
            (osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), *candidate)
        })
        .filter(|(distance, candidate)| *distance <= EDITS && *distance * 2 < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Reads a string.
///
/// # Errors
/// [`FieldError`] if the value is not a string.
pub fn text(value: &Value) -> Result<&str, FieldError> {
    value.as_str().ok_or_else(|| FieldError::wrong_type("a string"))
}

/// Reads the name of one of the values `all`.
///
/// # Errors
/// [`FieldError`] if the value is not a string or not the name of one of them.
pub fn one_of<T: Copy>(
    value: &Value,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, FieldError> {
    let given = text(value)?;
    all.iter().copied().find(|one| name(*one) == given).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
        FieldError::new("format", format!("must be one of {}", names.join(", ")))
    })
}

/// A text of at most `MAX` characters for other people to read. It has no invisible characters
/// except line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> Field for Text<MAX> {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let text = text(value)?;
        if text.chars().count() > MAX {
            return Err(FieldError::new("too_long", format!("must have at most {MAX} characters")));
        }
        crate::characters::check(text)?;
        Ok(Self(text.to_owned()))
    }
}

macro_rules! read_by_name {
    ($($name:ty),*) => {$(
        impl Field for $name {
            fn read(value: &Value) -> Result<Self, FieldError> {
                one_of(value, &Self::ALL, Self::name)
            }
        }
    )*};
}
read_by_name!(AccountStatus, CommandKind, CommandStatus, DenialFinality);

impl Field for OffsetDateTime {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let message = "must be a time such as 2026-06-01T12:00:00Z";
        Self::parse(text(value)?, &Rfc3339).map_err(|_| FieldError::new("format", message))
    }
}

impl Field for i64 {
    fn read(value: &Value) -> Result<Self, FieldError> {
        value.as_i64().ok_or_else(|| FieldError::wrong_type("a whole number"))
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
