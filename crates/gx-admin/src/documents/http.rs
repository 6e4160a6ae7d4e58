//! HTTP routes under `/api/v1/admin/users/{id}/documents`, registered by [`crate::service`]. A
//! `Problem` is the answer to the client.

use ::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use ::http::request::Parts;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use gx_auth::Administrator;
use gx_db::ProfileId;
use gx_documents::{DocumentStatus, PAGE_MIME_TYPE, PageImage};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, one_of};
use gx_serve::page::{Limit, Page, PageQuery};
use gx_serve::{Json, Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    DocumentItem, DuplicateItem, NO_PAGE, PageView, ViewPurpose, WantedDecision, no_document,
};
use crate::ServiceState;
use crate::reason_code::ReasonCodeField;
use crate::users::{ProfilePath, is_plain_id};

/// What a browser may do with a page that somebody opens in it: show it, and nothing else.
const PAGE_POLICY: &str = "sandbox; default-src 'none'";

/// The ids of a person and a document in a path. A text that is not an id is answered like an
/// unknown id.
pub(crate) struct DocumentPath(ProfileId, String);

impl<S: Send + Sync> FromRequestParts<S> for DocumentPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let ids = path.ok().map(|Path(ids)| ids);
        let ids = ids.filter(|(person, document)| is_plain_id(person) && is_plain_id(document));
        let (person, document) = ids.ok_or_else(no_document)?;
        Ok(Self(person.into(), document))
    }
}

/// The ids of a person and a document in a path, and the number of a page.
pub(crate) struct PagePath(ProfileId, String, u32);

impl<S: Send + Sync> FromRequestParts<S> for PagePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, state).await;
        let ids = path.ok().map(|Path(ids)| ids);
        let ids = ids.filter(|(person, document, _)| is_plain_id(person) && is_plain_id(document));
        let (person, document, number) = ids.ok_or_else(no_document)?;
        let number = number.parse().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| Problem::new(&NO_PAGE, "Pages count from 1."))?;
        Ok(Self(person.into(), document, number))
    }
}

impl Field for ViewPurpose {
    fn read(value: &Value) -> Result<Self, FieldError> {
        one_of(value, &Self::ALL, Self::name)
    }
}

/// Why a page is looked at.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ViewQuery {
    /// KYC_REVIEW, COMPLIANCE_REVIEW or COURT_ORDER; it is written to the audit log.
    #[param(value_type = String, pattern = "^(KYC_REVIEW|COMPLIANCE_REVIEW|COURT_ORDER)$",
            example = "KYC_REVIEW")]
    purpose: ViewPurpose,
}

impl FromFields for ViewQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { purpose: fields.required("purpose")? })
    }
}

/// A page as an image, for the document of the interface.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it only describes the answer")]
struct PageBytes(Vec<u8>);

/// A page as an image.
pub(crate) struct PageReply(PageImage);

impl IntoResponse for PageReply {
    fn into_response(self) -> Response {
        let fields = [
            (CONTENT_TYPE, PAGE_MIME_TYPE),
            (CONTENT_DISPOSITION, "inline"),
            (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        ];
        (fields, self.0.bytes).into_response()
    }
}

/// ACCEPTED or REJECTED.
struct DecidedStatus(DocumentStatus);

impl Field for DecidedStatus {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let permitted = [DocumentStatus::Accepted, DocumentStatus::Rejected];
        one_of(value, &permitted, DocumentStatus::name).map(Self)
    }
}

/// The decision on a document.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct DocumentDecisionBody {
    /// `ACCEPTED` or `REJECTED`.
    #[schema(value_type = String, pattern = "^(ACCEPTED|REJECTED)$", example = "REJECTED")]
    decision: DecidedStatus,
    /// Reason code, such as `DOCUMENT_UNREADABLE`. A rejection needs one.
    #[schema(value_type = Option<String>, pattern = "^[A-Z0-9_]{1,40}$",
             example = "DOCUMENT_UNREADABLE")]
    reason_code: Option<ReasonCodeField>,
    /// Comment for the person.
    #[schema(value_type = Option<String>, max_length = 1000)]
    public_comment: Option<Text<1000>>,
}

impl FromFields for DocumentDecisionBody {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let decision: Option<DecidedStatus> = fields.required("decision");
        let reason_code: Option<Option<ReasonCodeField>> = fields.optional("reasonCode");
        let public_comment = fields.optional("publicComment");
        let is_rejection =
            decision.as_ref().is_some_and(|decided| decided.0 == DocumentStatus::Rejected);
        if is_rejection && matches!(reason_code, Some(None)) {
            fields.refuse("reasonCode", FieldError::new("required", "is required to reject"));
        }
        Some(Self {
            decision: decision?,
            reason_code: reason_code?,
            public_comment: public_comment?,
        })
    }
}

/// The status of a document after the decision.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecidedBody {
    #[schema(example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    document_id: String,
    #[schema(example = "REJECTED")]
    status: &'static str,
}

/// Lists the documents of a person, in the order of their upload.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/documents",
    tag = "documents",
    params(("id" = String, Path, description = "profileId"), PageQuery<(i64, String)>),
    responses((status = 200, description = "A page of documents.", body = Page<DocumentItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Query(page): Query<PageQuery<(i64, String)>>,
) -> Result<Reply<Page<DocumentItem>>, Problem> {
    let items = super::list(&state, &who, &id).await?;
    Ok(Reply::ok(cut(items, page.limit, page.key(), DocumentItem::key)))
}

/// Lists documents of other people that are the same file or have the same number as one of this
/// person's.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/documents/duplicates",
    tag = "documents",
    params(("id" = String, Path, description = "profileId"), PageQuery<(String, String)>),
    responses((status = 200, description = "A page of documents.", body = Page<DuplicateItem>))
)]
pub(crate) async fn duplicates(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    Query(page): Query<PageQuery<(String, String)>>,
) -> Result<Reply<Page<DuplicateItem>>, Problem> {
    let items = super::duplicates(&state, &id).await?;
    Ok(Reply::ok(cut(items, page.limit, page.key(), DuplicateItem::key)))
}

/// Returns a page of a document as an image. The pixels carry who looks, at which case and when,
/// and each page that is shown is an entry of the audit log.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/documents/{documentId}/pages/{number}",
    tag = "documents",
    params(("id" = String, Path, description = "profileId"),
           ("documentId" = String, Path, description = "documentId"),
           ("number" = u32, Path, description = "Number of the page, counted from 1"),
           ViewQuery),
    responses((status = 200, description = "The page.", body = PageBytes,
               content_type = "image/jpeg"))
)]
pub(crate) async fn page(
    State(state): State<ServiceState>,
    PagePath(profile_id, document_id, number): PagePath,
    who: Administrator,
    Query(query): Query<ViewQuery>,
) -> Result<PageReply, Problem> {
    let purpose = query.purpose;
    let view = PageView { profile_id: &profile_id, document_id: &document_id, number, purpose };
    Ok(PageReply(super::show(&state, &who, &view).await?))
}

/// Accepts or rejects a document of a person under review. A document is decided once; another one
/// can be asked for.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/documents/{documentId}/decision",
    tag = "documents",
    params(("id" = String, Path, description = "profileId"),
           ("documentId" = String, Path, description = "documentId")),
    responses((status = 200, description = "Decided.", body = DecidedBody))
)]
pub(crate) async fn decide(
    State(state): State<ServiceState>,
    DocumentPath(profile_id, document_id): DocumentPath,
    who: Administrator,
    Json(body): Json<DocumentDecisionBody>,
) -> Result<Reply<DecidedBody>, Problem> {
    let reason_code = body.reason_code.as_ref().map(|reason| reason.0.to_string());
    let status = body.decision.0;
    let wanted = WantedDecision {
        status,
        reason_code: reason_code.as_deref(),
        public_comment: body.public_comment.as_ref().map(|comment| comment.0.as_str()),
    };
    super::decide(&state, &who, (&profile_id, &document_id), &wanted).await?;
    Ok(Reply::ok(DecidedBody { document_id, status: status.name() }))
}

/// Returns the page of a list that is in memory, in the order of its keys. A person has few
/// documents.
fn cut<T, K: Ord + Serialize>(
    items: Vec<T>,
    limit: Limit,
    after: Option<&K>,
    key: impl Fn(&T) -> K,
) -> Page<T> {
    let is_later = |item: &T| after.is_none_or(|after| key(item) > *after);
    Page::cut(items.into_iter().filter(is_later).collect(), limit, &key)
}
