//! Forms with a file (`multipart/form-data`): text fields, and the file after them, which is never
//! in memory as a whole. The extractor reads the fields, and the handler reads the file as it
//! arrives. Routes that take such a form have limits of their own.

mod arriving;
mod error;
mod limits;
mod pace;
mod read_window;
#[cfg(test)]
mod tests;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use serde_json::Value;

use crate::admission::BodyMemoryCounter;
use crate::extract::{arrived, no_memory, too_large};
use crate::fields::{Fields, FromFields, Members};
use crate::limits::announces_more;
use crate::problem::{InvalidField, Problem, kind};
use arriving::Arriving;
use read_window::ReadWindow;

pub use error::FormError;
pub use limits::UploadLimits;

/// Media type of a form with a file.
pub(crate) const FORM: &str = "multipart/form-data";
/// Name of the part with the file.
const FILE: &str = "file";
/// Limit of the text fields of a form.
const MAX_FIELDS: usize = 32;
/// Longest boundary between the parts of a form, in characters (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// A form with text fields and a file.
pub struct FileForm<T> {
    /// The text fields.
    pub fields: T,
    /// All text of the form, and the name and type of the file: with the hash of the file, what
    /// tells the form from another one.
    pub text: Vec<u8>,
    /// The file.
    pub file: FormFile,
}

/// The place of the file among the fields of a form, for the schema of the form:
/// `#[schema(value_type = String, format = Binary, rename = "file")]`.
#[derive(Clone, Copy, Debug)]
pub struct FilePart;

/// The file of a form, which has not arrived yet.
pub struct FormFile {
    /// The name of the file, as the client has written it.
    pub name: Option<String>,
    /// The type of the file, as the client has written it.
    pub mime_type: Option<String>,
    part: Field<'static>,
    form: Multipart<'static>,
    window: ReadWindow,
}

impl FormFile {
    /// Returns the content as it arrives. The stream ends with an error if it does not arrive
    /// whole, or if something follows after the file.
    pub fn into_content(self) -> impl Stream<Item = Result<Bytes, FormError>> + Send {
        futures_util::stream::try_unfold(Some(self), |file| async move {
            let Some(mut file) = file else { return Ok(None) };
            match file.part.chunk().await.map_err(FormError::from)? {
                Some(piece) => Ok(Some((piece, Some(file)))),
                None => file.finish().await.map(|()| None),
            }
        })
    }

    /// Reads the end of the form.
    async fn finish(self) -> Result<(), FormError> {
        let Self { part, mut form, window, .. } = self;
        // The form has one reader at a time.
        drop(part);
        window.limit();
        match form.next_field().await? {
            None => Ok(()),
            Some(_) => Err(FormError::AfterFile),
        }
    }
}

impl<T: FromFields, S: Send + Sync> FromRequest<S> for FileForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let boundary = boundary(&parts.headers)?;
        let limits = parts.extensions.get::<UploadLimits>().copied().unwrap_or_default();
        if announces_more(&parts.headers, limits.max_bytes) {
            return Err(too_large(limits.max_bytes));
        }
        let slot = parts.extensions.get::<BodyMemoryCounter>().map(BodyMemoryCounter::open_upload);
        let slot = slot.transpose().map_err(no_memory)?;
        let now = arrived(&parts)?;
        let window = ReadWindow::new();
        let arriving = Arriving::new(body, limits, window.clone(), slot);
        let mut form = Multipart::new(arriving.into_stream(), boundary);
        let (members, part) = read_fields(&mut form).await?;
        let Some(part) = part else { return Err(without_file::<T>(members, now)) };
        window.open();
        let name = part.file_name().map(str::to_owned);
        let mime_type = part.headers().get(CONTENT_TYPE);
        let mime_type = mime_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = canonical_text(&members, name.as_deref(), mime_type.as_deref());
        let fields = Fields::read(members, now).map_err(Problem::invalid)?;
        let file = FormFile { name, mime_type, part, form, window };
        Ok(Self { fields, text, file })
    }
}

/// Returns the text between the parts of a form.
fn boundary(headers: &HeaderMap) -> Result<String, Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let boundary = multer::parse_boundary(given).ok();
    boundary.filter(|text| (1..=MAX_BOUNDARY).contains(&text.len())).ok_or_else(|| {
        Problem::new(
            &kind::UNSUPPORTED_MEDIA_TYPE,
            "Send the body as multipart/form-data with a boundary of at most 70 characters.",
        )
    })
}

/// Reads the text fields, up to the head of the file. Returns no file if the form has none.
async fn read_fields(
    form: &mut Multipart<'static>,
) -> Result<(Members, Option<Field<'static>>), FormError> {
    let mut members = Vec::new();
    while let Some(part) = form.next_field().await? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == FILE {
            return Ok((Members(members), Some(part)));
        }
        if members.len() == MAX_FIELDS {
            return Err(FormError::TooManyFields);
        }
        let bytes = part.bytes().await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| FormError::NotText)?;
        // Forms of browsers send each field, also those that nobody has filled in.
        let value = if text.is_empty() { Value::Null } else { Value::String(text.to_owned()) };
        members.push((name, value));
    }
    Ok((Members(members), None))
}

/// Returns the problem of a form without a file, with the errors of its fields.
fn without_file<T: FromFields>(members: Members, now: time::OffsetDateTime) -> Problem {
    let mut errors = Fields::read::<T>(members, now).err().unwrap_or_default();
    errors.push(InvalidField {
        pointer: format!("/{FILE}"),
        code: "required",
        message: "is required, after the other fields".to_owned(),
    });
    Problem::invalid(errors)
}

/// Returns the text of a form as it is for every boundary.
fn canonical_text(members: &Members, name: Option<&str>, mime_type: Option<&str>) -> Vec<u8> {
    let parts = (&members.0, name, mime_type);
    serde_json::to_vec(&parts).expect("texts can be written as JSON")
}
