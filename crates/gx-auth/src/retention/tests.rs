//! The removal of expired rows.

use gx_db::testing::TestDatabase;
use sqlx::PgConnection;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

async fn run(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap();
}

/// Adds 450 expired answers, one that is kept a little longer, and one that is in force.
async fn add_answers(conn: &mut PgConnection) {
    run(
        conn,
        r#"INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status,
               "contentType", body, "createdAt", "expiresAt")
           SELECT 'a', 'r', n::text, '\x00', 200, '', '', '2026-02-01',
                  CASE n WHEN 451 THEN '2026-03-01 11:30Z'::timestamptz
                         WHEN 452 THEN '2026-03-01 13:00Z'
                         ELSE '2026-02-02Z'::timestamptz + n * interval '1 second' END
           FROM generate_series(1, 452) n"#,
    )
    .await;
}

async fn answers(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar(r#"SELECT count(*) FROM "HttpIdempotency""#).fetch_one(conn).await.unwrap()
}

/// Returns the number of removed rows of each table, and whether none is left.
async fn step(sweeper: &mut Sweeper, conn: &mut PgConnection) -> (Vec<u64>, bool) {
    let step = sweeper.step(conn, NOW, Turn::IfFree).await;
    assert!(!step.is_elsewhere, "nobody else removes rows");
    (rows(step.tables), step.is_over)
}

fn rows(tables: Vec<SweptRows>) -> Vec<u64> {
    tables.into_iter().map(|table| table.rows.unwrap()).collect()
}

/// DB-09, PRIV-01: expired rows are removed in batches, after the time that the setting of their
/// table gives; a dry run counts the same rows and removes none.
#[tokio::test]
async fn db_09_expired_rows_are_removed_in_batches() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    add_answers(&mut conn).await;
    run(
        &mut conn,
        r#"INSERT INTO "SignInFailure" ("addressHash", failures, "lastFailedAt") VALUES
               (decode(repeat('01', 32), 'hex'), 1, '2026-02-28 12:00Z'),
               (decode(repeat('02', 32), 'hex'), 1, '2026-02-28 12:01Z');
           INSERT INTO "AdminUser" ("adminId", email, "displayName", role, "passwordHash",
               "createdAt", "updatedAt")
           VALUES ('a', 'a@gxtest.com', 'A', 'ADMIN', 'none', '2024-01-01', '2024-01-01');
           INSERT INTO "AdminSession" ("sessionId", "adminId", "refreshHash", "refreshId",
               "rotatedAt", "createdAt", "lastUsedAt", "expiresAt")
           VALUES ('old', 'a', '\x01', 'r', '2025-01-01', '2025-01-01', '2025-01-01', '2025-01-02'),
                  ('new', 'a', '\x02', 'r', '2026-01-01', '2026-01-01', '2026-01-01', '2026-01-02');
           INSERT INTO "PasskeyChallenge" ("challengeId", challenge, realm, "expiresAt") VALUES
               ('old', '\x01', 'user', '2026-03-01 11:59:58Z'),
               ('new', '\x02', 'admin', '2026-03-01 12:00Z');
           INSERT INTO "QueuedMail" ("mailId", kind, content, "contentKeyVersion", state,
               "nextAttemptAt", "expiresAt", "createdAt", "settledAt")
           VALUES ('sent', 'NEW_DEVICE', NULL, 1, 'SENT', now(), now(), now(), '2026-02-01'),
                  ('newer', 'NEW_DEVICE', NULL, 1, 'SENT', now(), now(), now(), '2026-02-28'),
                  ('waiting', 'NEW_DEVICE', '\x00', 1, 'WAITING', now(), now(), '2026-01-01', NULL);
           INSERT INTO "MailToken" ("tokenId", purpose, "adminId", address, "tokenHash",
               "createdAt", "codeExpiresAt", "expiresAt")
           VALUES ('t', 'VERIFY_EMAIL', 'a', 'a@gxtest.com', '\x00', '2026-02-01', '2026-02-01',
                   '2026-02-01');
           INSERT INTO "KnownDevice" ("deviceHash", "adminId", "clientHash", "createdAt",
               "lastUsedAt", "expiresAt")
           VALUES ('\x00', 'a', '\x00', '2025-01-01', '2025-01-01', '2026-01-01');
           INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
               "dateOfBirth", gender, "createdAt", "updatedAt")
           VALUES ('p', 'P', '', 'p@gxtest.com', 'none', '1990-01-01', 'female', '2026-01-01',
                   '2026-01-01'),
                  ('q', 'Q', '', 'q@gxtest.com', 'none', '1990-01-01', 'female', '2026-01-01',
                   '2026-01-01');
           INSERT INTO "ReviewClaim" ("profileId", "adminId", "leaseUntil")
           VALUES ('p', 'a', '2026-03-01 10:59Z'), ('q', 'a', '2026-03-01 11:01Z');
           INSERT INTO "AdminInvitation" ("adminId", "expiresAt") VALUES ('a', '2026-01-30')"#,
    )
    .await;
    let settings = RetentionSettings::default();
    let counted = expired(&mut conn, &settings, NOW).await;
    let counted: Vec<_> = counted.into_iter().map(|one| (one.table, one.rows.unwrap())).collect();
    let expected = [
        ("HttpIdempotency", 450),
        ("UserSession", 0),
        ("AdminSession", 1),
        ("SignInFailure", 1),
        ("PasskeyChallenge", 1),
        ("QueuedMail", 1),
        ("MailToken", 1),
        ("KnownDevice", 1),
        ("ReviewClaim", 1),
        ("AdminInvitation", 1),
    ];
    assert_eq!(counted, expected);
    assert_eq!(answers(&mut conn).await, 452);

    let mut sweeper = Sweeper::new(settings);
    assert_eq!(step(&mut sweeper, &mut conn).await, (vec![200, 0, 1, 1, 1, 1, 1, 1, 1, 1], false));
    let answers_alone = |rows: u64| [&[rows][..], &[0; 9]].concat();
    assert_eq!(step(&mut sweeper, &mut conn).await, (answers_alone(200), false));
    assert_eq!(step(&mut sweeper, &mut conn).await, (answers_alone(50), true));
    assert_eq!(step(&mut sweeper, &mut conn).await, (answers_alone(0), true));
    assert_eq!(answers(&mut conn).await, 2);
}

/// DB-09: while an old snapshot keeps removed rows, a step reads a bounded number of pages: it
/// begins where the last one ended. Without the cursor it would read the whole index, as the first
/// step of another sweeper does.
#[tokio::test]
async fn db_09_a_step_does_not_read_removed_rows_again() {
    const ROWS: i64 = 40_000;
    const PAGES: i64 = 20;
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    sqlx::query(
        r#"INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status,
               "contentType", body, "createdAt", "expiresAt")
           SELECT 'a', 'r', n::text, '\x00', 200, '', '', '2026-02-01',
                  '2026-02-02Z'::timestamptz + n * interval '1 second'
           FROM generate_series(1, $1) n"#,
    )
    .bind(ROWS)
    .execute(&mut conn)
    .await
    .unwrap();
    run(&mut conn, r#"ANALYZE "HttpIdempotency""#).await;
    let mut old = database.connection().await;
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    assert_eq!(answers(&mut old).await, ROWS);
    let mut sweeper = Sweeper::new(RetentionSettings::default());
    while !step(&mut sweeper, &mut conn).await.1 {}
    assert_eq!((answers(&mut conn).await, answers(&mut old).await), (0, ROWS));

    let before = pages(&mut conn).await;
    step(&mut sweeper, &mut conn).await;
    let read = pages(&mut conn).await - before;
    assert!(read <= PAGES, "a step has read {read} pages of the index");

    let before = pages(&mut conn).await;
    step(&mut Sweeper::new(RetentionSettings::default()), &mut conn).await;
    let whole = pages(&mut conn).await - before;
    assert!(whole > 2 * PAGES, "the index has {whole} pages, too few to tell the two apart");
}

/// Returns how many pages of the index of expiry times have been read.
async fn pages(conn: &mut PgConnection) -> i64 {
    run(conn, "SELECT pg_stat_force_next_flush()").await;
    sqlx::query_scalar(
        "SELECT idx_blks_read + idx_blks_hit FROM pg_statio_user_indexes
         WHERE indexrelname = 'HttpIdempotency_expiresAt_idx'",
    )
    .fetch_one(conn)
    .await
    .unwrap()
}

/// DB-09: one process at a time removes rows, and rows that a session has locked are removed later.
#[tokio::test]
async fn db_09_one_process_removes_rows_and_waits_for_nobody() {
    let database = TestDatabase::create().await;
    let (mut conn, mut other) = (database.connection().await, database.connection().await);
    add_answers(&mut conn).await;
    let mut sweeper = Sweeper::new(RetentionSettings::default());
    run(&mut other, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('gx retention', 0))")
        .await;
    let elsewhere = sweeper.step(&mut conn, NOW, Turn::IfFree).await;
    assert_eq!((elsewhere.is_elsewhere, elsewhere.is_over), (true, true));
    assert_eq!(rows(elsewhere.tables), [0; 10]);
    run(&mut other, "ROLLBACK").await;

    run(&mut other, r#"BEGIN; SELECT FROM "HttpIdempotency" WHERE key = '1' FOR UPDATE"#).await;
    while !step(&mut sweeper, &mut conn).await.1 {}
    assert_eq!(answers(&mut conn).await, 3);
    run(&mut other, "ROLLBACK").await;
    assert_eq!(step(&mut sweeper, &mut conn).await.0[0], 0, "the cursor is behind the row");
    let tomorrow = NOW + CURSOR_LIFE;
    sweeper.step(&mut conn, tomorrow, Turn::IfFree).await;
    assert_eq!(answers(&mut conn).await, 0, "all have expired by then");
}

/// DB-09: a command of an operator waits while another process has its turn, also for longer than
/// one wait for a lock, and then removes what is left.
#[tokio::test]
async fn db_09_a_command_waits_for_the_turn_of_another_process() {
    let database = TestDatabase::create().await;
    let (mut conn, mut other) = (database.connection().await, database.connection().await);
    add_answers(&mut conn).await;
    run(&mut conn, "SET lock_timeout = '500ms'").await;
    run(&mut other, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('gx retention', 0))")
        .await;
    let mut sweeper = Sweeper::new(RetentionSettings::default());
    let mut watcher = database.connection().await;
    let waiting = sweeper.step(&mut conn, NOW, Turn::Waiting);
    // The other one ends its turn when a second wait has begun.
    let (step, ()) = tokio::join!(waiting, async {
        let mut waits = std::collections::BTreeSet::new();
        while waits.len() < 2 {
            let since: Option<OffsetDateTime> = sqlx::query_scalar(
                "SELECT query_start FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_optional(&mut watcher)
            .await
            .unwrap();
            waits.extend(since);
        }
        run(&mut other, "ROLLBACK").await;
    });
    assert!(!step.is_elsewhere);
    assert_eq!(rows(step.tables)[..2], [200, 0]);
}

/// DB-09: a table that fails holds back no other: the pass goes on to its end, and the next one
/// tries the table again.
#[tokio::test]
async fn db_09_a_table_that_fails_holds_back_no_other() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    add_answers(&mut conn).await;
    run(
        &mut conn,
        r#"INSERT INTO "SignInFailure" ("addressHash", failures, "lastFailedAt")
           SELECT decode(lpad(to_hex(n), 64, '0'), 'hex'), 1, '2026-02-01Z'
           FROM generate_series(1, 250) n;
           ALTER TABLE "UserSession" RENAME TO kept"#,
    )
    .await;
    let mut sweeper = Sweeper::new(RetentionSettings::default());
    let mut removed = [0; 10];
    let mut failures = 0;
    loop {
        let step = sweeper.step(&mut conn, NOW, Turn::Waiting).await;
        for (sum, table) in removed.iter_mut().zip(step.tables) {
            match table.rows {
                Ok(rows) => *sum += rows,
                Err(_) => {
                    assert_eq!(table.table, "UserSession");
                    failures += 1;
                }
            }
        }
        if step.is_over {
            break;
        }
    }
    let expected = [450, 0, 0, 250, 0, 0, 0, 0, 0, 0];
    assert_eq!((removed, failures), (expected, 1), "it is tried once a pass");
    assert!(expired(&mut conn, &RetentionSettings::default(), NOW).await[1].rows.is_err());

    run(&mut conn, r#"ALTER TABLE kept RENAME TO "UserSession""#).await;
    assert_eq!(step(&mut sweeper, &mut conn).await, (vec![0; 10], true));
}

/// PRIV-01: sessions and devices of an account on legal hold stay, also in the count of a dry run,
/// and the end of the hold resumes their removal.
#[tokio::test]
async fn priv_01_a_legal_hold_keeps_sessions_and_devices() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    run(
        &mut conn,
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
               "dateOfBirth", gender, "createdAt", "updatedAt", "legalHoldAt", "legalHoldBy")
           SELECT id, id, '', id || '@gxtest.com', 'none', '1990-01-01', 'female', '2025-01-01',
                  '2025-01-01', CASE id WHEN 'held' THEN '2025-06-01'::timestamptz END,
                  CASE id WHEN 'held' THEN 'a' END
           FROM (VALUES ('held'), ('free')) AS person (id);
           INSERT INTO "UserSession" ("sessionId", "profileId", "refreshHash", "refreshId",
               "rotatedAt", "createdAt", "lastUsedAt", "expiresAt")
           SELECT id, id, decode(md5(id), 'hex'), 'r', '2025-01-01', '2025-01-01', '2025-01-01',
                  '2025-01-02'
           FROM (VALUES ('held'), ('free')) AS person (id);
           INSERT INTO "KnownDevice" ("deviceHash", "profileId", "clientHash", "createdAt",
               "lastUsedAt", "expiresAt")
           SELECT decode(md5(id), 'hex'), id, '\x00', '2025-01-01', '2025-01-01', '2026-01-01'
           FROM (VALUES ('held'), ('free')) AS person (id)"#,
    )
    .await;
    let settings = RetentionSettings::default();
    let mut sweeper = Sweeper::new(settings.clone());
    let expected = vec![0, 1, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(rows(expired(&mut conn, &settings, NOW).await), expected);
    assert_eq!(step(&mut sweeper, &mut conn).await, (expected.clone(), true));
    assert_eq!(rows(expired(&mut conn, &settings, NOW).await), [0; 10]);
    let kept: Vec<String> = sqlx::query_scalar(
        r#"SELECT "profileId" FROM "UserSession" UNION ALL SELECT "profileId" FROM "KnownDevice""#,
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(kept, ["held", "held"]);

    run(&mut conn, r#"UPDATE "UserProfile" SET "legalHoldAt" = NULL, "legalHoldBy" = NULL"#).await;
    assert_eq!(step(&mut Sweeper::new(settings), &mut conn).await, (expected, true));
}

#[test]
fn failures_are_kept_as_long_as_they_count() {
    assert!(at_least_a_day("23h").unwrap_err().contains("24h"));
    assert_eq!(at_least_a_day("2d").unwrap(), Duration::from_hours(48));
}
