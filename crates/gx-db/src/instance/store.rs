//! SQL about the instance, run for each connection that is proven. It is not checked against the
//! schema, because it must run without one.

use sqlx::{PgConnection, Row as _};

use super::InstanceFacts;

pub(super) async fn facts(conn: &mut PgConnection) -> sqlx::Result<InstanceFacts> {
    let row = sqlx::query(
        "SELECT system_identifier,
                pg_is_in_recovery() AS in_recovery,
                current_setting('transaction_read_only')::boolean AS read_only,
                CASE WHEN NOT pg_is_in_recovery()
                     THEN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer
                END AS timeline
         FROM pg_control_system()",
    )
    .fetch_one(conn)
    .await?;
    Ok(InstanceFacts {
        system_id: row.try_get::<i64, _>("system_identifier")?.cast_unsigned(),
        in_recovery: row.try_get("in_recovery")?,
        read_only: row.try_get("read_only")?,
        timeline: row.try_get::<Option<i32>, _>("timeline")?.map(i32::cast_unsigned),
    })
}
