//! SQL that sets up a session, for [`super::Session::prepare`]. It is not checked against the
//! schema, because it must run without one.

use sqlx::PgConnection;

/// Sets each value until the session ends. Names that the server does not know are skipped.
pub(super) async fn set_all(
    conn: &mut PgConnection,
    values: &[(String, String)],
) -> sqlx::Result<()> {
    let (names, values): (Vec<_>, Vec<_>) = values.iter().cloned().unzip();
    sqlx::query(
        "SELECT set_config(name, value, false)
         FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
         WHERE current_setting(name, true) IS NOT NULL",
    )
    .bind(names)
    .bind(values)
    .execute(conn)
    .await
    .map(drop)
}

pub(super) async fn add_to_name(conn: &mut PgConnection, purpose: &str) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT set_config('application_name',
                           left(current_setting('application_name') || ' ' || $1, 63), false)",
    )
    .bind(purpose)
    .execute(conn)
    .await
    .map(drop)
}
