//! Further databases and projectors for the same chain.

use gx_db::PgPool;
use gx_db::testing::TestDatabase;
use gx_model::Clock;
use gx_outbox::enqueue::Waker;
use gx_projector::{Projector, ProjectorContext};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::chain::Chain;

/// Creates another database with the same people, before anything of theirs is projected.
pub(crate) async fn database_with_the_people_of(chain: &Chain) -> TestDatabase {
    let other = TestDatabase::create().await;
    let people: Vec<Value> = sqlx::query_scalar(r#"SELECT to_jsonb(p) FROM "UserProfile" p"#)
        .fetch_all(chain.db.pool())
        .await
        .unwrap();
    let ids: Vec<Value> = sqlx::query_scalar(r#"SELECT to_jsonb(r) FROM "FabricIdReservation" r"#)
        .fetch_all(chain.db.pool())
        .await
        .unwrap();
    let mut conn = other.connection().await;
    for (rows, insert) in [
        (
            people,
            r#"INSERT INTO "UserProfile"
               SELECT * FROM jsonb_populate_recordset(NULL::"UserProfile", $1)"#,
        ),
        (
            ids,
            r#"INSERT INTO "FabricIdReservation"
               SELECT * FROM jsonb_populate_recordset(NULL::"FabricIdReservation", $1)"#,
        ),
    ] {
        sqlx::query(insert).bind(Value::Array(rows)).execute(&mut conn).await.unwrap();
    }
    other
}

/// Creates a projector of the chain into any database, with any clock.
pub(crate) fn projector_into(chain: &Chain, pool: &PgPool, clock: Clock) -> Projector {
    let context = ProjectorContext {
        waker: Waker::new(pool.clone()),
        pool: pool.clone(),
        ledger: chain.ledger.clone(),
        settings: chain.settings(),
        clock,
    };
    Projector::new(context, StdRng::seed_from_u64(5))
}

/// Steps until every block that exists now is applied in the projector's own database.
pub(crate) async fn catch_up(chain: &Chain, projector: &mut Projector) {
    let height = i64::try_from(chain.height().await).unwrap();
    loop {
        let mut conn = projector.context().pool.acquire().await.unwrap();
        let at = gx_outbox::tip::checkpoint(&mut conn, crate::chain::CHANNEL).await.unwrap();
        drop(conn);
        if at.is_some_and(|at| at.block_number + 1 >= height) {
            return;
        }
        projector.step(crate::chain::BOUND).await.unwrap();
    }
}
