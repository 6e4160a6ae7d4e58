//! HTTP routes `GET /api/v1/admin/users` and `GET /api/v1/admin/users/{id}`, registered by
//! [`crate::service`]. A `Problem` is the answer to the client.

use axum::extract::State;
use gx_auth::email;
use gx_db::ProfileId;
use gx_model::{AccountStatus, CountryCode};
use gx_serve::characters;
use gx_serve::fields::{Field, FieldError, Fields, FromFields, text};
use gx_serve::page::{Page, PageQuery};
use gx_serve::{Problem, Query, Reply};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::ProfilePath;
use super::store::{
    self, ClaimItem, Freeze, Search, UserDetail, UserFilter, UserItem, VerificationItem,
};
use crate::ServiceState;
use crate::administrator_id::GivenAdminId;

/// Filters and page of a list of people.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// An account status, such as PENDING_ADMIN_APPROVAL.
    #[param(value_type = Option<String>)]
    status: Option<AccountStatus>,
    /// Part of the e-mail address or name, in any case and normalisation form; at most 100
    /// characters.
    #[param(value_type = Option<String>)]
    q: Option<Search>,
    /// ISO 3166-1 code of the nationality.
    #[param(value_type = Option<String>)]
    country: Option<Country>,
    /// adminId of the reviewer whose claim lasts.
    #[param(value_type = Option<String>)]
    assignee: Option<GivenAdminId>,
    #[param(ignore)]
    page: PageQuery<(i64, ProfileId)>,
}

/// The country of a filter, in any case.
pub(crate) struct Country(pub(crate) CountryCode);

impl Field for Country {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let code = text(value)?.to_ascii_uppercase();
        code.parse().map(Self).map_err(|_| FieldError::new("format", "must be a code such as MY"))
    }
}

impl Field for Search {
    fn read(value: &Value) -> Result<Self, FieldError> {
        const LIMIT: usize = 100;
        let given = text(value)?;
        if given.chars().count() > LIMIT {
            return Err(FieldError::new(
                "too_long",
                format!("must have at most {LIMIT} characters"),
            ));
        }
        if let Some(control) = given.chars().find(|c| c.is_control()) {
            let message = format!("must not have {}", characters::named(control));
            return Err(FieldError::new("format", message));
        }
        Ok(Self { name: characters::search_form(given), address: email::search_form(given) })
    }
}

impl FromFields for UserQuery {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let (status, q) = (fields.optional("status"), fields.optional("q"));
        let (country, assignee) = (fields.optional("country"), fields.optional("assignee"));
        let page = PageQuery::from_fields(fields)?;
        Some(Self { status: status?, q: q?, country: country?, assignee: assignee?, page })
    }
}

impl UserQuery {
    /// Returns the time and id of the last row of the previous page.
    fn key(&self) -> Result<Option<(OffsetDateTime, ProfileId)>, Problem> {
        let Some((millis, id)) = self.page.key() else { return Ok(None) };
        Ok(Some((page_time(*millis)?, id.clone())))
    }
}

/// Returns the time in a cursor, or the problem of a cursor that no page had.
pub(crate) fn page_time(millis: i64) -> Result<OffsetDateTime, Problem> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    // PostgreSQL refuses very early dates that `time` allows; nobody registered before 1970.
    let at = at.ok().filter(|at| *at >= OffsetDateTime::UNIX_EPOCH);
    at.ok_or_else(|| {
        Problem::invalid(vec![gx_serve::problem::InvalidField {
            pointer: "/cursor".to_owned(),
            code: "format",
            message: "must be a nextCursor of an earlier page".to_owned(),
        }])
    })
}

/// A person with the state of the wallet.
#[derive(Serialize, ToSchema)]
struct Person {
    #[serde(flatten)]
    detail: UserDetail,
    /// State of the wallet, or `null` until the person is on the ledger.
    #[schema(required)]
    freeze: Option<Freeze>,
    /// The reviewer whose claim lasts, or `null` if there is none.
    #[schema(required)]
    claim: Option<ClaimItem>,
}

/// A person with all submissions and decisions.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserBody {
    user: Person,
    verifications: Vec<VerificationItem>,
}

/// Lists people in the order of their registration.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    tag = "users",
    params(UserQuery, PageQuery<(i64, ProfileId)>),
    responses((status = 200, description = "A page of people.", body = Page<UserItem>))
)]
pub(crate) async fn list(
    State(state): State<ServiceState>,
    Query(wanted): Query<UserQuery>,
) -> Result<Reply<Page<UserItem>>, Problem> {
    let above = wanted.key()?;
    let filter = UserFilter {
        status: wanted.status,
        country: wanted.country.as_ref().map(|country| country.0.to_string()),
        assignee: wanted.assignee.as_ref().map(|id| &id.0),
        search: wanted.q.as_ref(),
    };
    let mut conn = state.base.connection().await?;
    let limit = wanted.page.limit;
    let rows = store::list(&mut conn, &filter, above.as_ref(), limit.with_one_more()).await?;
    let millis = |row: &UserItem| row.created_at.unix_timestamp_nanos() / 1_000_000;
    let key = |row: &UserItem| {
        let millis = i64::try_from(millis(row)).expect("PostgreSQL's times fit");
        (millis, row.profile_id.clone())
    };
    Ok(Reply::ok(Page::cut(rows, limit, key)))
}

/// Returns one person, with all submissions and decisions.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}",
    tag = "users",
    params(("id" = String, Path, description = "profileId")),
    responses((status = 200, description = "The person.", body = UserBody))
)]
pub(crate) async fn get(
    State(state): State<ServiceState>,
    ProfilePath(id): ProfilePath,
) -> Result<Reply<UserBody>, Problem> {
    let mut conn = state.base.connection().await?;
    let detail = store::get(&mut conn, &id).await?.ok_or_else(super::no_user)?;
    let freeze = store::freeze(&mut conn, &id).await?;
    let claim = store::claim(&mut conn, &id).await?;
    let verifications = store::verifications(&mut conn, &id).await?;
    Ok(Reply::ok(UserBody { user: Person { detail, freeze, claim }, verifications }))
}
