//! HTTP route `GET /api/v1/admin/review/queue`, registered by [`crate::service`]. A `Problem` is
//! the answer to the client.

use axum::extract::State;
use gx_db::{AdminId, ProfileId};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, text};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::store::{self, QueueFilter, QueueRow};
use crate::ServiceState;
use crate::administrator_id::GivenAdminId;
use crate::users::{Country, Search, page_time};

/// Which people of the queue are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QueueState {
    /// The clock runs.
    Waiting,
    /// The clock runs, and they have waited longer than the target.
    Late,
    /// The clock is stopped: the reviewers wait for the person.
    Stopped,
}

impl Field for QueueState {
    fn read(value: &Value) -> Result<Self, FieldError> {
        match text(value)? {
            "WAITING" => Ok(Self::Waiting),
            "LATE" => Ok(Self::Late),
            "STOPPED" => Ok(Self::Stopped),
            _ => Err(FieldError::new("format", "must be one of WAITING, LATE, STOPPED")),
        }
    }
}

/// Whose claims are wanted.
enum WantedAssignee {
    Nobody,
    Administrator(AdminId),
}

impl Field for WantedAssignee {
    fn read(value: &Value) -> Result<Self, FieldError> {
        match text(value)? {
            "none" => Ok(Self::Nobody),
            _ => GivenAdminId::read(value).map(|GivenAdminId(id)| Self::Administrator(id)),
        }
    }
}

/// Filters and page of the queue.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct QueueQuery {
    /// WAITING, LATE or STOPPED.
    #[param(value_type = Option<String>)]
    state: Option<QueueState>,
    /// adminId of the reviewer whose claim lasts, or `none` for people whom nobody has claimed.
    #[param(value_type = Option<String>)]
    assignee: Option<WantedAssignee>,
    /// ISO 3166-1 code of the nationality.
    #[param(value_type = Option<String>)]
    country: Option<Country>,
    /// Part of the e-mail address or name, in any case and normalisation form; at most 100
    /// characters.
    #[param(value_type = Option<String>)]
    q: Option<Search>,
    #[param(ignore)]
    page: PageQuery<(i64, ProfileId)>,
}

impl FromFields for QueueQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (state, assignee) = (fields.optional("state"), fields.optional("assignee"));
        let (country, q) = (fields.optional("country"), fields.optional("q"));
        let page = PageQuery::from_fields(fields)?;
        Some(Self { state: state?, assignee: assignee?, country: country?, q: q?, page })
    }
}

/// A person in the queue of reviewers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueItem {
    #[schema(value_type = String, example = "01939b3c-7e1a-7c3e-9a61-0d2f3b5c7e91")]
    profile_id: ProfileId,
    #[schema(example = "sarah.johnson@gxtest.com")]
    email: String,
    #[schema(example = "Sarah")]
    first_name: String,
    /// `null` for people who have one name.
    #[schema(required, example = "Johnson")]
    last_name: Option<String>,
    #[schema(required, example = "MY")]
    nationality_country_code: Option<String>,
    is_locked: bool,
    /// The time from which the wait counts: the submission, later by the time for which the clock
    /// was stopped.
    #[serde(with = "gx_serve::moment")]
    waiting_since: OffsetDateTime,
    /// Seconds of waiting, without those for which the clock was stopped.
    age_seconds: i64,
    /// Time by which the person must have a decision, or `null` while the clock is stopped.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    due_at: Option<OffsetDateTime>,
    /// Whether that time has passed.
    is_late: bool,
    /// Since when the reviewers wait for the person, or `null` if the clock runs.
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    stopped_at: Option<OffsetDateTime>,
    /// adminId of the reviewer whose claim lasts.
    #[schema(required, value_type = Option<String>)]
    assignee: Option<AdminId>,
    #[serde(with = "gx_serve::moment::option")]
    #[schema(required)]
    lease_until: Option<OffsetDateTime>,
}

impl QueueItem {
    fn new(row: QueueRow, target: time::Duration, now: OffsetDateTime) -> Self {
        let due = row.waiting_since + target;
        let until = row.stopped_at.unwrap_or(now);
        Self {
            age_seconds: (until - row.waiting_since).whole_seconds().max(0),
            due_at: row.stopped_at.is_none().then_some(due),
            is_late: row.stopped_at.is_none() && due < now,
            profile_id: row.profile_id,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            nationality_country_code: row.nationality_country_code,
            is_locked: row.is_locked,
            waiting_since: row.waiting_since,
            stopped_at: row.stopped_at,
            assignee: row.assignee,
            lease_until: row.lease_until,
        }
    }
}

/// Lists people under review, who has waited longest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/review/queue",
    tag = "review",
    params(QueueQuery, PageQuery<(i64, ProfileId)>),
    responses((status = 200, description = "A page of people.", body = Page<QueueItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    Query(wanted): Query<QueueQuery>,
) -> Result<Reply<Page<QueueItem>>, Problem> {
    let above = wanted.page.key().map(|(millis, id)| page_time(*millis).map(|at| (at, id.clone())));
    let above = above.transpose()?;
    let (now, target) = (state.base.clock.now(), state.review.review_target);
    let assignee = match &wanted.assignee {
        Some(WantedAssignee::Administrator(id)) => Some(id),
        Some(WantedAssignee::Nobody) | None => None,
    };
    let filter = QueueFilter {
        is_stopped: wanted.state.map(|state| state == QueueState::Stopped),
        waiting_since: (wanted.state == Some(QueueState::Late)).then(|| now - target),
        is_claimed: wanted.assignee.is_some().then_some(assignee.is_some()),
        assignee,
        country: wanted.country.as_ref().map(|country| country.0.to_string()),
        search: wanted.q.as_ref(),
    };
    let mut conn = state.base.connection().await?;
    let limit = wanted.page.limit;
    let rows = store::queue(&mut conn, &filter, above.as_ref(), limit.with_one_more()).await?;
    let key = |row: &QueueRow| {
        let millis = row.waiting_since.unix_timestamp_nanos() / 1_000_000;
        (i64::try_from(millis).expect("PostgreSQL's times fit"), row.profile_id.clone())
    };
    let target = time::Duration::try_from(target).unwrap_or(time::Duration::MAX);
    let page = Page::cut(rows, limit, key);
    Ok(Reply::ok(page.map(|row| QueueItem::new(row, target, now))))
}
