//! A route whose plans become stale repeatedly while it is in use.

use gx_db::Database;
use gx_db::testing::TestDatabase;
use sqlx::PgConnection;
use tokio::task::JoinSet;

use super::*;
use crate::database;

const MIGRATIONS: u32 = 6;
const CLIENTS: u32 = 6;

/// Writes the body, with a statement that returns every column.
#[utoipa::path(post, path = "/keep",
               responses((status = 200, description = "The text.", body = String)))]
async fn keep(
    State(database): State<Database>,
    Json(echo): Json<Echo>,
) -> Result<Reply<String>, Problem> {
    let mut tx = database.pool().begin().await?;
    let row = sqlx::query("INSERT INTO side.kept (text) VALUES ($1) RETURNING *");
    row.bind(&echo.text.0).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(Reply::ok(echo.text.0))
}

/// Fails like a write on a full disk.
#[utoipa::path(post, path = "/full", responses((status = 200, description = "Never.")))]
async fn full(State(database): State<Database>) -> Result<Reply<String>, Problem> {
    let sql = "DO $$ BEGIN RAISE 'could not extend file: No space left on device'
               USING ERRCODE = 'disk_full'; END $$";
    sqlx::raw_sql(sql).execute(database.pool()).await?;
    Ok(Reply::ok(String::new()))
}

async fn a_service_on(test: &TestDatabase) -> Service {
    let database = gx_db::connect(&test.settings()).await.unwrap();
    let request_layer = RequestLayer::new("svc-test", clock(), Entropy::system());
    let health = HealthBoard::new("svc-test", clock());
    database::watch(&health, database.clone());
    let fingerprint_keys = fingerprint_keys();
    let database_of_routes = Some(database.clone());
    let limits = generous_limits(&request_layer.clock);
    let parts = ServiceParts {
        health,
        database: database_of_routes,
        request_layer,
        limits,
        fingerprint_keys,
    };
    Routes::new("svc-test")
        .add(RouteAccess::Public, routes!(keep), &[])
        .limited(RouteLimit::General)
        .add(RouteAccess::Public, routes!(full), &[])
        .limited(RouteLimit::General)
        .into_service(database, parts)
}

fn post(path: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(body.to_owned().into()).unwrap()
}

async fn run(conn: &mut PgConnection, sql: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(conn).await.unwrap();
}

/// DB-11: a table grows repeatedly while requests use a statement that returns all of its columns:
/// each request is answered, and each has its effect once.
#[tokio::test(flavor = "multi_thread")]
async fn db_11_a_migration_under_load_reaches_no_client() {
    let test = TestDatabase::create().await;
    let mut sql = test.connection().await;
    run(&mut sql, "CREATE SCHEMA side; CREATE TABLE side.kept (text text)".to_owned()).await;
    let router = a_service_on(&test).await.public(false);
    let mut answered = 0;
    for migration in 0..MIGRATIONS {
        // Every connection of the pool has a plan.
        answered += ask_all(&router).await;
        let grown = format!("ALTER TABLE side.kept ADD COLUMN added_{migration} text");
        let (asked, ()) = tokio::join!(ask_all(&router), run(&mut sql, grown));
        answered += asked;
        answered += ask_all(&router).await;
    }
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM side.kept").fetch_one(&mut sql).await.unwrap();
    assert_eq!(kept, i64::from(answered));
    // Otherwise the test has shown nothing.
    let metrics = telemetry::metrics().render();
    assert!(metrics.contains("gx_db_stale_plans_total"), "{metrics}");
}

/// Sends requests at the same time and returns the number of successful ones, which must be all.
async fn ask_all(router: &Router) -> u32 {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let router = router.clone();
        clients.spawn(async move {
            for _ in 0..4 {
                let (status, _, json) = ask(&router, post("/keep", r#"{"text":"a"}"#)).await;
                assert_eq!((status.as_u16(), json), (200, Value::from("a")));
            }
        });
    }
    clients.join_all().await;
    CLIENTS * 4
}

/// RDY-09: a request that fails because nothing can be stored is answered with 503. From then on,
/// readiness and health name the reason until writes succeed again.
#[tokio::test(flavor = "multi_thread")]
async fn rdy_09_a_write_that_fails_shows_in_readiness_until_it_is_over() {
    let test = TestDatabase::create().await;
    let router = a_service_on(&test).await.public(false);
    let (status, headers, json) = ask(&router, post("/full", "{}")).await;
    assert_eq!((status.as_u16(), json["code"].as_str()), (503, Some("temporary_reduced_capacity")));
    assert!(headers.contains_key("retry-after"));
    for path in ["/readyz", "/health"] {
        let (status, health) = get(&router, path).await;
        assert_eq!((status, health["status"].as_str()), (200, Some("degraded")), "{health}");
        let message = health["checks"]["databaseWrites"]["message"].as_str().unwrap();
        assert!(message.contains("No space left on device"), "{message}");
    }
    let over = async {
        while get(&router, "/readyz").await.1["checks"]["databaseWrites"]["status"] != "healthy" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, over).await.expect("the report ends by itself");
}
