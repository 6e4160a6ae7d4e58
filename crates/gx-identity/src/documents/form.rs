//! The form with which a person hands in a document: text fields, and the file after them.

use gx_documents::repository::DocumentClaim;
use gx_documents::{DocumentSide, DocumentType};
use gx_serve::FilePart;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, one_of};
use serde_json::Value;
use time::Date;
use utoipa::ToSchema;

use crate::person::{IdentityNumber, Nationality, day};

/// The type of a document in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenType(pub(crate) DocumentType);

/// The side of a document in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenSide(pub(crate) DocumentSide);

/// A day on a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenDay(Date);

/// A document that is handed in. The file comes last.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct DocumentForm {
    /// `PASSPORT`, `NATIONAL_ID`, `DRIVERS_LICENSE`, `PROOF_OF_ADDRESS` or `SELFIE_PHOTO`.
    #[schema(rename = "type", value_type = String, max_length = 40, example = "PASSPORT")]
    pub(crate) kind: GivenType,
    /// `front` or `back`: required for a national id and a licence, optional for a passport, and
    /// left out for the others.
    #[schema(value_type = Option<String>, nullable = false, max_length = 10)]
    pub(crate) side: Option<GivenSide>,
    /// The number of the document: letters and digits, between them blanks, - / . + ( ).
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 40)]
    document_number: Option<IdentityNumber>,
    /// ISO 3166-1 code of the country that issued the document.
    #[schema(value_type = Option<String>, nullable = false, min_length = 2, max_length = 2)]
    issuing_country: Option<Nationality>,
    /// When the document was issued.
    #[schema(value_type = Option<String>, nullable = false, format = "date")]
    issued_date: Option<GivenDay>,
    /// When the document expires.
    #[schema(value_type = Option<String>, nullable = false, format = "date")]
    expiry_date: Option<GivenDay>,
    /// A JPEG, PNG, WebP or PDF of at most 10 MiB. Its name and its type must agree with its
    /// content.
    #[schema(rename = "file", value_type = String, format = Binary)]
    _file: FilePart,
}

impl Field for GivenType {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &DocumentType::ALL, DocumentType::name).map(Self)
    }
}

impl Field for GivenSide {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &DocumentSide::ALL, DocumentSide::name).map(Self)
    }
}

impl Field for GivenDay {
    fn read(value: &Value) -> Result<Self, FieldError> {
        day(value).map(Self)
    }
}

impl FromFields for DocumentForm {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let kind: Option<GivenType> = fields.required("type");
        let side: Option<Option<GivenSide>> = fields.optional("side");
        let document_number = fields.optional("documentNumber");
        let issuing_country = fields.optional("issuingCountry");
        let issued_date: Option<Option<GivenDay>> = fields.optional("issuedDate");
        let expiry_date: Option<Option<GivenDay>> = fields.optional("expiryDate");
        if let (Some(GivenType(kind)), Some(side)) = (kind, side) {
            check_side(fields, kind, side.is_some());
        }
        check_days(fields, issued_date.flatten(), expiry_date.flatten());
        Some(Self {
            kind: kind?,
            side: side?,
            document_number: document_number?,
            issuing_country: issuing_country?,
            issued_date: issued_date?,
            expiry_date: expiry_date?,
            _file: FilePart,
        })
    }
}

impl DocumentForm {
    /// Returns the side, if there is one.
    pub(crate) fn side(&self) -> Option<DocumentSide> {
        self.side.map(|GivenSide(side)| side)
    }

    /// Returns what the person says about the document.
    pub(crate) fn claim(&self) -> DocumentClaim {
        DocumentClaim {
            kind: self.kind.0,
            side: self.side(),
            number: self.document_number.as_ref().map(|number| number.0.clone()),
            issuing_country: self.issuing_country.map(|country| country.0.to_string()),
            issued_on: self.issued_date.map(|GivenDay(day)| day),
            expires_on: self.expiry_date.map(|GivenDay(day)| day),
        }
    }
}

/// Refuses a card without a side, and a side of what has none.
fn check_side(fields: &mut Fields, kind: DocumentType, has_side: bool) {
    let has_sides = kind.has_two_sides() || kind == DocumentType::Passport;
    if kind.has_two_sides() && !has_side {
        let message = format!("is required: a {kind} has a front and a back");
        fields.refuse("side", FieldError::new("required", message));
    } else if has_side && !has_sides {
        let message = format!("must be left out: a {kind} has no sides");
        fields.refuse("side", FieldError::new("format", message));
    }
}

/// Refuses days that no document has.
fn check_days(fields: &mut Fields, issued: Option<GivenDay>, expires: Option<GivenDay>) {
    // Where the person is, it may be tomorrow already.
    let latest = fields.now().date().next_day();
    if issued.is_some_and(|GivenDay(day)| latest.is_some_and(|latest| day > latest)) {
        fields.refuse("issuedDate", FieldError::new("range", "must not be in the future"));
    }
    if let (Some(GivenDay(issued)), Some(GivenDay(expires))) = (issued, expires)
        && expires < issued
    {
        fields.refuse("expiryDate", FieldError::new("range", "must not be before `issuedDate`"));
    }
}
