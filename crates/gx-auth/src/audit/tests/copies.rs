//! Erasures of texts that other tables contain, too, and how the log is read.

use super::*;

/// Adds a person whose account is locked, with a review and commands: one that an operator has
/// discarded, one that is archived, and one that the submitter gave up.
const PERSON: &str = r#"
    INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
        "dateOfBirth", gender, "isLocked", "lockReason", "lockNotes", "createdAt", "updatedAt")
    VALUES ('p1', 'A', 'B', 'a@example.com', 'x', '1990-01-01', 'female', true,
            'seen in the tavern', 'asked her neighbour', now(), now());
    INSERT INTO "KYCVerification" ("verificationId", "profileId", submission, status, "submittedAt",
        "decidedAt", "decidedBy", "reasonCode", finality, "publicComment", "privateComment")
    VALUES ('v1', 'p1', 1, 'DENIED', now(), now(), 'a', 'OTHER', 'RETRY', 'in the tavern',
            'her neighbour says so');
    INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey", lane,
        touches, "profileId", "requestedBy", "nextAttemptAt", "createdAt", "updatedAt", status,
        "settledAt", "giveUp")
    SELECT id, 'CREATE_USER', '{}', 'ADMIN', id, 0, '{}', owner, 'a', '2026-01-01Z', '2026-01-01Z',
           '2026-01-01Z', status, CASE status WHEN 'DISCARDED' THEN '2026-01-01Z'::timestamptz END,
           jsonb_build_object('to', status, 'reason', 'seen in the tavern', 'by', by)
    FROM (VALUES ('c1', 'p1', 'DISCARDED', 'a'), ('c2', 'p1', 'DISCARDED', 'gx outbox'),
                 ('c3', 'p1', 'DEAD', 'submitter'), ('c4', NULL, 'DISCARDED', 'a'))
        AS given (id, owner, status, by);
    SELECT "Archive_month"('2026-01-01Z');
    INSERT INTO "OutboxArchive" SELECT * FROM "OutboxCommand" WHERE "commandId" = 'c2';
    DELETE FROM "OutboxCommand" WHERE "commandId" = 'c2'"#;

impl Log {
    /// Appends an entry of a discard, with its reason.
    async fn append_discard(&self, command: Option<&str>, many: &[&str]) {
        let actor = Actor::System("a test");
        let entry = Entry {
            after: Some(if many.is_empty() { json!({}) } else { json!({ "commandIds": many }) }),
            ..Entry::new(actor, "command.discarded", "OutboxCommand", command, None)
        };
        let entry = entry.with_text("reason", Some("seen in the tavern"), &self.entropy);
        let mut conn = self.database.connection().await;
        super::append(&mut conn, entry, self.clock.now()).await.unwrap();
    }

    /// Returns in which rows a text is.
    async fn rows_with(&self, text: &str) -> Vec<String> {
        sqlx::query_scalar(
            r#"SELECT id FROM (
                   SELECT 'account ' || "profileId" AS id, p::text AS row FROM "UserProfile" p
                   UNION ALL SELECT 'review ' || "verificationId", v::text FROM "KYCVerification" v
                   UNION ALL SELECT 'command ' || "commandId", c::text FROM "OutboxHistory" c
                   UNION ALL SELECT 'document ' || "documentId", d::text FROM "KYCDocument" d
                   UNION ALL SELECT 'request ' || type, r::text FROM "DocumentRequest" r
                   UNION ALL SELECT 'proposal ' || "proposalId", o::text FROM "Proposal" o
                   UNION ALL SELECT 'entry ' || seq, t::text FROM "AuditText" t) AS rows
               WHERE row LIKE '%' || $1 || '%' ORDER BY id"#,
        )
        .bind(text)
        .fetch_all(self.database.pool())
        .await
        .unwrap()
    }
}

/// LOG-03, PRIV-01: an erasure about a person also takes the texts of entries about the person's
/// commands, and the copies in other tables: the lock of the account, comments of reviews, and
/// reasons of discarded commands, also archived ones, and of other commands that an erased entry
/// names. Texts of this program stay.
#[tokio::test]
async fn log_03_an_erasure_about_a_person_takes_the_copies() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.append_with_texts("p1", "seen in the tavern", Some("asked her neighbour")).await;
    log.append_discard(Some("c1"), &[]).await;
    log.append_discard(None, &["c4", "c2"]).await;
    log.append_discard(Some("c4"), &[]).await;
    assert_eq!(log.sealer.step().await.unwrap(), 4);
    let erased = log.erase(TextSelection::About("p1")).await.unwrap();
    let entries: Vec<i64> = erased.texts.iter().map(|text| text.entry).collect();
    assert_eq!((entries, erased.copies), (vec![1, 1, 2, 3], 5));
    assert_eq!(log.rows_with("neighbour").await, Vec::<String>::new());
    assert_eq!(log.rows_with("tavern").await, ["command c3", "entry 4"]);
    let kept: bool = sqlx::query_scalar(
        r#"SELECT bool_and("giveUp" ->> 'to' = 'DISCARDED' AND "giveUp" ? 'by')
           FROM "OutboxHistory" WHERE "commandId" IN ('c1', 'c2')"#,
    )
    .fetch_one(log.database.pool())
    .await
    .unwrap();
    assert!(kept, "who discarded a command stays");
    assert_eq!(log.sealer.step().await.unwrap(), 1);
    log.verify().await.unwrap();
    let refused = log.erase(TextSelection::About("p1")).await.unwrap_err();
    assert!(matches!(refused, EraseError::Nothing), "{refused}");

    // About a command, of which the log has a text.
    let erased = log.erase(TextSelection::About("c4")).await.unwrap();
    assert_eq!((erased.texts.len(), erased.copies), (1, 0));
    assert_eq!(log.rows_with("tavern").await, ["command c3"]);
}

/// LOG-03: an erasure of entries takes the copies of their texts: the reason of each command that
/// an entry names, and of a lock only what is the same text.
#[tokio::test]
async fn log_03_an_erasure_of_entries_takes_the_copies() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.append_discard(None, &["c4", "c2"]).await;
    log.append_with_texts("p1", "an earlier lock", Some("asked her neighbour")).await;
    assert_eq!(log.erase(TextSelection::Entries(&[1])).await.unwrap().copies, 2);
    let tavern = ["account p1", "command c1", "command c3", "review v1"];
    assert_eq!(log.rows_with("tavern").await, tavern);
    assert_eq!(log.erase(TextSelection::Entries(&[2])).await.unwrap().copies, 1);
    assert_eq!(log.rows_with("tavern").await, tavern, "another lock's reason");
    assert_eq!(log.rows_with("neighbour").await, ["review v1"]);
}

/// LOG-03: an erasure of entries leaves the present reason of a command if it is another text than
/// that of the entry.
#[tokio::test]
async fn log_03_an_erasure_of_entries_leaves_another_reason() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.append_discard(Some("c1"), &[]).await;
    log.append_discard(None, &["c4", "c2"]).await;
    log.sql(
        r#"UPDATE "OutboxCommand" SET "giveUp" = jsonb_set("giveUp", '{reason}', '"said later"')
           WHERE "commandId" IN ('c1', 'c4')"#,
    )
    .await;
    assert_eq!(log.erase(TextSelection::Entries(&[1, 2])).await.unwrap().copies, 1);
    assert_eq!(log.rows_with("said later").await, ["command c1", "command c4"]);
    assert_eq!(log.rows_with("tavern").await, ["account p1", "command c3", "review v1"]);
}

/// LOG-03: an erasure about a person finds the entries that name one of the person's commands,
/// however many other entries about many commands there are.
#[tokio::test]
async fn log_03_an_erasure_about_a_person_reads_all_entries_about_many_commands() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.append_discard(None, &["c4", "c2"]).await;
    log.sql(
        r#"INSERT INTO "AuditEntry" (at, "actorType", action, "targetType", after)
           SELECT '2026-01-01Z', 'SYSTEM', 'command.retried', 'OutboxCommand',
                  '{"commandIds": ["c4"]}' FROM generate_series(1, 2500)"#,
    )
    .await;
    log.append_discard(None, &["c1"]).await;
    let erased = log.erase(TextSelection::About("p1")).await.unwrap();
    let entries: Vec<i64> = erased.texts.iter().map(|text| text.entry).collect();
    assert_eq!(entries, [1, 2_502]);
}

/// Adds an administrator who has proposed something about the person, and comments on documents.
const REVIEWED: &str = r#"
    INSERT INTO "AdminUser" ("adminId", email, "displayName", role, "passwordHash", "createdAt",
        "updatedAt")
    VALUES ('a', 'a@gxtest.com', 'A', 'ADMIN', 'none', now(), now());
    INSERT INTO "Proposal" ("proposalId", act, "targetId", arguments, texts, "proposedBy",
        "proposedAt", "expiresAt")
    VALUES ('o1', 'RESET_USER_FACTORS', 'p1', '{}',
            '{"reason": "met in the tavern", "notes": "asked her neighbour"}', 'a', now(), now()),
           ('o2', 'PAUSE', 'SYSTEM', '{}', '{"reason": null, "notes": "after the tavern"}', 'a',
            now(), now());
    INSERT INTO "KYCDocument" ("documentId", "profileId", type, status, "storageKey", sha256, size,
        "mimeType", "uploadedAt", "publicComment")
    VALUES ('d1', 'p1', 'PASSPORT', 'REJECTED', 'd1', repeat('0a', 32), 1, 'image/png', now(),
            'taken in the tavern');
    INSERT INTO "DocumentRequest" ("profileId", type, "publicComment", "askedBy", "askedAt")
    VALUES ('p1', 'PASSPORT', 'not in the tavern', 'a', now())"#;

impl Log {
    /// Appends an entry about a proposal, with its reason and notes.
    async fn append_proposal(&self, proposal: &str, reason: Option<&str>, notes: &str) {
        let actor = Actor::System("a test");
        let entry = Entry::new(actor, "proposal.opened", "Proposal", Some(proposal), None);
        let entry = entry.with_text("reason", reason, &self.entropy);
        let entry = entry.with_text("notes", Some(notes), &self.entropy);
        let mut conn = self.database.connection().await;
        super::append(&mut conn, entry, self.clock.now()).await.unwrap();
    }
}

/// LOG-03, PRIV-01: an erasure about a person takes the texts of open proposals about the person,
/// in the log and in the proposals, and the comments on documents; proposals about others keep
/// theirs.
#[tokio::test]
async fn priv_01_an_erasure_about_a_person_takes_the_texts_of_open_proposals() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.sql(REVIEWED).await;
    log.append_proposal("o1", Some("met in the tavern"), "asked her neighbour").await;
    log.append_proposal("o2", None, "after the tavern").await;
    let erased = log.erase(TextSelection::About("p1")).await.unwrap();
    let entries: Vec<i64> = erased.texts.iter().map(|text| text.entry).collect();
    // The lock, the review, the document, the request, the proposal and two commands.
    assert_eq!((entries, erased.copies, erased.held), (vec![1, 1], 7, 0));
    let others = ["command c3", "command c4", "entry 2", "proposal o2"];
    assert_eq!(log.rows_with("tavern").await, others);
    assert_eq!(log.rows_with("neighbour").await, Vec::<String>::new());
    let open: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "Proposal" WHERE state = 'OPEN'"#)
        .fetch_one(log.database.pool())
        .await
        .unwrap();
    assert_eq!(open, 2, "what is proposed stays");
}

/// LOG-03: an erasure of entries takes the same texts of open proposals, and leaves the others.
#[tokio::test]
async fn log_03_an_erasure_of_entries_takes_the_texts_of_proposals() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.sql(REVIEWED).await;
    log.append_proposal("o1", Some("met in the tavern"), "another note").await;
    assert_eq!(log.erase(TextSelection::Entries(&[1])).await.unwrap().copies, 1);
    let texts: serde_json::Value =
        sqlx::query_scalar(r#"SELECT texts FROM "Proposal" WHERE "proposalId" = 'o1'"#)
            .fetch_one(log.database.pool())
            .await
            .unwrap();
    assert_eq!(texts, json!({ "reason": null, "notes": "asked her neighbour" }));
}

/// PRIV-01: no text about an account on legal hold is erased, also not with an entry that names
/// commands of several people; the end of the hold permits it.
#[tokio::test]
async fn priv_01_texts_about_an_account_on_legal_hold_stay() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.sql(REVIEWED).await;
    log.append_with_texts("p1", "seen in the tavern", None).await;
    log.append_proposal("o1", None, "asked her neighbour").await;
    log.append_discard(None, &["c4", "c2"]).await;
    log.append_discard(Some("c4"), &[]).await;
    log.sql(r#"UPDATE "UserProfile" SET "legalHoldAt" = now(), "legalHoldBy" = 'a'"#).await;
    for selection in [TextSelection::About("p1"), TextSelection::About("c1")] {
        let refused = log.erase(selection).await.unwrap_err();
        assert!(matches!(refused, EraseError::OnLegalHold), "{refused}");
    }
    let refused = log.erase(TextSelection::Entries(&[1, 2, 3])).await.unwrap_err();
    assert!(matches!(refused, EraseError::OnLegalHold), "{refused}");
    let erased = log.erase(TextSelection::Entries(&[3, 4])).await.unwrap();
    let entries: Vec<i64> = erased.texts.iter().map(|text| text.entry).collect();
    assert_eq!((entries, erased.held), (vec![4], 1));
    log.sql(r#"UPDATE "UserProfile" SET "legalHoldAt" = NULL, "legalHoldBy" = NULL"#).await;
    assert_eq!(log.erase(TextSelection::About("p1")).await.unwrap().texts.len(), 3);
}

/// Tables that the checks and erasures read.
const READ_TABLES: &str = "SELECT sum(seq_scan)::bigint FROM pg_stat_user_tables
    WHERE relname LIKE 'Audit%' OR relname LIKE 'Outbox%' OR relname IN ('UserProfile',
        'KYCVerification', 'KYCDocument', 'DocumentRequest', 'Proposal', 'TotpFactor', 'TokenKey', 'HttpIdempotency')";

/// LOG-03, DB-09: a check, an erasure and the count of keys have an index for each statement, so
/// that none reads a whole table. Without sequential scans the planner takes one only where it has
/// no index.
#[tokio::test]
async fn log_03_no_statement_needs_to_read_a_whole_table() {
    let log = Log::new().await;
    log.sql(PERSON).await;
    log.append_with_texts("p1", "seen in the tavern", None).await;
    log.append_discard(None, &["c4", "c2"]).await;
    log.sealer.step().await.unwrap();
    log.append(1).await;
    let mut conn = log.database.connection().await;
    // Other sessions report their scans when they end.
    log.database.pool().close().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut conn).await.unwrap() > 0 {}
    let run = async |conn: &mut PgConnection, sql: &'static str| {
        sqlx::raw_sql(sql).execute(conn).await.unwrap();
    };
    run(&mut conn, "SET enable_seqscan = off; SELECT pg_stat_force_next_flush()").await;
    let scans = async |conn: &mut PgConnection| -> i64 {
        run(conn, "SELECT pg_stat_force_next_flush()").await;
        sqlx::query_scalar(READ_TABLES).fetch_one(conn).await.unwrap()
    };
    let before = scans(&mut conn).await;
    super::verify(&mut conn).await.unwrap();
    super::position(&mut conn).await.unwrap();
    prove(&mut conn, 1).await.unwrap();
    let ring = crate::testing::key_ring(Entropy::seeded(1));
    crate::key_ring::rotation::rotate(&mut conn, &ring, |_| ()).await.unwrap();
    for selection in [TextSelection::Entries(&[2]), TextSelection::About("p1")] {
        let by = (Actor::System("a test"), "asked for");
        super::erase(&mut conn, selection, by, &log.entropy, log.clock.now()).await.unwrap();
    }
    assert_eq!(scans(&mut conn).await, before);
    run(&mut conn, r#"SELECT count(*) FROM "AuditEntry" WHERE after IS NULL"#).await;
    assert_eq!(scans(&mut conn).await, before + 1, "a scan is counted");
}

/// LOG-03: a check reads tables in parts, and misses no row of a later one.
#[tokio::test]
async fn log_03_a_check_in_parts_finds_a_row_of_the_last_part() {
    let log = Log::new().await;
    log.sql(
        r#"INSERT INTO "AuditEntry" (at, "actorType", action, "targetType")
           SELECT '2026-01-01Z', 'SYSTEM', 'sample.made', 'Sample' FROM generate_series(1, 25000);
           INSERT INTO "AuditUnsealed" SELECT seq, at FROM "AuditEntry""#,
    )
    .await;
    assert_eq!(log.verify().await.unwrap().unsealed, 25_000);
    log.sql(r#"DELETE FROM "AuditUnsealed" WHERE seq = 24999"#).await;
    assert!(log.fault().await.starts_with("entry 24999 of the audit log neither is sealed"));
    log.sql(
        r#"INSERT INTO "AuditUnsealed" VALUES (24999, now());
           INSERT INTO "AuditText" SELECT n, 'reason', '\x00', 'of no entry'
           FROM generate_series(1, 25001) n"#,
    )
    .await;
    assert!(log.fault().await.starts_with("a text of entry 25001 of the audit log"));
}
