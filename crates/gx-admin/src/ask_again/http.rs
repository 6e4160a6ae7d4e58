//! HTTP route `POST /api/v1/admin/users/{id}/ask-again`, registered by [`crate::service`]. A
//! `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::Administrator;
use gx_documents::{DocumentSide, DocumentType};
use gx_model::AccountStatus;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, one_of};
use gx_serve::{Json, Problem, Reply};
use serde_json::Value;
use utoipa::ToSchema;

use super::WantedDocument;
use crate::ServiceState;
use crate::review::http::StatusBody;
use crate::users::ProfilePath;

/// Limit of the documents of one request. There are seven different ones.
const MAX_DOCUMENTS: usize = 10;
/// Limit of the characters of an unknown member that are returned.
const MAX_NAME_CHARACTERS: usize = 100;

/// A document that is asked for, as the document of the interface describes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the body")]
struct AskedDocument {
    /// PASSPORT, NATIONAL_ID, DRIVERS_LICENSE, PROOF_OF_ADDRESS or SELFIE_PHOTO.
    #[schema(
        rename = "type",
        example = "NATIONAL_ID",
        pattern = "^(PASSPORT|NATIONAL_ID|DRIVERS_LICENSE|PROOF_OF_ADDRESS|SELFIE_PHOTO)$"
    )]
    kind: String,
    /// `front` or `back`, of a passport or card; both sides of a card by default.
    #[schema(required = false, example = "front", pattern = "^(front|back)$")]
    side: Option<String>,
}

/// The documents that are asked for.
struct WantedDocuments(Vec<WantedDocument>);

impl Field for WantedDocuments {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given =
            value.as_array().ok_or_else(|| FieldError::wrong_type("a list of documents"))?;
        if !(1..=MAX_DOCUMENTS).contains(&given.len()) {
            let message = format!("must name 1 to {MAX_DOCUMENTS} documents");
            return Err(FieldError::new("range", message));
        }
        given.iter().map(document).collect::<Result<_, _>>().map(Self)
    }
}

/// Reads one document of the list.
fn document(value: &Value) -> Result<WantedDocument, FieldError> {
    let members = value.as_object().ok_or_else(|| FieldError::wrong_type("a list of objects"))?;
    if let Some(unknown) = members.keys().find(|name| !["type", "side"].contains(&name.as_str())) {
        let unknown: String = unknown.chars().take(MAX_NAME_CHARACTERS).collect();
        return Err(FieldError::new("unknown", format!("has the unknown member {unknown}")));
    }
    let kind = members.get("type").unwrap_or(&Value::Null);
    let kind = one_of(kind, &DocumentType::ALL, DocumentType::name)?;
    let side = match members.get("side") {
        None | Some(Value::Null) => None,
        Some(side) => Some(one_of(side, &DocumentSide::ALL, DocumentSide::name)?),
    };
    if side.is_some() && !kind.has_two_sides() && kind != DocumentType::Passport {
        return Err(FieldError::new("format", format!("{kind} has no sides")));
    }
    Ok(WantedDocument { kind, side })
}

/// The documents that a person is asked for again, and why.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AskAgainBody {
    #[schema(value_type = Vec<AskedDocument>, min_items = 1, max_items = 10)]
    documents: WantedDocuments,
    /// Comment for the person.
    #[schema(value_type = String, min_length = 1, max_length = 1000,
             example = "The photo is too dark to read the number")]
    public_comment: PublicComment,
}

/// A comment for a person: 1 to 1000 characters that are not blank.
struct PublicComment(String);

impl Field for PublicComment {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let Text(text) = Text::<1000>::read(value)?;
        if text.trim().is_empty() {
            return Err(FieldError::new("too_short", "must not be empty"));
        }
        Ok(Self(text))
    }
}

impl FromFields for AskAgainBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let documents = fields.required("documents");
        let public_comment = fields.required("publicComment");
        Some(Self { documents: documents?, public_comment: public_comment? })
    }
}

/// Asks a person under review for documents again. The person may change only these, and the clock
/// of the review is stopped until they are there.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/ask-again",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "The person is asked.", body = StatusBody))
)]
pub(crate) async fn ask_again(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(body): Json<AskAgainBody>,
) -> Result<Reply<StatusBody>, Problem> {
    super::ask_again(&state, &who, &id, &body.documents.0, &body.public_comment.0).await?;
    Ok(Reply::ok(StatusBody { status: AccountStatus::PendingAdminApproval.name() }))
}
