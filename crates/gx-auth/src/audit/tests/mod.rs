//! The audit log in a database: sealing, and everything that somebody with the database's password
//! could do to it.

mod copies;

use gx_db::testing::TestDatabase;
use gx_model::Clock;
use gx_serve::Entropy;
use serde_json::json;
use sqlx::AssertSqlSafe;
use time::macros::datetime;

use super::chain;
use super::content::{ChainRow, GENESIS, StoredEntry};
use super::*;

/// A log in a database of its own.
struct Log {
    database: TestDatabase,
    clock: Clock,
    entropy: Entropy,
    sealer: Sealer,
}

impl Log {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::manual(datetime!(2026-01-01 12:00 UTC));
        let sealer = Sealer::new(database.pool().clone(), clock.clone());
        Self { database, clock, entropy: Entropy::seeded(1), sealer }
    }

    /// Appends entries, each in a transaction of its own.
    async fn append(&self, count: i64) {
        let mut conn = self.database.connection().await;
        for n in 0..count {
            let after = Some(json!({ "number": n, "a": { "c": 1, "b": [true, null] } }));
            let actor = Actor::System("a test");
            let entry = Entry { after, ..Entry::new(actor, "sample.made", "Sample", None, None) };
            super::append(&mut conn, entry, self.clock.now()).await.unwrap();
        }
    }

    /// Appends an entry about an object, with a reason and perhaps notes.
    async fn append_with_texts(&self, target_id: &str, reason: &str, notes: Option<&str>) {
        let actor = Actor::System("a test");
        let entry = Entry {
            after: Some(json!({ "isLocked": true })),
            ..Entry::new(actor, "user.locked", "UserProfile", Some(target_id), None)
        };
        let entry = entry.with_text("reason", Some(reason), &self.entropy);
        let entry = entry.with_text("notes", notes, &self.entropy);
        let mut conn = self.database.connection().await;
        super::append(&mut conn, entry, self.clock.now()).await.unwrap();
    }

    async fn erase(&self, selection: TextSelection<'_>) -> Result<Erasure, EraseError> {
        let by = (Actor::System("a test"), "asked for by the person");
        let mut conn = self.database.connection().await;
        super::erase(&mut conn, selection, by, &self.entropy, self.clock.now()).await
    }

    /// Returns whether any row of the log contains a text.
    async fn contains(&self, text: &str) -> bool {
        sqlx::query_scalar(
            r#"SELECT EXISTS (SELECT FROM "AuditEntry" e WHERE e::text LIKE '%' || $1 || '%')
                   OR EXISTS (SELECT FROM "AuditText" t WHERE t::text LIKE '%' || $1 || '%')"#,
        )
        .bind(text)
        .fetch_one(self.database.pool())
        .await
        .unwrap()
    }

    async fn verify(&self) -> Result<Verified, String> {
        let mut conn = self.database.connection().await;
        super::verify(&mut conn).await.map_err(|error| error.to_string())
    }

    /// Returns the first fault, without its remedy.
    async fn fault(&self) -> String {
        let error = self.verify().await.unwrap_err();
        error.split(';').next().unwrap_or_default().to_owned()
    }

    async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.database.pool()).await.unwrap();
    }

    /// Does something that only the owner of the tables can do.
    async fn tamper(&self, sql: &str) {
        let (off, on) = ["DISABLE", "ENABLE"].map(trigger_switches).into();
        self.sql(&format!("{off} {sql}; {on}")).await;
    }
}

fn trigger_switches(verb: &str) -> String {
    let append_only = ["AuditLog", "AuditEntry", "AuditBatch", "AuditSealed"]
        .map(|table| format!(r#"ALTER TABLE "{table}" {verb} TRIGGER "{table}_append_only";"#))
        .join(" ");
    format!(r#"{append_only} ALTER TABLE "AuditText" {verb} TRIGGER "AuditText_erase_only";"#)
}

/// LOG-03: entries, batches and their lists can only be added.
#[tokio::test]
async fn log_03_the_audit_log_is_only_added_to() {
    let log = Log::new().await;
    log.append(1).await;
    assert_eq!(log.sealer.step().await.unwrap(), 1);
    for table in ["AuditLog", "AuditEntry", "AuditBatch", "AuditSealed"] {
        let sql = AssertSqlSafe(format!(r#"DELETE FROM "{table}""#));
        let refused = sqlx::raw_sql(sql).execute(log.database.pool()).await.unwrap_err();
        let refused = refused.into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some("AuditLog_append_only"), "{table}");
    }
}

/// LOG-03: an entry that was edited, removed, added or moved after it was sealed is named, and so
/// is a batch that was edited or removed.
#[tokio::test]
async fn log_03_what_was_changed_after_sealing_is_named() {
    let log = Log::new().await;
    for _ in 0..3 {
        log.append(4).await;
        assert_eq!(log.sealer.step().await.unwrap(), 4);
    }
    log.append(2).await;
    let verified = log.verify().await.unwrap();
    assert_eq!((verified.chain_rows, verified.sealed, verified.unsealed), (0, 12, 2));
    assert_eq!(verified.last_batch.map(|batch| batch.number), Some(3));

    // Each is undone before the next.
    for (forward, back, fault) in [
        (
            r#"UPDATE "AuditEntry" SET after = after || '{"number": 7}' WHERE seq = 6"#,
            r#"UPDATE "AuditEntry" SET after = after || '{"number": 1}' WHERE seq = 6"#,
            "entry 6 of the audit log was changed",
        ),
        (
            r#"CREATE TABLE kept AS SELECT * FROM "AuditEntry" WHERE seq = 7;
               DELETE FROM "AuditEntry" WHERE seq = 7"#,
            r#"INSERT INTO "AuditEntry" OVERRIDING SYSTEM VALUE SELECT * FROM kept;
               DROP TABLE kept"#,
            "entry 7 of the audit log is missing",
        ),
        (
            r#"INSERT INTO "AuditEntry" (seq, at, "actorType", action, "targetType")
               OVERRIDING SYSTEM VALUE VALUES (99, now(), 'SYSTEM', 'forged', 'Sample')"#,
            r#"DELETE FROM "AuditEntry" WHERE seq = 99"#,
            "entry 99 of the audit log neither is sealed nor waits: it was added by hand, or taken \
             from the queue",
        ),
        (
            r#"DELETE FROM "AuditUnsealed" WHERE seq = 13"#,
            r#"INSERT INTO "AuditUnsealed" VALUES (13, '2026-01-01 12:00Z')"#,
            "entry 13 of the audit log neither is sealed nor waits: it was added by hand, or taken \
             from the queue",
        ),
        (
            r#"UPDATE "AuditSealed" SET position = position + 10 WHERE seq = 2;
               UPDATE "AuditSealed" SET position = 1 WHERE seq = 3;
               UPDATE "AuditSealed" SET position = 2 WHERE seq = 2"#,
            r#"UPDATE "AuditSealed" SET position = 10 WHERE seq = 2;
               UPDATE "AuditSealed" SET position = 2 WHERE seq = 3;
               UPDATE "AuditSealed" SET position = 1 WHERE seq = 2"#,
            "batch 1 of the audit log was changed",
        ),
        (
            r#"UPDATE "AuditBatch" SET "sealedAt" = "sealedAt" + interval '1 s' WHERE number = 2"#,
            r#"UPDATE "AuditBatch" SET "sealedAt" = "sealedAt" - interval '1 s' WHERE number = 2"#,
            "batch 2 of the audit log was changed",
        ),
        (
            r#"CREATE TABLE kept AS SELECT * FROM "AuditSealed" WHERE batch = 2;
               CREATE TABLE batch AS SELECT * FROM "AuditBatch" WHERE number = 2;
               DELETE FROM "AuditSealed" WHERE batch = 2; DELETE FROM "AuditBatch" WHERE number = 2"#,
            r#"INSERT INTO "AuditBatch" SELECT * FROM batch;
               INSERT INTO "AuditSealed" SELECT * FROM kept; DROP TABLE kept, batch"#,
            "batch 2 of the audit log is missing",
        ),
    ] {
        log.tamper(forward).await;
        assert_eq!(log.fault().await, fault);
        log.tamper(back).await;
        assert_eq!(log.verify().await.unwrap().sealed, 12, "{fault}: undone");
    }
}

/// LOG-03: the chain of earlier releases is batch 0. It stays verified, also the rows that such a
/// release adds while it is being replaced.
#[tokio::test]
async fn log_03_the_chain_of_earlier_releases_stays_verified() {
    let log = Log::new().await;
    let mut previous = GENESIS.to_vec();
    for seq in 1..=3 {
        previous = add_chain_row(&log, seq, previous).await;
    }
    assert_eq!(log.sealer.step().await.unwrap(), 0);
    add_chain_row(&log, 4, previous).await;
    log.append(2).await;
    assert_eq!(log.sealer.step().await.unwrap(), 2);
    let verified = log.verify().await.unwrap();
    assert_eq!((verified.chain_rows, verified.sealed), (4, 2));

    log.tamper(r#"UPDATE "AuditLog" SET action = 'other' WHERE seq = 2"#).await;
    assert_eq!(log.fault().await, "row 2 of the audit log was changed");
    log.tamper(r#"UPDATE "AuditLog" SET action = 'sample.made' WHERE seq = 2"#).await;
    log.tamper(r#"DELETE FROM "AuditLog" WHERE seq = 4"#).await;
    assert_eq!(log.fault().await, "row 4 of the audit log is missing");
}

/// Adds a row as earlier releases did, and returns its hash.
async fn add_chain_row(log: &Log, seq: i64, previous_hash: Vec<u8>) -> Vec<u8> {
    let entry = StoredEntry {
        seq,
        at: log.clock.now(),
        actor_type: "SYSTEM".to_owned(),
        actor_id: None,
        action: "sample.made".to_owned(),
        target_type: "Sample".to_owned(),
        target_id: None,
        before: None,
        after: Some(json!({ "b": 1, "a": 2 })),
        request_id: None,
    };
    let row = ChainRow { entry, previous_hash, hash: Vec::new() };
    let hash = chain::hash(&row);
    sqlx::query(
        r#"INSERT INTO "AuditLog" (seq, at, "actorType", action, "targetType", after,
               "previousHash", hash) VALUES ($1, $2, 'SYSTEM', 'sample.made', 'Sample', $3, $4, $5)"#,
    )
    .bind(seq)
    .bind(row.entry.at)
    .bind(row.entry.after)
    .bind(row.previous_hash)
    .bind(&hash)
    .execute(log.database.pool())
    .await
    .unwrap();
    hash
}

/// LOG-03: a proof leads from the content of an entry to the root of its batch, whose hash contains
/// the root; an entry that is in no batch has none.
#[tokio::test]
async fn log_03_a_proof_leads_from_an_entry_to_its_batch() {
    let log = Log::new().await;
    log.append(5).await;
    assert_eq!(log.sealer.step().await.unwrap(), 5);
    log.append(1).await;
    let mut conn = log.database.connection().await;
    for seq in 1..=5 {
        let proof = prove(&mut conn, seq).await.unwrap();
        assert_eq!(proof.batch, 1);
        let leaf = merkle::leaf(proof.entry.as_bytes());
        assert_eq!(hex::encode(leaf), proof.leaf_hash);
        let hash = |text: &str| <[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap();
        let root = proof.path.iter().fold(leaf, |node, side| match side {
            Side::Left(other) => merkle::parent(&hash(other), &node),
            Side::Right(other) => merkle::parent(&node, &hash(other)),
        });
        assert_eq!(hex::encode(root), proof.root, "entry {seq}");
    }
    let waiting = prove(&mut conn, 6).await.unwrap_err().to_string();
    assert!(waiting.starts_with("entry 6 is in no batch"), "{waiting}");
}

/// LOG-03: numbers of transactions that were rolled back are no gaps, and two sealers seal each
/// entry once.
#[tokio::test]
async fn log_03_rolled_back_numbers_are_no_gaps_and_entries_are_sealed_once() {
    let log = Log::new().await;
    log.append(1).await;
    let mut conn = log.database.connection().await;
    let mut given_up = sqlx::Connection::begin(&mut conn).await.unwrap();
    let person = ProfileId::from("p1".to_owned());
    let entry = Entry::new(Actor::User(&person), "sample.made", "Sample", Some("p1"), Some("r1"));
    super::append(&mut given_up, entry, log.clock.now()).await.unwrap();
    given_up.rollback().await.unwrap();
    log.append(40).await;
    let other = Sealer::new(log.database.pool().clone(), log.clock.clone());
    let (one, two) = tokio::join!(log.sealer.step(), other.step());
    assert_eq!(one.unwrap() + two.unwrap(), 41);
    assert_eq!(log.verify().await.unwrap().sealed, 41);
}

/// LOG-03: what people have written is apart from the entries and can be erased, with a record. The
/// log stays verified, before and after the entry is sealed, and so do proofs.
#[tokio::test]
async fn log_03_texts_are_erased_and_the_log_stays_verified() {
    let log = Log::new().await;
    log.append_with_texts("p1", "seen in the tavern", Some("asked her neighbour")).await;
    log.append_with_texts("p2", "seen in the tavern", None).await;
    log.append(1).await;
    let sealed: String =
        sqlx::query_scalar(r#"SELECT string_agg(e::text, '') FROM "AuditEntry" e"#)
            .fetch_one(log.database.pool())
            .await
            .unwrap();
    assert!(!sealed.contains("tavern") && !sealed.contains("neighbour"), "{sealed}");
    assert_eq!(log.sealer.step().await.unwrap(), 3);
    let mut conn = log.database.connection().await;
    let proof = prove(&mut conn, 1).await.unwrap();

    let erased = log.erase(TextSelection::About("p1")).await.unwrap();
    let text = |field: &str| ErasedText { entry: 1, field: field.to_owned() };
    assert_eq!((erased.recorded_by, &erased.texts), (4, &vec![text("notes"), text("reason")]));
    assert!(!log.contains("neighbour").await);
    assert!(log.contains("tavern").await, "the other person's stays");
    // A text of an entry that is not sealed yet is erased, too: here the reason of the erasure.
    let own = log.erase(TextSelection::Entries(&[2, 4, 4, 99])).await.unwrap();
    assert_eq!(own.texts.iter().map(|text| text.entry).collect::<Vec<_>>(), [2, 4]);
    assert!(!log.contains("tavern").await);
    for nothing in [TextSelection::Entries(&[1, 2, 3]), TextSelection::About("nobody")] {
        let refused = log.erase(nothing).await.unwrap_err();
        assert!(matches!(refused, EraseError::Nothing), "{refused}");
    }
    assert_eq!(log.verify().await.unwrap().unsealed, 2);
    assert_eq!(log.sealer.step().await.unwrap(), 2);
    assert_eq!(log.verify().await.unwrap().sealed, 5);
    assert_eq!(prove(&mut conn, 1).await.unwrap(), proof);
}

/// LOG-03: a text that was edited, removed, added or erased without a record is found; the table
/// itself allows nothing but an erasure.
#[tokio::test]
async fn log_03_a_text_that_was_changed_is_named() {
    let log = Log::new().await;
    log.append_with_texts("p1", "seen in the tavern", Some("asked her neighbour")).await;
    log.append_with_texts("p2", "seen in the tavern", None).await;
    log.append(1).await;
    log.erase(TextSelection::Entries(&[2])).await.unwrap();
    assert_eq!(log.sealer.step().await.unwrap(), 4);
    log.verify().await.unwrap();
    for sql in [
        r#"UPDATE "AuditText" SET text = 'seen at home' WHERE seq = 1"#,
        r#"UPDATE "AuditText" SET salt = '\x00' WHERE seq = 1"#,
        r#"UPDATE "AuditText" SET salt = '\x00', text = 'back', "erasedBy" = NULL WHERE seq = 2"#,
        r#"DELETE FROM "AuditText""#,
        r#"TRUNCATE "AuditText""#,
    ] {
        let refused = sqlx::raw_sql(sql).execute(log.database.pool()).await.unwrap_err();
        let refused = refused.into_database_error().unwrap();
        let constraint = refused.constraint().unwrap();
        assert!(["AuditText_erase_only", "AuditLog_append_only"].contains(&constraint), "{sql}");
    }

    const CHANGED: &str = "a text of entry 1 of the audit log was changed, removed or added";
    const UNRECORDED: &str = "a text of entry 1 of the audit log was erased without a record";
    let kept = r#"CREATE TABLE kept AS SELECT * FROM "AuditText" WHERE seq = 1;"#;
    let back = r#"DELETE FROM "AuditText" WHERE seq = 1;
                  INSERT INTO "AuditText" SELECT * FROM kept; DROP TABLE kept"#;
    let erased = r#"UPDATE "AuditText" SET salt = NULL, text = NULL, "erasedBy" = "#;
    for (change, fault) in [
        (r#"UPDATE "AuditText" SET text = 'seen at home' WHERE seq = 1"#.to_owned(), CHANGED),
        (r#"UPDATE "AuditText" SET salt = '\x00' WHERE seq = 1"#.to_owned(), CHANGED),
        (r#"DELETE FROM "AuditText" WHERE seq = 1 AND field = 'notes'"#.to_owned(), CHANGED),
        (r#"INSERT INTO "AuditText" VALUES (1, 'isLocked', '\x00', 'no')"#.to_owned(), CHANGED),
        // By no entry, by one with another action, and by one that records another text.
        (format!("{erased} 99 WHERE seq = 1"), UNRECORDED),
        (format!("{erased} 3 WHERE seq = 1"), UNRECORDED),
        (format!("{erased} 4 WHERE seq = 1"), UNRECORDED),
    ] {
        log.tamper(&format!("{kept} {change}")).await;
        assert_eq!(log.fault().await, fault, "{change}");
        log.tamper(back).await;
        log.verify().await.unwrap();
    }
    log.tamper(r#"INSERT INTO "AuditText" VALUES (77, 'reason', '\x00', 'of no entry')"#).await;
    assert!(log.fault().await.starts_with("a text of entry 77"));
}
