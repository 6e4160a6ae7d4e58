use sqlx::raw_sql;

use super::*;
use crate::testing::TestDatabase;

async fn state_after(sql: &'static str, known: usize) -> SchemaState {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    raw_sql(sql).execute(&mut conn).await.unwrap();
    schema_state_for(&mut conn, &MIGRATIONS[..known]).await.unwrap()
}

/// DB-03: the previous release's binary runs on the next schema if that only adds to its own, and
/// only while it is exactly the result of the migration.
#[tokio::test]
async fn the_next_schema_is_accepted_when_it_is_additive_and_unaltered() {
    let all = MIGRATIONS.len();
    assert_eq!(state_after("", all).await, SchemaState::Current);
    assert_eq!(state_after("", all - 1).await, SchemaState::Current);
    let altered = state_after(r#"DROP INDEX "UserSession_profileId_idx""#, all - 1).await;
    let SchemaState::Different(lines) = altered else { panic!("{altered:?}") };
    assert!(lines[0].contains(Migration::newest().name), "{lines:?}");
    let breaking = state_after(r#"UPDATE "SchemaVersion" SET "isAdditive" = false"#, all - 1).await;
    let SchemaState::Different(lines) = breaking else { panic!("{breaking:?}") };
    assert!(lines[0].contains("use a newer release"), "{lines:?}");
}

/// DB-10: a binary runs on a schema that is two or more versions ahead if each of them only adds,
/// and names the first later one that does more.
#[tokio::test]
async fn db_10_a_chain_of_additive_versions_is_accepted_and_a_later_other_one_refused() {
    let database = TestDatabase::create().await;
    let mut conn = database.connection().await;
    let known = &MIGRATIONS[..MIGRATIONS.len() - 1];
    for (name, is_additive) in [("0098_first", true), ("0099_second", true), ("0100_last", false)] {
        let sql = format!(r#"ALTER TABLE "Wallet" ADD "{name}" text"#);
        raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let fingerprint = Catalogue::read(&mut conn).await.unwrap().fingerprint();
        sqlx::query(
            r#"INSERT INTO "SchemaVersion"
               SELECT max(version) + 1, $1, '', $2, $3, now() FROM "SchemaVersion""#,
        )
        .bind(name)
        .bind(&fingerprint[..])
        .bind(is_additive)
        .execute(&mut conn)
        .await
        .unwrap();
        let state = schema_state_for(&mut conn, known).await.unwrap();
        if is_additive {
            assert_eq!(state, SchemaState::Current, "{name}");
        } else {
            let SchemaState::Different(lines) = state else { panic!("{state:?}") };
            assert!(lines[0].contains(name) && !lines[0].contains("0099_second"), "{lines:?}");
            assert!(lines[0].contains("use a newer release"), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn a_schema_two_versions_ahead_that_no_migration_left_behind_is_refused() {
    let sql = r#"INSERT INTO "SchemaVersion"
                 SELECT max(version) + 1, 'later', '', '', true, now() FROM "SchemaVersion""#;
    let state = state_after(sql, MIGRATIONS.len() - 1).await;
    assert!(matches!(state, SchemaState::Different(_)), "{state:?}");
}

#[tokio::test]
async fn nothing_and_something_foreign_are_told_apart() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connection().await;
    assert_eq!(schema_state(&mut conn).await.unwrap(), SchemaState::Empty);
    raw_sql("CREATE TABLE thing (x int)").execute(&mut conn).await.unwrap();
    let state = schema_state(&mut conn).await.unwrap();
    assert_eq!(
        state,
        SchemaState::Different(vec!["table thing was created by no migration".into()])
    );
}
