//! The erasure of people: what is removed, what is kept, and who may be erased.

use gx_db::testing::TestDatabase;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-30 12:00 UTC);
/// Adds a person with rows in every table that has facts about people.
const SARAH: &str = r#"
    INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, mailbox, "phoneNum",
        "identityNum", "passwordHash", "dateOfBirth", gender, "nationalityCountryCode", status,
        "lockReason", "lockNotes", "closedAt", "createdAt", "updatedAt")
    VALUES ('p', 'Sarah', 'Johnson', 'sarah@gxtest.com', 'sarah@gxtest.com', '+60123456790',
        'A1234567', 'hash', '1992-08-20', 'female', 'MY', 'CLOSED', 'Sarah asked', 'by Sarah',
        '2026-11-01', '2026-01-01', '2026-11-01');
    INSERT INTO "KYCVerification" ("verificationId", "profileId", status, submission, "submittedAt",
        "publicComment", "privateComment")
    VALUES ('v', 'p', 'PENDING', 1, '2026-10-01', 'Dear Sarah', 'Sarah looks nice');
    INSERT INTO "UserSession" ("sessionId", "profileId", "refreshHash", "refreshId", "rotatedAt",
        "createdAt", "lastUsedAt", "expiresAt", "userAgent")
    VALUES ('s', 'p', '\x01', 'r', '2026-11-01', '2026-11-01', '2026-11-01', '2027-01-01',
        'phone of Sarah');
    INSERT INTO "KnownDevice" ("deviceHash", "profileId", "clientHash", "createdAt", "lastUsedAt",
        "expiresAt")
    VALUES ('\x00', 'p', '\x00', '2026-01-01', '2026-01-01', '2027-01-01');
    INSERT INTO "MailToken" ("tokenId", purpose, "profileId", address, "tokenHash", "createdAt",
        "codeExpiresAt", "expiresAt")
    VALUES ('t', 'VERIFY_EMAIL', 'p', 'sarah@gxtest.com', '\x00', '2026-11-01', '2026-11-01',
        '2026-11-01');
    INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status, "contentType", body,
        "createdAt", "expiresAt")
    VALUES ('p', 'r', 'k', '\x00', 200, 'application/json', 'Sarah', '2026-11-30', '2026-12-01')"#;

fn erasure(profile_id: &ProfileId) -> PersonErasure<'_> {
    PersonErasure {
        profile_id,
        erased_at: NOW,
        reason_code: "REQUESTED",
        reason: Some("she asked by letter"),
        documents: 2,
    }
}

async fn erase(conn: &mut PgConnection) -> bool {
    let id = ProfileId::from("p".to_owned());
    erase_person(conn, &erasure(&id), &Entropy::seeded(1), NOW).await.unwrap()
}

async fn readiness(conn: &mut PgConnection, id: &str) -> ErasureReadiness {
    lock_for_erasure(conn, &ProfileId::from(id.to_owned())).await.unwrap()
}

/// Returns the tables with a row that contains a text, whatever its case.
async fn tables_with(conn: &mut PgConnection, text: &str) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let sql = format!(r#"SELECT count(*) FROM "{table}" AS t WHERE t::text ILIKE $1"#);
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(format!("%{text}%"))
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        if rows > 0 {
            found.push(table);
        }
    }
    found
}

/// PRIV-01: after an erasure no table has a name, an address, a number or a comment about the
/// person. The account stays closed, the audit log has the erasure, and a repetition changes
/// nothing.
#[tokio::test]
async fn priv_01_no_table_has_anything_of_an_erased_person() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    sqlx::raw_sql(SARAH).execute(&mut conn).await.unwrap();
    assert!(tables_with(&mut conn, "sarah").await.len() > 3);
    assert!(erase(&mut conn).await);
    for word in ["sarah", "johnson", "60123456790", "A1234567", "1992-08-20"] {
        assert_eq!(tables_with(&mut conn, word).await, Vec::<String>::new(), "{word}");
    }
    let (status, deleted_at): (String, Option<OffsetDateTime>) =
        sqlx::query_as(r#"SELECT status, "deletedAt" FROM "UserProfile""#)
            .fetch_one(&mut conn)
            .await
            .unwrap();
    assert_eq!((status.as_str(), deleted_at), ("CLOSED", Some(NOW)));
    assert!(!erase(&mut conn).await);
    let entries: Vec<Value> =
        sqlx::query_scalar(r#"SELECT after FROM "AuditEntry" WHERE action = 'user.erased'"#)
            .fetch_all(&mut conn)
            .await
            .unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0]["reasonCode"], &entries[0]["documents"]),
        (&"REQUESTED".into(), &2.into())
    );
}

/// CRY-03: if a restored database has an erased person as active, the erasure closes the account;
/// if it does not have the person, nothing fails.
#[tokio::test]
async fn cry_03_an_active_account_is_closed_by_its_erasure() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    assert!(!erase(&mut conn).await);
    let active = AssertSqlSafe(SARAH.replace("'CLOSED'", "'ACTIVE'"));
    sqlx::raw_sql(active).execute(&mut conn).await.unwrap();
    assert!(erase(&mut conn).await);
    let status: String = sqlx::query_scalar(r#"SELECT status FROM "UserProfile""#)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(status, "CLOSED");
}

/// PRIV-01: only closed accounts without a legal hold may be erased. A hold stops the retention,
/// and its end resumes it; the first closed comes first.
#[tokio::test]
async fn priv_01_a_legal_hold_stops_the_erasure_and_its_end_resumes_it() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let due = async |conn: &mut PgConnection, until: OffsetDateTime| {
        let people = lock_due_people(conn, until, 10).await.unwrap();
        assert_eq!(people.len() as u64, count_due_people(conn, until).await.unwrap());
        people.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    sqlx::query(
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
               "dateOfBirth", gender, status, "closedAt", "createdAt", "updatedAt")
           SELECT id, 'A', 'B', id || '@gxtest.com', 'x', '1990-01-01', 'male', status, closed,
                  '2026-01-01', '2026-11-05'
           FROM (VALUES ('late', 'CLOSED', '2026-11-20'::timestamptz),
                        ('early', 'CLOSED', '2026-11-01'), ('imported', 'CLOSED', NULL),
                        ('open', 'ACTIVE', NULL)) AS given (id, status, closed)"#,
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let until = datetime!(2026-11-10 0:00 UTC);
    assert_eq!(due(&mut conn, until).await, ["early", "imported"]);
    assert_eq!(due(&mut conn, NOW).await, ["early", "imported", "late"]);
    assert_eq!(readiness(&mut conn, "open").await, ErasureReadiness::NotClosed);
    assert_eq!(readiness(&mut conn, "nobody").await, ErasureReadiness::NoAccount);

    let hold = r#"UPDATE "UserProfile" SET "legalHoldAt" = now(), "legalHoldBy" = 'a'
                  WHERE "profileId" = 'early'"#;
    sqlx::query(hold).execute(&mut conn).await.unwrap();
    assert_eq!(due(&mut conn, until).await, ["imported"]);
    assert_eq!(readiness(&mut conn, "early").await, ErasureReadiness::OnHold);
    let end = r#"UPDATE "UserProfile" SET "legalHoldAt" = NULL, "legalHoldBy" = NULL"#;
    sqlx::query(end).execute(&mut conn).await.unwrap();
    assert_eq!(due(&mut conn, until).await, ["early", "imported"]);
    assert_eq!(readiness(&mut conn, "early").await, ErasureReadiness::Ready);
    let id = ProfileId::from("early".to_owned());
    assert!(erase_person(&mut conn, &erasure(&id), &Entropy::seeded(1), NOW).await.unwrap());
    assert_eq!(readiness(&mut conn, "early").await, ErasureReadiness::ErasedBefore);
    assert_eq!(due(&mut conn, until).await, ["imported"]);
}
