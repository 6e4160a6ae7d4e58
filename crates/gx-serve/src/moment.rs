//! Times as clients read them: RFC 3339 in UTC, always with three digits of a second, which is
//! how they are stored and how existing clients write them.

use serde::{Serializer, ser::Error as _};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::{format_description, offset};

/// `2025-11-25T04:53:52.896Z`.
const FORMAT: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Writes a time, for `#[serde(with = "gx_serve::moment")]`.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = at.to_offset(offset!(UTC)).format(FORMAT).map_err(S::Error::custom)?;
    serializer.serialize_str(&text)
}

/// The same where there may be none, for `#[serde(with = "gx_serve::moment::option")]`.
pub mod option {
    use serde::Serializer;
    use time::OffsetDateTime;

    /// Writes a time, or `null`.
    ///
    /// # Errors
    /// The serializer's.
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

    /// A whole second, and one that ends in zeros, have as many digits as any other.
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
