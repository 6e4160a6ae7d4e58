//! Compares the rules of the schema with the rules of the code.

use std::collections::BTreeSet;

use gx_model::{
    AccountStatus, AttemptState, CommandKind, CommandStatus, DenialFinality, FabricUserId,
    OnchainStatus, SubmissionStatus, TaskState,
};
use sqlx::postgres::PgQueryResult;
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};

use crate::testing::TestDatabase;

async fn insert_profile(conn: &mut PgConnection, id: &str, status: &str) {
    sqlx::query(
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
               "dateOfBirth", gender, "nationalityCountryCode", status, "createdAt", "updatedAt")
           VALUES ($1, 'Ann', 'Other', $1 || '@example.com', 'x', '1990-01-01', 'female', 'MY',
               $2, now(), now())"#,
    )
    .bind(id)
    .bind(status)
    .execute(conn)
    .await
    .unwrap();
}

async fn insert_command(conn: &mut PgConnection, kind: &str) -> sqlx::Result<PgQueryResult> {
    sqlx::query(
        r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey",
               lane, touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
           VALUES ('c-' || $1, $1, '{}', 'ADMIN', 'a', 0, '{}', 'test', now(), now(), now())"#,
    )
    .bind(kind)
    .execute(conn)
    .await
}

/// Returns the constraint that an error names.
fn broken<T: std::fmt::Debug>(result: sqlx::Result<T>) -> String {
    let error = result.unwrap_err();
    let database = error.as_database_error().expect("the database refused");
    database.constraint().unwrap_or_default().to_owned()
}

/// OUT-02: the database accepts each command of the one list and no other.
#[tokio::test]
async fn out_02_each_listed_command_is_accepted_and_an_unlisted_one_refused() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    for kind in CommandKind::ALL {
        insert_command(&mut conn, kind.name()).await.unwrap();
    }
    for kind in ["MINT", "create_user", ""] {
        assert_eq!(broken(insert_command(&mut conn, kind).await), "OutboxCommand_kind_known");
    }
}

/// The database accepts the statuses that the code knows, and no other.
#[tokio::test]
async fn the_statuses_of_the_schema_are_those_of_the_code() {
    let database = TestDatabase::create().await;
    let permitted = r#"SELECT DISTINCT name[1] FROM pg_constraint c
                       JOIN pg_class t ON t.oid = c.conrelid
                       CROSS JOIN regexp_matches(pg_get_constraintdef(c.oid), '''([A-Z_]+)''', 'g')
                           AS name
                       WHERE c.conname = $1 AND t.relnamespace <> 'gx_rebuild'::regnamespace"#;
    for (constraint, names) in [
        ("UserProfile_status_known", AccountStatus::ALL.map(AccountStatus::name).to_vec()),
        ("UserProfile_onchainStatus_known", OnchainStatus::ALL.map(OnchainStatus::name).to_vec()),
        (
            "KYCVerification_status_known",
            SubmissionStatus::ALL.map(SubmissionStatus::name).to_vec(),
        ),
        ("KYCVerification_finality_known", DenialFinality::ALL.map(DenialFinality::name).to_vec()),
        ("OutboxCommand_status_known", CommandStatus::ALL.map(CommandStatus::name).to_vec()),
        ("LedgerAttempt_state_known", AttemptState::ALL.map(AttemptState::name).to_vec()),
        ("ProjectorTask_state_known", TaskState::ALL.map(TaskState::name).to_vec()),
    ] {
        let permitted: Vec<String> = sqlx::query_scalar(permitted)
            .bind(constraint)
            .fetch_all(database.pool())
            .await
            .unwrap();
        let permitted: BTreeSet<&str> = permitted.iter().map(String::as_str).collect();
        assert_eq!(permitted, names.into_iter().collect(), "{constraint}");
    }
}

/// The copies of a table, for the archive and for a rebuild, have its CHECKs. The archive keeps
/// finished rows only, so that it may lack some.
#[tokio::test]
async fn the_checks_of_a_table_are_the_same_on_its_copies() {
    let database = TestDatabase::create().await;
    let differing: Vec<String> = sqlx::query_scalar(
        r#"WITH checks AS (
               SELECT t.relnamespace = 'gx_rebuild'::regnamespace AS is_rebuild, t.relname,
                      c.conname, pg_get_constraintdef(c.oid) AS rule
               FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
               WHERE c.contype = 'c' AND NOT t.relispartition)
           SELECT format('%s of the copy of "%s"', live.conname, live.relname)
           FROM checks live
           JOIN pg_class copy ON copy.relname = live.relname
               AND copy.relnamespace = 'gx_rebuild'::regnamespace
               -- This copy has only the columns that a rebuild writes.
               AND copy.relname <> 'UserProfile'
           LEFT JOIN checks own ON own.is_rebuild AND own.relname = copy.relname
               AND own.conname = live.conname
           WHERE NOT live.is_rebuild AND own.rule IS DISTINCT FROM live.rule
           UNION ALL
           SELECT format('%s of "%s"', archive.conname, archive.relname)
           FROM checks live
           JOIN checks archive ON archive.conname = live.conname AND archive.relname <> live.relname
           WHERE NOT live.is_rebuild AND NOT archive.is_rebuild AND archive.rule <> live.rule"#,
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert_eq!(differing, Vec::<String>::new());
}

/// API-12: the trigger permits exactly the transitions of a status that the code permits.
#[tokio::test]
async fn api_12_the_trigger_is_the_transition_table_over_all_pairs() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    for (number, from) in AccountStatus::ALL.iter().enumerate() {
        for to in AccountStatus::ALL {
            let id = format!("p{number}-{}", to.name());
            insert_profile(&mut conn, &id.to_lowercase(), from.name()).await;
            let update =
                sqlx::query(r#"UPDATE "UserProfile" SET status = $2 WHERE "profileId" = $1"#)
                    .bind(id.to_lowercase())
                    .bind(to.name())
                    .execute(&mut conn)
                    .await;
            if *from == to || from.may_become(to) {
                assert_eq!(update.unwrap().rows_affected(), 1, "{from:?} → {to:?}");
            } else {
                assert_eq!(broken(update), "UserProfile_status_transition", "{from:?} → {to:?}");
            }
        }
    }
    let unknown = r#"UPDATE "UserProfile" SET status = 'PENDING'"#;
    assert!(raw_sql(unknown).execute(&mut conn).await.is_err());
}

/// FAB-14: the database and the code reject the same ids: too short, too long, a malformed block, a
/// wrong checksum, a reserved type, a date out of range.
#[tokio::test]
async fn fab_14_malformed_ids_are_refused_by_the_database_as_by_the_code() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    insert_profile(&mut conn, "p", "ACTIVE").await;
    let good = "MY 463 AUN834 0QKZB 5821";
    let mut texts: Vec<String> =
        ["", good, "MY 463 AUN834 0QKZB 582", "MY463AUN8340QKZB5821"].map(str::to_owned).to_vec();
    texts.push(format!("{good} "));
    texts.push(format!("{good}\n"));
    texts.push(format!(" {good}"));
    // Each character is replaced by one of every class.
    for at in 0..good.len() {
        for other in ['A', 'G', 'z', '0', '9', ' ', '-', 'é'] {
            let mut text: Vec<char> = good.chars().collect();
            text[at] = other;
            texts.push(text.into_iter().collect());
        }
    }
    // The first and last values of the birth-date block, for people and for others, and every
    // account type.
    for block in
        ["AAA000", "ATG000", "BMM000", "BOM000", "BWT009", "BWT010", "CQA009", "CQA010", "ZZZ999"]
    {
        for class in "0123456789ABCDEF".chars() {
            texts.push(format!("MY 463 {block} {class}QKZB 5821"));
        }
    }
    let mut refused = 0;
    for text in &texts {
        let update = sqlx::query(r#"UPDATE "UserProfile" SET "fabricUserId" = $1"#).bind(text);
        let update = update.execute(&mut conn).await;
        match text.parse::<FabricUserId>() {
            Ok(_) => assert!(update.is_ok(), "{text:?} is an id"),
            Err(_) => {
                assert_eq!(broken(update), "UserProfile_fabricUserId_form", "{text:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 150 && refused < texts.len(), "{refused} of {}", texts.len());
    let reservation = sqlx::query(
        r#"INSERT INTO "FabricIdReservation" VALUES ('MY 46G AUN834 0QKZB 5821', 'p', 'c', now())"#,
    );
    let reservation = reservation.execute(&mut conn).await;
    assert_eq!(broken(reservation), "FabricIdReservation_fabricUserId_form");
}

/// FAB-08: the database rejects values that are no biometric hash, in particular a password hash.
#[tokio::test]
async fn fab_08_the_database_refuses_a_password_hash_as_biometric_hash() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    insert_profile(&mut conn, "p", "ACTIVE").await;
    let good = "0123456789abcdef".repeat(4);
    let bad = [
        "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy".to_owned(),
        good.to_uppercase(),
        good[1..].to_owned(),
        format!("{good}\n"),
        String::new(),
    ];
    for hash in bad {
        let update = sqlx::query(r#"UPDATE "UserProfile" SET "biometricHash" = $1"#).bind(hash);
        assert_eq!(broken(update.execute(&mut conn).await), "UserProfile_biometricHash_form");
    }
    let update = sqlx::query(r#"UPDATE "UserProfile" SET "biometricHash" = $1"#).bind(good);
    update.execute(&mut conn).await.unwrap();
}

/// DB-06: the database returns zero, one and the whole supply unchanged, and no column of the
/// schema is a float.
#[tokio::test]
async fn db_06_amounts_pass_through_the_database_unchanged() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let money = [
        ("LedgerPool", "startBalance", r#"("poolId", "startBalance") VALUES ('p', 0)"#),
        (
            "LedgerCountry",
            "userTotal",
            r#"("countryCode", name, "sharePpb") VALUES ('MY', 'Malaysia', 1)"#,
        ),
        (
            "Wallet",
            "balance",
            r#"("walletId", "accountId", kind, balance, "lastTxId", "asOfBlock", "createdAt", "updatedAt")
               VALUES ('w', 'treasury_MY', 'TREASURY', 0, 't', 0, now(), now())"#,
        ),
    ];
    const SUPPLY: i64 = 1_250_000_000_000_000_000;
    for (table, column, insert) in money {
        let sql = format!(r#"INSERT INTO "{table}" {insert}"#);
        raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let sql = format!(r#"UPDATE "{table}" SET "{column}" = $1 RETURNING "{column}""#);
        for amount in [0, 1, SUPPLY] {
            let back: i64 = sqlx::query_scalar(AssertSqlSafe(sql.clone()))
                .bind(amount)
                .fetch_one(&mut conn)
                .await
                .unwrap();
            assert_eq!(back, amount, "{table}.{column}");
        }
    }
    let floats: Vec<String> = sqlx::query_scalar(
        "SELECT table_name || '.' || column_name FROM information_schema.columns
         WHERE table_schema = 'public' AND data_type IN ('real', 'double precision', 'numeric', 'money')",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(floats, Vec::<String>::new());
}

#[tokio::test]
async fn a_settled_command_never_changes_again() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    insert_command(&mut conn, "TRANSFER").await.unwrap();
    let settle = r#"UPDATE "OutboxCommand" SET status = 'REFUSED', "settledAt" = now()"#;
    raw_sql(settle).execute(&mut conn).await.unwrap();
    let revive = r#"UPDATE "OutboxCommand" SET status = 'PENDING', "settledAt" = NULL"#;
    assert_eq!(broken(raw_sql(revive).execute(&mut conn).await), "OutboxCommand_final");
}
