//! `GET /api/v1/admin/users` and `GET /api/v1/admin/users/{id}`.

use axum::extract::State as Axum;
use gx_model::{AccountStatus, CountryCode};
use gx_serve::fields::{Field, FieldError, Fields, FromFields, Text, text};
use gx_serve::page::{Cursor, Limit, Page};
use gx_serve::problem::ProblemBody;
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::ProfileId;
use super::store::{self, Filter, Freeze, UserDetail, UserItem, VerificationItem};
use crate::State;

/// Which people.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the fields describe the query; UserPage is what is read")]
pub(crate) struct UserQuery {
    /// An account status, such as PENDING_ADMIN_APPROVAL.
    status: Option<String>,
    /// Part of the address or name.
    q: Option<String>,
    /// ISO 3166-1 code of the nationality.
    country: Option<String>,
    /// 1 to 100, 20 by default.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

struct Status(AccountStatus);

impl Field for Status {
    fn read(value: &Value) -> Result<Self, FieldError> {
        AccountStatus::from_name(text(value)?).map(Self).ok_or_else(|| {
            let names: Vec<_> = AccountStatus::ALL.iter().map(|status| status.name()).collect();
            FieldError::new("format", format!("must be one of {}", names.join(", ")))
        })
    }
}

struct Country(CountryCode);

impl Field for Country {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let code = text(value)?.to_ascii_uppercase();
        code.parse().map(Self).map_err(|_| FieldError::new("format", "must be a code such as MY"))
    }
}

/// The page that was asked for.
pub(crate) struct UserPage {
    status: Option<Status>,
    q: Option<Text<100>>,
    country: Option<Country>,
    limit: Limit,
    above: Option<Cursor<(i64, String)>>,
}

impl FromFields for UserPage {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let status = fields.optional("status");
        let q = fields.optional("q");
        let country = fields.optional("country");
        let limit = fields.optional("limit");
        let above = fields.optional("cursor");
        let limit = limit?.unwrap_or_default();
        Some(Self { status: status?, q: q?, country: country?, limit, above: above? })
    }
}

impl UserPage {
    /// The key above which the page starts.
    fn key(&self) -> Result<Option<(OffsetDateTime, String)>, Problem> {
        let Some(Cursor((millis, id))) = &self.above else { return Ok(None) };
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(*millis) * 1_000_000);
        // PostgreSQL's calendar begins later than ours; nobody registered before 1970.
        let at = at.ok().filter(|at| *at >= OffsetDateTime::UNIX_EPOCH);
        at.map(|at| Some((at, id.clone()))).ok_or_else(|| {
            Problem::invalid(vec![gx_serve::problem::InvalidField {
                pointer: "/cursor".to_owned(),
                code: "format",
                message: "must be a nextCursor of an earlier page".to_owned(),
            }])
        })
    }
}

/// A person and what the ledger says of payments.
#[derive(Serialize, ToSchema)]
struct Person {
    #[serde(flatten)]
    detail: UserDetail,
    /// Absent until the person is on the ledger.
    #[schema(required)]
    freeze: Option<Freeze>,
}

/// A person with every submission and decision.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    user: Person,
    verifications: Vec<VerificationItem>,
}

/// People in the order of their registration.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    tag = "users",
    params(UserQuery),
    responses((status = 200, description = "A page of people.", body = Page<UserItem>))
)]
pub(crate) async fn list(
    Axum(state): Axum<State>,
    Query(page): Query<UserPage>,
) -> Result<Reply<Page<UserItem>>, Problem> {
    let above = page.key()?;
    let filter = Filter {
        status: page.status.as_ref().map(|status| status.0.name()),
        country: page.country.as_ref().map(|country| country.0.to_string()),
        text: page.q.as_ref().map(|text| text.0.as_str()),
    };
    let mut conn = state.base.connection().await?;
    let rows = store::list(&mut conn, &filter, above.as_ref(), page.limit.with_one_more()).await?;
    let millis = |row: &UserItem| row.created_at.unix_timestamp_nanos() / 1_000_000;
    let key = |row: &UserItem| {
        let millis = i64::try_from(millis(row)).expect("PostgreSQL's times fit");
        (millis, row.profile_id.clone())
    };
    Ok(Reply::ok(Page::cut(rows, page.limit, key)))
}

/// One person.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}",
    tag = "users",
    params(("id" = String, Path, description = "profileId")),
    responses(
        (status = 200, description = "The person.", body = UserBody),
        (status = 404, description = "`no_user`.", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(
    Axum(state): Axum<State>,
    ProfileId(id): ProfileId,
) -> Result<Reply<UserBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let detail = store::get(&mut conn, &id).await?.ok_or_else(super::no_user)?;
    let freeze = store::freeze(&mut conn, &id).await?;
    let verifications = store::verifications(&mut conn, &id).await?;
    Ok(Reply::ok(UserBody { user: Person { detail, freeze }, verifications }))
}
