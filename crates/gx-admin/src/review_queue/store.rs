//! SQL of the queue. Called by the routes of the parent module and by the check `review`.

use gx_db::{AdminId, PgConnection, ProfileId};
use time::OffsetDateTime;

use crate::users::Search;

/// Filters of the queue; `None` matches all.
pub(crate) struct QueueFilter<'a> {
    /// Whether the clock is stopped.
    pub(crate) is_stopped: Option<bool>,
    /// People who have waited since before then.
    pub(crate) waiting_since: Option<OffsetDateTime>,
    /// Whether somebody's lease lasts.
    pub(crate) is_claimed: Option<bool>,
    pub(crate) assignee: Option<&'a AdminId>,
    pub(crate) country: Option<String>,
    pub(crate) search: Option<&'a Search>,
}

/// A person in the queue.
pub(crate) struct QueueRow {
    pub(crate) profile_id: ProfileId,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: Option<String>,
    pub(crate) nationality_country_code: Option<String>,
    pub(crate) is_locked: bool,
    pub(crate) waiting_since: OffsetDateTime,
    pub(crate) stopped_at: Option<OffsetDateTime>,
    /// Who has claimed the person, if that lease lasts.
    pub(crate) assignee: Option<AdminId>,
    pub(crate) lease_until: Option<OffsetDateTime>,
}

/// Numbers of people under review.
pub(crate) struct QueueCount {
    pub(crate) waiting: i64,
    /// Of these, those whose clock runs and who have waited too long.
    pub(crate) late: i64,
}

/// Returns people under review after the time and id in `above`, who has waited longest first.
/// Reads the index of the queue in its order.
pub(crate) async fn queue(
    conn: &mut PgConnection,
    filter: &QueueFilter<'_>,
    above: Option<&(OffsetDateTime, ProfileId)>,
    limit: i64,
) -> Result<Vec<QueueRow>, sqlx::Error> {
    let (since, profile_id) = above.map(|(at, id)| (*at, id.as_str())).unzip();
    sqlx::query_as!(
        QueueRow,
        r#"SELECT p."profileId" AS profile_id, email, "firstName" AS first_name,
                  nullif("lastName", '') AS last_name,
                  "nationalityCountryCode" AS nationality_country_code, "isLocked" AS is_locked,
                  coalesce("reviewSince", "createdAt") AS "waiting_since!",
                  "reviewStoppedAt" AS stopped_at, c."adminId" AS "assignee?: AdminId",
                  c."leaseUntil" AS "lease_until?"
           FROM "UserProfile" p
           LEFT JOIN "ReviewClaim" c
               ON c."profileId" = p."profileId" AND c."leaseUntil" > clock_timestamp()
           WHERE status = 'PENDING_ADMIN_APPROVAL'
             AND ($1::boolean IS NULL OR ("reviewStoppedAt" IS NOT NULL) = $1)
             AND ($2::timestamptz IS NULL OR coalesce("reviewSince", "createdAt") < $2)
             AND ($3::boolean IS NULL OR (c."adminId" IS NOT NULL) = $3)
             AND ($4::text IS NULL OR c."adminId" = $4)
             AND ($5::text IS NULL OR "nationalityCountryCode" = $5)
             AND ($6::text IS NULL
                  OR position($6 IN
                     "SearchForm"(email || ' ' || "firstName" || ' ' || "lastName")) > 0
                  OR position($7 IN coalesce(mailbox, email)) > 0)
             AND ($8::timestamptz IS NULL
                  OR (coalesce("reviewSince", "createdAt"), p."profileId") > ($8, $9))
           ORDER BY coalesce("reviewSince", "createdAt"), p."profileId"
           LIMIT $10"#,
        filter.is_stopped,
        filter.waiting_since,
        filter.is_claimed,
        filter.assignee.map(AdminId::as_str),
        filter.country,
        filter.search.map(|search| search.name.as_str()),
        filter.search.map(|search| search.address.as_str()),
        since,
        profile_id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Counts the people under review, and those who have waited since before `due`.
pub(crate) async fn count(
    conn: &mut PgConnection,
    due: OffsetDateTime,
) -> Result<QueueCount, sqlx::Error> {
    sqlx::query_as!(
        QueueCount,
        r#"SELECT count(*) AS "waiting!",
                  count(*) FILTER (WHERE "reviewStoppedAt" IS NULL
                      AND coalesce("reviewSince", "createdAt") < $1) AS "late!"
           FROM "UserProfile" WHERE status = 'PENDING_ADMIN_APPROVAL'"#,
        due,
    )
    .fetch_one(conn)
    .await
}
