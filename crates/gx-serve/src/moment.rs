//! Times as clients read them and as they are stored: RFC 3339 in UTC with three digits of a
//! second. Called by serde for fields of responses.

use serde::{Serializer, ser::Error as _};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::{format_description, offset};

/// Example: `2025-11-25T04:53:52.896Z`.
const FORMAT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Writes a time, for `#[serde(with = "gx_serve::moment")]`.
///
/// # Errors
/// The serializer's error.
pub fn serialize<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = at.to_offset(offset!(UTC)).format(FORMAT).map_err(S::Error::custom)?;
    serializer.serialize_str(&text)
}

/// Optional times, for `#[serde(with = "gx_serve::moment::option")]`.
pub mod option {
    use serde::Serializer;
    use time::OffsetDateTime;

    /// Writes a time, or `null`.
    ///
    /// # Errors
    /// The serializer's error.
    pub fn serialize<S: Serializer>(
        at: &Option<OffsetDateTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    /// A whole second and a second that ends in zeros have three digits, too.
    #[test]
    fn times_have_three_digits_of_a_second() {
        for (at, text) in [
            (datetime!(2025-11-25 04:53:52.896 UTC), "2025-11-25T04:53:52.896Z"),
            (datetime!(2025-11-25 04:53:52.9 UTC), "2025-11-25T04:53:52.900Z"),
            (datetime!(2025-11-25 12:53:52 +8), "2025-11-25T04:53:52.000Z"),
        ] {
            let written = super::serialize(&at, serde_json::value::Serializer).unwrap();
            assert_eq!(written, json!(text));
        }
        let absent = super::option::serialize(&None, serde_json::value::Serializer).unwrap();
        assert_eq!(absent, json!(null));
    }
}
