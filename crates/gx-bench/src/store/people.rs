//! Adds people who are approved and not on the ledger. Called by `people::add` for each part of the
//! people.

use sqlx::{PgConnection, query};

/// Adds people whose Fabric User IDs are reserved by their commands.
pub(crate) async fn add(
    conn: &mut PgConnection,
    profiles: &[String],
    countries: &[String],
    user_ids: &[String],
    command_ids: &[String],
) -> Result<(), sqlx::Error> {
    query(
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
               "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", status,
               "onchainStatus", "createdAt", "updatedAt")
           SELECT id, 'Sarah', 'Johnson', id || '@gxtest.com', repeat('x', 97), '1992-08-20',
                  'female', country, 'APPROVED_PENDING_ONCHAIN', 'PENDING', now(), now()
           FROM unnest($1::text[], $2::text[]) AS new (id, country)"#,
    )
    .bind(profiles)
    .bind(countries)
    .execute(&mut *conn)
    .await?;
    query(
        r#"INSERT INTO "FabricIdReservation" ("fabricUserId", "profileId", "commandId",
                                              "reservedAt")
           SELECT *, now() FROM unnest($1::text[], $2::text[], $3::text[])"#,
    )
    .bind(user_ids)
    .bind(profiles)
    .bind(command_ids)
    .execute(conn)
    .await
    .map(drop)
}
