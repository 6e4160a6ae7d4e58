//! The clock of a review, on a migrated database.

use gx_db::ProfileId;
use gx_db::testing::TestDatabase;
use sqlx::PgConnection;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::{resume, stop};

const SUBMITTED: OffsetDateTime = datetime!(2026-03-01 12:00:00 UTC);

async fn since(conn: &mut PgConnection) -> OffsetDateTime {
    sqlx::query_scalar(r#"SELECT "reviewSince" FROM "UserProfile""#).fetch_one(conn).await.unwrap()
}

async fn set_status(conn: &mut PgConnection, status: &str, at: OffsetDateTime) {
    sqlx::query(r#"UPDATE "UserProfile" SET status = $1, "updatedAt" = $2"#)
        .bind(status)
        .bind(at)
        .execute(conn)
        .await
        .unwrap();
}

/// KYC-05: the clock starts at each submission; the time while it is stopped
/// does not count, and stopping or resuming it twice changes nothing.
#[tokio::test]
async fn kyc_05_the_clock_of_a_review_can_be_stopped() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let person = ProfileId::from("sarah".to_owned());
    sqlx::query(
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
               "dateOfBirth", gender, "createdAt", "updatedAt")
           VALUES ('sarah', 'Sarah', '', 'sarah@gxtest.com', 'x', '1992-08-20', 'female', $1, $1)"#,
    )
    .bind(SUBMITTED - Duration::days(30))
    .execute(&mut conn)
    .await
    .unwrap();
    assert!(!stop(&mut conn, &person, SUBMITTED).await.unwrap(), "not under review");
    set_status(&mut conn, "PENDING_ADMIN_APPROVAL", SUBMITTED).await;
    assert_eq!(since(&mut conn).await, SUBMITTED);

    let asked = SUBMITTED + Duration::hours(3);
    assert!(stop(&mut conn, &person, asked).await.unwrap());
    assert!(!stop(&mut conn, &person, asked + Duration::hours(1)).await.unwrap());
    assert!(resume(&mut conn, &person, asked + Duration::hours(5)).await.unwrap());
    assert!(!resume(&mut conn, &person, asked + Duration::hours(9)).await.unwrap());
    assert_eq!(since(&mut conn).await, SUBMITTED + Duration::hours(5));

    assert!(stop(&mut conn, &person, asked + Duration::hours(6)).await.unwrap());
    let again = SUBMITTED + Duration::days(2);
    set_status(&mut conn, "DENIED", again).await;
    assert!(!resume(&mut conn, &person, again).await.unwrap(), "a decision ends the clock");
    set_status(&mut conn, "PENDING_ADMIN_APPROVAL", again).await;
    assert_eq!(since(&mut conn).await, again);
}
