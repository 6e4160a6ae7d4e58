//! Formats of keys. Their effect is tested with the routes that take them.

use super::{IdempotencyKey, KEY_LIMIT, structured_string};
use http::{HeaderMap, HeaderName, HeaderValue};

fn read(values: &[&str]) -> Result<String, String> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(super::HEADER, HeaderValue::from_str(value).unwrap());
    }
    let key = IdempotencyKey::from_headers(&headers);
    key.map(|key| key.0).map_err(|problem| problem.kind().code.to_owned())
}

/// SEC-API-02: a key is an sf-string, and a bare `k` is the same key as `"k"`.
#[test]
fn a_key_is_a_quoted_text_of_bounded_length() {
    assert_eq!(read(&[r#""8e03978e-40d5""#]).unwrap(), "8e03978e-40d5");
    assert_eq!(read(&[r#""with \"quotes\" and \\""#]).unwrap(), r#"with "quotes" and \"#);
    let longest = "k".repeat(KEY_LIMIT);
    assert_eq!(read(&[&format!("\"{longest}\"")]).unwrap(), longest);
    let too_long = format!("\"k{longest}\"");
    for key in ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "a/b+c==", r"back\slash"] {
        let quoted = format!("\"{}\"", key.replace('\\', r"\\"));
        assert_eq!(read(&[key]).unwrap(), key);
        assert_eq!(read(&[&quoted]).unwrap(), key);
        assert_eq!(read(&[&format!("  {key} ")]).unwrap(), key);
    }
    assert_eq!(read(&[&longest]).unwrap(), longest);
    let too_long_bare = format!("k{longest}");
    for wrong in [
        "two words",
        "k, k",
        &too_long_bare,
        "",
        " ",
        "\"open",
        "\"\"",
        "\"a\"b\"",
        r#""\n""#,
        "\"a\\\"",
        &too_long,
    ] {
        assert_eq!(read(&[wrong]).unwrap_err(), "idempotency_key_required", "{wrong}");
    }
    assert_eq!(read(&[]).unwrap_err(), "idempotency_key_required");
    assert_eq!(read(&["\"a\"", "\"b\""]).unwrap_err(), "idempotency_key_required");
    assert_eq!(structured_string("\"é\""), None);
}

/// API-10: the older name of the field is read too, with quotes and without; not both names.
#[test]
fn the_older_field_takes_bare_keys_too() {
    let read_older = |value: &'static str| {
        let headers = [(super::OLDER_HEADER, value)];
        let headers = headers
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let key = IdempotencyKey::from_headers(&HeaderMap::from_iter(headers));
        key.map(|key| key.0).map_err(|problem| problem.kind().code)
    };
    assert_eq!(read_older("8e03978e-40d5").unwrap(), "8e03978e-40d5");
    assert_eq!(read_older("\"8e03978e-40d5\"").unwrap(), "8e03978e-40d5");
    for wrong in ["", "two words", "\"open"] {
        assert_eq!(read_older(wrong).unwrap_err(), "idempotency_key_required", "{wrong}");
    }
    let mut both = HeaderMap::new();
    both.insert(super::HEADER, HeaderValue::from_static("\"a\""));
    both.insert(super::OLDER_HEADER, HeaderValue::from_static("a"));
    assert!(IdempotencyKey::from_headers(&both).is_err(), "which of them counts?");
}
