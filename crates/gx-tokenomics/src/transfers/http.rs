//! `/api/v1/transfers`: quote, order, follow.

use std::convert::Infallible;
use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::ACCEPT;
use axum::extract::{Path, State as Axum};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use gx_auth::Person;
use gx_model::{CommandId, FabricUserId, Gx, Qirat, economics};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::idempotency::IdempotencyKey;
use gx_serve::problem::ProblemBody;
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::{NO_TRANSFER, Order, Progress, TransferState};
use crate::State;

/// Where transfers are ordered.
pub(super) const TRANSFERS: &str = "/api/v1/transfers";

/// How long one stream lasts at most. Clients open the next one by themselves, through the
/// gate, so that a session which has ended follows nothing for ever.
const STREAM_TIME_LIMIT: Duration = Duration::from_mins(10);
/// Seconds after which a client may ask again when too many streams are open.
const RETRY_AFTER_S: u32 = 5;

struct Receiver(FabricUserId);

impl Field for Receiver {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let id = text(value)?.parse().map(Self);
        id.map_err(|why| FieldError::new("format", format!("is no Fabric User ID: {why}")))
    }
}

struct Amount(Qirat);

impl Field for Amount {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let Gx(amount) = text(value)?
            .parse()
            .map_err(|why: gx_model::InvalidAmount| FieldError::new("format", why.to_string()))?;
        if amount == Qirat::ZERO {
            return Err(FieldError::new("range", "must be more than 0"));
        }
        Ok(Self(amount))
    }
}

/// What to price.
#[derive(ToSchema)]
pub(crate) struct QuoteRequest {
    /// Fabric User ID of the receiver.
    #[schema(value_type = String, example = "MY 463 AUN834 0QKZB 5821")]
    to: Receiver,
    /// In GX, with at most six decimals.
    #[schema(value_type = String, example = "12.5")]
    amount: Amount,
}

impl FromFields for QuoteRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let to = fields.required("to");
        let amount = fields.required("amount");
        Some(Self { to: to?, amount: amount? })
    }
}

/// What a transfer would cost.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuoteBody {
    /// What the receiver gets.
    #[schema(value_type = String, example = "12.5")]
    amount: Gx,
    /// What is paid on top.
    #[schema(value_type = String, example = "0.00625")]
    fee: Gx,
    /// What the payer pays.
    #[schema(value_type = String, example = "12.50625")]
    total: Gx,
    /// The rate in 1/10 000.
    fee_bps: u16,
}

/// A transfer to make.
#[derive(ToSchema)]
pub(crate) struct TransferRequest {
    /// Fabric User ID of the receiver.
    #[schema(value_type = String, example = "MY 463 AUN834 0QKZB 5821")]
    to: Receiver,
    /// In GX, with at most six decimals.
    #[schema(value_type = String, example = "12.5")]
    amount: Amount,
    /// For the receiver; the ledger never sees it.
    #[schema(value_type = Option<String>, max_length = 140)]
    remark: Option<Text<140>>,
}

impl FromFields for TransferRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let to = fields.required("to");
        let amount = fields.required("amount");
        let remark = fields.optional("remark");
        Some(Self { to: to?, amount: amount?, remark: remark? })
    }
}

impl From<TransferRequest> for Order {
    fn from(request: TransferRequest) -> Self {
        let remark = request.remark.map(|Text(remark)| remark).filter(|text| !text.is_empty());
        Self { to: request.to.0, amount: request.amount.0, remark }
    }
}

/// The transfer was taken.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedBody {
    command_id: String,
    status: TransferState,
    /// Where it can be followed.
    #[schema(example = "/api/v1/transfers/7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    location: String,
}

impl AcceptedBody {
    pub(super) fn new(command_id: CommandId, status: TransferState) -> Self {
        let location = format!("{TRANSFERS}/{command_id}");
        Self { command_id: command_id.to_string(), status, location }
    }
}

/// One class of the fee table.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeeClassBody {
    /// `P2P`, `MERCHANT`, `GOVERNMENT` or `B2B`.
    tx_type: &'static str,
    /// Whether both ids name the same country.
    is_local: bool,
    tiers: Vec<FeeTierBody>,
}

/// A step of the fee table.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeeTierBody {
    /// Amounts from here on, up to the next step.
    #[schema(value_type = String, example = "3")]
    from: Gx,
    /// The rate in 1/10 000 of the whole amount.
    fee_bps: u16,
}

/// The whole fee table.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeesBody {
    classes: Vec<FeeClassBody>,
}

/// What transfers cost.
#[utoipa::path(
    get,
    path = "/api/v1/transfers/fees",
    tag = "transfers",
    responses((status = 200, description = "Every class of transfers.", body = FeesBody))
)]
pub(crate) async fn fees() -> Reply<FeesBody> {
    let tier =
        |tier: &economics::FeeTier| FeeTierBody { from: Gx(tier.from), fee_bps: tier.basis_points };
    let class = |class: &economics::FeeClass| FeeClassBody {
        tx_type: class.tx_type.name(),
        is_local: class.is_local,
        tiers: class.tiers.iter().map(tier).collect(),
    };
    Reply::ok(FeesBody { classes: economics::FEES.iter().map(class).collect() })
}

/// What a transfer would cost.
#[utoipa::path(
    post,
    path = "/api/v1/transfers/quote",
    tag = "transfers",
    request_body = QuoteRequest,
    responses(
        (status = 200, description = "The price.", body = QuoteBody),
        (status = 404, description = "`no_wallet`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`insufficient_balance`: more than all the money there is.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_receiver`, `self_transfer` or \
         `transfer_not_possible`.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn quote(
    Axum(state): Axum<State>,
    person: Person,
    Json(request): Json<QuoteRequest>,
) -> Result<Reply<QuoteBody>, Problem> {
    let amount = request.amount.0;
    let quote = super::quote(&state, &person, &request.to.0, amount).await?;
    Ok(Reply::ok(QuoteBody {
        amount: Gx(amount),
        fee: Gx(quote.fee.fee),
        total: Gx(quote.total),
        fee_bps: quote.fee.basis_points,
    }))
}

/// Sends money. The same key again gets the same answer for 24 hours, and never moves money
/// twice.
#[utoipa::path(
    post,
    path = "/api/v1/transfers",
    tag = "transfers",
    params(("Idempotency-Key" = String, Header,
            description = "The client's name for this transfer, in double quotes.")),
    request_body = TransferRequest,
    responses(
        (status = 202, description = "On its way to the ledger.", body = AcceptedBody),
        (status = 404, description = "`no_wallet`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`insufficient_balance`, `wallet_frozen`, \
         `too_many_pending` or `request_in_progress`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "`unknown_receiver`, `self_transfer`, \
         `transfer_not_possible` or `idempotency_key_reused`.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 503, description = "`system_paused`: until the ledger is resumed.",
         body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn order(
    Axum(state): Axum<State>,
    person: Person,
    key: IdempotencyKey,
    request_id: RequestId,
    Json(request): Json<TransferRequest>,
) -> Result<Response, Problem> {
    super::order(&state, &person, &request.into(), &key, &request_id).await
}

/// Where a transfer stands; as `text/event-stream` each change until the end.
#[utoipa::path(
    get,
    path = "/api/v1/transfers/{commandId}",
    tag = "transfers",
    params(("commandId" = String, Path, description = "From the answer to the order.")),
    responses(
        (status = 200, description = "Its state.", content(
            (Progress = "application/json"), (Progress = "text/event-stream"))),
        (status = 404, description = "`no_transfer`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn follow(
    Axum(state): Axum<State>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = id.parse();
    let id = id.map_err(|_| Problem::new(&NO_TRANSFER, "An id is a UUID in lower case."))?;
    let progress = super::progress(&state, &person, id).await?;
    if !wants_events(&headers) {
        return Ok(Reply::ok(progress).into_response());
    }
    let changes = state.live.follow(progress).ok_or_else(|| {
        Problem::unavailable(
            "Too many transfers are followed; ask without a stream.",
            RETRY_AFTER_S,
        )
    })?;
    Ok(Sse::new(events(changes)).keep_alive(KeepAlive::default()).into_response())
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|part| {
        let essence = part.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// The state now and each later one; ends with the last, when the service stops, or after
/// [`STREAM_TIME_LIMIT`].
fn events(
    changes: watch::Receiver<Progress>,
) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let end = Instant::now() + STREAM_TIME_LIMIT;
    stream::unfold(Some((changes, true)), move |next| async move {
        let (mut changes, is_first) = next?;
        if !is_first {
            timeout_at(end, changes.changed()).await.ok()?.ok()?;
        }
        let progress = changes.borrow_and_update().clone();
        let event = Event::default().event("status").json_data(&progress);
        let event = event.expect("a transfer's state has only text keys");
        let rest = (!progress.status.is_final()).then_some((changes, false));
        Some((Ok(event), rest))
    })
}
