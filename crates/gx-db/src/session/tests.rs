use std::collections::BTreeMap;

use sqlx::postgres::PgListener;

use super::*;
use crate::DatabaseSettings;
use crate::testing::TestDatabase;

/// Returns settings that differ from every default.
fn unusual(database: &TestDatabase) -> DatabaseSettings {
    let mut settings = database.settings().named("tester");
    settings.database_statement_timeout_ms = 31_000;
    settings.session.database_lock_timeout_ms = 5_100;
    settings.session.database_idle_transaction_timeout_ms = 15_100;
    settings.session.database_keepalive_idle_s = 11;
    settings.session.database_keepalive_interval_s = 6;
    settings.session.database_keepalive_count = 4;
    settings.session.database_tcp_user_timeout_ms = 25_100;
    settings.session.database_client_check_ms = 5_100;
    settings
}

async fn values(conn: &mut PgConnection) -> BTreeMap<String, String> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, setting FROM pg_settings
         WHERE name LIKE 'tcp_%' OR name LIKE '%_timeout' OR name IN ('application_name',
             'client_connection_check_interval')",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    rows.into_iter().collect()
}

fn check(found: &BTreeMap<String, String>, name: &str) {
    for (setting, value) in [
        ("application_name", name),
        ("idle_in_transaction_session_timeout", "15100"),
        ("tcp_keepalives_idle", "11"),
        ("tcp_keepalives_interval", "6"),
        ("tcp_keepalives_count", "4"),
        ("tcp_user_timeout", "25100"),
        ("client_connection_check_interval", "5100"),
        ("idle_session_timeout", "0"),
    ] {
        assert_eq!(found[setting], value, "{setting} of {name}");
    }
}

/// DB-08: each connection of a process has keepalives, a user timeout, and limits for an idle
/// transaction and for a lock, as the settings say, and a name with the role; only migrations have
/// no limit for statements and locks.
#[tokio::test]
async fn db_08_every_kind_of_connection_has_its_limits_and_its_name() {
    let test = TestDatabase::create().await;
    let settings = unusual(&test);
    let database = crate::connect(&settings).await.unwrap();

    let mut pooled = database.pool().acquire().await.unwrap();
    let found = values(&mut pooled).await;
    check(&found, "gx tester");
    assert_eq!((&*found["statement_timeout"], &*found["lock_timeout"]), ("31000", "5100"));

    // A connection that leaves the pool keeps its values, and may add its purpose to its name.
    let mut detached = pooled.detach();
    name_session(&mut detached, "leader").await.unwrap();
    let found = values(&mut detached).await;
    check(&found, "gx tester leader");
    assert_eq!(found["lock_timeout"], "5100");

    let mut migrating = crate::connect_for_migration(&settings).await.unwrap();
    let found = values(&mut migrating).await;
    check(&found, "gx tester migration");
    assert_eq!((&*found["statement_timeout"], &*found["lock_timeout"]), ("0", "0"));

    for endpoint in settings.endpoints().unwrap() {
        for purpose in ["monitor", "check"] {
            let (mut conn, _) = crate::pooler::open(&endpoint, purpose).await.unwrap();
            let found = values(&mut conn).await;
            check(&found, &format!("gx tester {purpose}"));
            assert_eq!(found["lock_timeout"], "5100");
        }
    }

    let mut listener = PgListener::connect_with(database.pool()).await.unwrap();
    listener.listen("anything").await.unwrap();
    let listening: Vec<String> = sqlx::query_scalar(
        "SELECT application_name FROM pg_stat_activity
         WHERE datname = current_database() AND query ILIKE 'listen%'",
    )
    .fetch_all(&mut migrating)
    .await
    .unwrap();
    assert_eq!(listening, ["gx tester"]);
}

/// DB-08: the server ends a session that is silent inside a transaction, so that its locks are
/// free; a wait for a lock times out before that.
#[tokio::test]
async fn db_08_a_silent_transaction_ends_and_a_wait_for_a_lock_ends_sooner() {
    let test = TestDatabase::create().await;
    let mut settings = test.settings();
    settings.session.database_lock_timeout_ms = 50;
    settings.session.database_idle_transaction_timeout_ms = 1_000;
    let database = crate::connect(&settings).await.unwrap();
    let mut silent = database.pool().begin().await.unwrap();
    let lock = r#"SELECT FROM "OutboxLane" WHERE lane = 0 FOR UPDATE"#;
    sqlx::query(lock).execute(&mut *silent).await.unwrap();

    let refused = sqlx::query(lock).execute(database.pool()).await.unwrap_err();
    assert!(is_lock_timeout(&refused), "{refused}");
    let bound = std::time::Duration::from_secs(30);
    let freed = async {
        while let Err(error) = sqlx::query(lock).execute(database.pool()).await {
            assert!(is_lock_timeout(&error), "{error}");
        }
    };
    tokio::time::timeout(bound, freed).await.expect("the server frees the row");
    let late = sqlx::query("SELECT 1").execute(&mut *silent).await.unwrap_err();
    let code = late.as_database_error().and_then(|error| error.code().map(String::from));
    assert!(code.is_none_or(|code| code == "25P03"), "{late}");
}

#[test]
fn names_are_short_enough_to_be_kept_whole() {
    let settings = SessionSettings {
        database_application_name: Some("é".repeat(60)),
        ..SessionSettings::default()
    };
    let name = settings.session(1).name_for("monitor");
    assert_eq!(name, "é".repeat(31));
}
