//! HTTP routes under `/api/v1/transfers`: fees, quotes, orders, and following a transfer.
//! Registered by [`crate::service`]. A `Problem` is the answer to the client.

use std::convert::Infallible;
use std::time::Duration;

use ::http::header::ACCEPT;
use ::http::{HeaderMap, HeaderName, StatusCode};
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use gx_auth::Person;
use gx_model::{CommandId, FabricUserId, Gx, Qirat, economics};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::idempotency::IdempotencyKey;
use gx_serve::{Json, Problem, Reply, RequestId};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::{NO_TRANSFER, Order, TransferProgress, TransferState};
use crate::ServiceState;

/// Path at which transfers are ordered.
pub(super) const TRANSFERS: &str = "/api/v1/transfers";

/// Longest time of one stream. Clients then open the next one by themselves and are authenticated
/// again, so that an ended session does not receive events for ever.
const MAX_STREAM_DURATION: Duration = Duration::from_mins(10);
/// Header with the id of the last event, which a client sends when it opens a stream again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Seconds after which a client may try again if too many streams are open.
const RETRY_AFTER_S: u32 = 5;

struct Receiver(FabricUserId);

impl Field for Receiver {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let id = FabricUserId::from_pasted(text(value)?).map(Self);
        id.map_err(|why| FieldError::new("format", format!("is not a Fabric User ID: {why}")))
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

/// The receiver and amount of a quote.
#[derive(ToSchema)]
pub(crate) struct QuoteRequest {
    /// Fabric User ID of the receiver, in upper or lower case, with or without blanks.
    #[schema(value_type = String, example = "MY 463 AUN834 0QKZB 5821")]
    to: Receiver,
    /// Amount in GX, with at most six decimals.
    #[schema(value_type = String, pattern = r"^[0-9]+(\.[0-9]{1,6})?$", example = "12.5")]
    amount: Amount,
}

impl FromFields for QuoteRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let to = fields.required("to");
        let amount = fields.required("amount");
        Some(Self { to: to?, amount: amount? })
    }
}

/// The cost of a transfer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuoteBody {
    /// Amount that the receiver gets, in GX.
    #[schema(value_type = String, example = "12.5")]
    amount: Gx,
    /// Fee that the payer pays in addition, in GX.
    #[schema(value_type = String, example = "0.00625")]
    fee: Gx,
    /// Amount and fee together, in GX.
    #[schema(value_type = String, example = "12.50625")]
    total: Gx,
    /// The rate of the fee in basis points (1/10 000).
    fee_bps: u16,
}

/// The receiver, amount and remark of a transfer.
#[derive(ToSchema)]
pub(crate) struct TransferRequest {
    /// Fabric User ID of the receiver, in upper or lower case, with or without blanks.
    #[schema(value_type = String, example = "MY 463 AUN834 0QKZB 5821")]
    to: Receiver,
    /// Amount in GX, with at most six decimals.
    #[schema(value_type = String, pattern = r"^[0-9]+(\.[0-9]{1,6})?$", example = "12.5")]
    amount: Amount,
    /// Remark for the receiver; it is not sent to the ledger.
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

/// An accepted transfer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedBody {
    #[schema(value_type = String, example = "7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    command_id: CommandId,
    status: TransferState,
    /// Path at which the transfer can be followed.
    #[schema(example = "/api/v1/transfers/7f3e0c1a-6c3c-5b1e-9a61-0d2f3b5c7e91")]
    location: String,
}

impl AcceptedBody {
    pub(super) fn new(command_id: CommandId, status: TransferState) -> Self {
        let location = format!("{TRANSFERS}/{command_id}");
        Self { command_id, status, location }
    }
}

/// The fees of one class of transfers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeeClassBody {
    /// `P2P`, `MERCHANT`, `GOVERNMENT` or `B2B`.
    #[schema(example = "P2P")]
    tx_type: &'static str,
    /// `true` for transfers within a country, `false` for transfers between two countries.
    is_local: bool,
    tiers: Vec<FeeTierBody>,
}

/// The rate from an amount on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeeTierBody {
    /// Least amount of this rate, in GX; the rate holds up to the next tier.
    #[schema(value_type = String, example = "3")]
    from: Gx,
    /// The rate in basis points (1/10 000) of the whole amount.
    fee_bps: u16,
}

/// The whole fee table.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeesBody {
    classes: Vec<FeeClassBody>,
}

/// Returns the fee table.
#[utoipa::path(
    get,
    path = "/api/v1/transfers/fees",
    tag = "transfers",
    responses((status = 200, description = "The fees of all classes of transfers.", body = FeesBody))
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

/// Returns the cost of a transfer.
#[utoipa::path(
    post,
    path = "/api/v1/transfers/quote",
    tag = "transfers",
    responses((status = 200, description = "The price.", body = QuoteBody))
)]
pub(crate) async fn quote(
    State(state): State<ServiceState>,
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

/// Orders a transfer. A request with the same key gets the same answer for 24 hours, and the money
/// is never sent twice.
#[utoipa::path(
    post,
    path = "/api/v1/transfers",
    tag = "transfers",
    params(("Idempotency-Key" = String, Header,
            description = "The client's name for this transfer, with or without double quotes.")),
    responses((status = 202, description = "The transfer is accepted.", body = AcceptedBody))
)]
pub(crate) async fn order(
    State(state): State<ServiceState>,
    person: Person,
    key: IdempotencyKey,
    request_id: RequestId,
    Json(request): Json<TransferRequest>,
) -> Result<Response, Problem> {
    super::order(&state, &person, &request.into(), &key, &request_id).await
}

/// Returns the state of a transfer, or as `text/event-stream` each change until the final state.
#[utoipa::path(
    get,
    path = "/api/v1/transfers/{commandId}",
    tag = "transfers",
    params(("commandId" = String, Path, description = "`commandId` of the answer to the order."),
           ("Last-Event-ID" = Option<String>, Header,
            description = "The id of the last event, if a stream is opened again.")),
    responses(
        (status = 200, description = "The state of the transfer.", content(
            (TransferProgress = "application/json"), (TransferProgress = "text/event-stream"))),
        (status = 204, description = "The client has seen the final state: do not open it again."),
    )
)]
pub(crate) async fn follow(
    State(state): State<ServiceState>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = id.parse();
    let id = id.map_err(|_| Problem::new(&NO_TRANSFER, "Give a UUID in lower case."))?;
    let progress = super::progress(&state, &person, id).await?;
    if !wants_events(&headers) {
        return Ok(Reply::ok(progress).into_response());
    }
    if has_seen_all(&headers, &progress) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let changes = state.live.follow(progress).ok_or_else(|| {
        Problem::unavailable(
            "Too many transfers are followed. Ask without a stream.",
            RETRY_AFTER_S,
        )
    })?;
    Ok(Sse::new(events(changes)).keep_alive(KeepAlive::default()).into_response())
}

/// Returns whether the client prefers events: `Accept` names them with no lower weight than JSON.
fn wants_events(headers: &HeaderMap) -> bool {
    let weight = |wanted: &str| {
        let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = accepts.flat_map(|value| value.split(','));
        let named = ranges.filter(|range| {
            let essence = range.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case(wanted)
        });
        named.map(weight_in_thousandths).max().unwrap_or(0)
    };
    let events = weight("text/event-stream");
    events > 0 && events >= weight("application/json")
}

/// Returns the weight of a media range in thousandths (RFC 9110, 12.4.2): 1000 if there is none, 0
/// if it cannot be read.
fn weight_in_thousandths(range: &str) -> u16 {
    let weights = range.split(';').skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(weight) = weights.last() else { return 1_000 };
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = part.len() <= 3 && part.bytes().all(|digit| digit.is_ascii_digit());
    let part = format!("{part:0<3}").parse().unwrap_or(0);
    match whole {
        "1" if is_weight => 1_000,
        "0" if is_weight => part,
        _ => 0,
    }
}

/// Returns whether a client that opens a stream again has seen the final state: the transfer has
/// ended, and the client's last event is not of an earlier state.
fn has_seen_all(headers: &HeaderMap, progress: &TransferProgress) -> bool {
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let earlier = [TransferState::Pending, TransferState::Submitted];
    let is_earlier = |last: &str| earlier.iter().any(|state| state.name() == last);
    progress.status.is_final() && last.is_some_and(|last| !last.is_empty() && !is_earlier(last))
}

/// Returns a stream of the present state and each later one. It ends with the final state, when the
/// service stops, or after [`MAX_STREAM_DURATION`].
fn events(
    changes: watch::Receiver<TransferProgress>,
) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let end = Instant::now() + MAX_STREAM_DURATION;
    stream::unfold(Some((changes, true)), move |next| async move {
        let (mut changes, is_first) = next?;
        if !is_first {
            timeout_at(end, changes.changed()).await.ok()?.ok()?;
        }
        let progress = changes.borrow_and_update().clone();
        let event = Event::default().event("status").id(progress.status.name());
        let event = event.json_data(&progress);
        let event = event.expect("a transfer's state has only text keys");
        let rest = (!progress.status.is_final()).then_some((changes, false));
        Some((Ok(event), rest))
    })
}
