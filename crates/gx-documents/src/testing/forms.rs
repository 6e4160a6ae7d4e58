//! Forms with a document, as clients send them.

use std::sync::LazyLock;

use super::images::png;

/// The text between the parts of a form.
const BOUNDARY: &str = "----gxFormBoundary7MA4YWxkTrZu0gW";
/// A small picture, made once.
static PICTURE: LazyLock<Vec<u8>> = LazyLock::new(|| png(64, 48));

/// The body of a request with a form.
#[derive(Clone, Debug)]
pub struct Form {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Returns a form with these text fields and then a file.
pub fn form(fields: &[(&str, &str)], file_name: &str, mime_type: &str, content: &[u8]) -> Form {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(part.into_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; \
         filename=\"{file_name}\"\r\ncontent-type: {mime_type}\r\n\r\n"
    );
    body.extend(head.into_bytes());
    body.extend(content);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
    Form { content_type: format!("multipart/form-data; boundary={BOUNDARY}"), body }
}

/// Returns a form with a small picture as a passport.
pub fn passport_form() -> Form {
    form(&[("type", "PASSPORT")], "passport.png", "image/png", &PICTURE)
}

/// Returns a form with a small picture as a selfie.
pub fn selfie_form() -> Form {
    form(&[("type", "SELFIE_PHOTO")], "selfie.png", "image/png", &PICTURE)
}
