//! HTTP routes `POST /api/v1/admin/system/pause`, `/system/resume` and
//! `/treasury/{country}/activate`, registered by [`crate::service`]. A `Problem` is the answer to
//! the client.

use ::http::StatusCode;
use axum::extract::{FromRequestParts, Path, State};
use gx_auth::Administrator;
use gx_model::{CountryCode, ReasonCode};
use gx_serve::fields::{Fields, FromFields, Text};
use gx_serve::{Json, Problem, Reply};
use utoipa::ToSchema;

use super::NO_TREASURY;
use crate::acts::{Act, ActRequest, ActTexts, CommandBody, PauseAction};
use crate::audit_reason::ReasonBody;
use crate::reason_code::ReasonCodeField;
use crate::{ServiceState, request_act};

/// The reason for a pause.
#[derive(ToSchema)]
pub(crate) struct PauseRequest {
    /// Reason code, which is stored on the ledger.
    #[schema(value_type = String, pattern = "^[A-Z0-9_]{1,40}$", example = "INCIDENT")]
    reason: ReasonCodeField,
    /// Notes for other administrators; they are not sent to the ledger.
    #[schema(value_type = Option<String>, max_length = 1000)]
    notes: Option<Text<1000>>,
}

impl FromFields for PauseRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (reason, notes) = (fields.required("reason"), fields.optional("notes"));
        Some(Self { reason: reason?, notes: notes? })
    }
}

/// The country of a treasury in a path. A text that is not a code is answered like an unknown one.
pub(crate) struct CountryPath(CountryCode);

impl<S: Send + Sync> FromRequestParts<S> for CountryPath {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut ::http::request::Parts,
        state: &S,
    ) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let code = path.ok().and_then(|Path(code)| code.parse().ok());
        code.map(Self)
            .ok_or_else(|| Problem::new(&NO_TREASURY, "Give a code of two letters, such as MY."))
    }
}

async fn send(
    state: &ServiceState,
    who: &Administrator,
    act: Act,
    texts: ActTexts,
) -> Result<Reply<CommandBody>, Problem> {
    let answer = request_act(state, who, &ActRequest { act, texts }).await?;
    Ok(Reply(StatusCode::ACCEPTED, answer.into()))
}

/// Pauses the ledger: once it has confirmed, it refuses every change except the resume.
#[utoipa::path(
    post,
    path = "/api/v1/admin/system/pause",
    tag = "operations",
    responses((status = 202, description = "The command or the proposal is stored.",
               body = CommandBody))
)]
pub(crate) async fn pause(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(request): Json<PauseRequest>,
) -> Result<Reply<CommandBody>, Problem> {
    let reason: ReasonCode = request.reason.0;
    let texts = ActTexts { reason: None, notes: request.notes.map(|Text(notes)| notes) };
    send(&state, &who, Act::Pause(PauseAction::Pause(reason)), texts).await
}

/// Resumes the ledger after a pause.
#[utoipa::path(
    post,
    path = "/api/v1/admin/system/resume",
    tag = "operations",
    responses((status = 202, description = "The command or the proposal is stored.",
               body = CommandBody))
)]
pub(crate) async fn resume(
    State(state): State<ServiceState>,
    who: Administrator,
    Json(request): Json<ReasonBody>,
) -> Result<Reply<CommandBody>, Problem> {
    let texts = ActTexts { reason: Some(request.reason.0), notes: None };
    send(&state, &who, Act::Pause(PauseAction::Resume), texts).await
}

/// Activates the treasury of a country, which is locked until then.
#[utoipa::path(
    post,
    path = "/api/v1/admin/treasury/{country}/activate",
    tag = "operations",
    params(("country" = String, Path, description = "ISO 3166-1 code of two letters")),
    responses((status = 202, description = "The command or the proposal is stored.",
               body = CommandBody))
)]
pub(crate) async fn activate(
    State(state): State<ServiceState>,
    CountryPath(country): CountryPath,
    who: Administrator,
    Json(request): Json<ReasonBody>,
) -> Result<Reply<CommandBody>, Problem> {
    let texts = ActTexts { reason: Some(request.reason.0), notes: None };
    send(&state, &who, Act::ActivateTreasury(country), texts).await
}
