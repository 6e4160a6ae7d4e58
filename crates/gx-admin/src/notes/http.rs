//! HTTP routes `GET` and `POST /api/v1/admin/users/{id}/notes`, registered by [`crate::service`]. A
//! `Problem` is the answer to the client.

use ::http::StatusCode;
use axum::extract::State;
use gx_auth::Administrator;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Json, Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::store::{self, NoteItem};
use crate::ServiceState;
use crate::users::{ProfilePath, no_user};

/// A text of 1 to 2000 characters that is not blank.
struct NoteText(String);

impl Field for NoteText {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let Text(text) = Text::<2000>::read(value)?;
        if text.trim().is_empty() {
            return Err(FieldError::new("too_short", "must not be empty"));
        }
        Ok(Self(text))
    }
}

/// A note to add.
#[derive(ToSchema)]
pub(crate) struct NoteRequest {
    /// Text for other administrators.
    #[schema(value_type = String, min_length = 1, max_length = 2000,
             example = "Asked for a sharper photo by phone")]
    text: NoteText,
}

impl FromFields for NoteRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { text: fields.required("text")? })
    }
}

/// The note that was added.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NoteBody {
    /// Number of the note: that of its entry in the audit log.
    note_id: i64,
}

/// Adds a note about a person, for other administrators. It can be erased later.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/notes",
    tag = "review",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 201, description = "Added.", body = NoteBody))
)]
pub(crate) async fn add(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    who: Administrator,
    Json(request): Json<NoteRequest>,
) -> Result<Reply<NoteBody>, Problem> {
    let note_id = super::add(&state, &who, &id, &request.text.0).await?;
    Ok(Reply(StatusCode::CREATED, NoteBody { note_id }))
}

/// Lists the notes about a person, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/notes",
    tag = "review",
    params(("id" = String, Path, description = "profileId"), PageQuery<i64>),
    responses((status = 200, description = "A page of notes.", body = Page<NoteItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
    Query(page): Query<PageQuery<i64>>,
) -> Result<Reply<Page<NoteItem>>, Problem> {
    let mut conn = state.base.connection().await?;
    if !store::person_exists(&mut conn, &id).await? {
        return Err(no_user());
    }
    let limit = page.limit;
    let rows = store::notes(&mut conn, &id, page.key().copied(), limit.with_one_more()).await?;
    Ok(Reply::ok(Page::cut(rows, limit, |row| row.note_id)))
}
