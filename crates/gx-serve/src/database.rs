//! Whether the database is there, as a check of every service.

use std::time::Duration;

use gx_db::{Database, Health, Migration};
use serde_json::json;
use sqlx::Connection as _;

use crate::health::{HealthBoard, Verdict};

/// How long a check waits for a connection that is in use elsewhere.
const WAIT: Duration = Duration::from_secs(1);

/// Adds the critical check `database`: it is there, it is the right one, and its schema is
/// current; a pending migration is named (RDY-04).
pub fn watch(board: &HealthBoard, database: Database) {
    board.set_schema(Migration::newest().name);
    board.probe("database", true, move || {
        let database = database.clone();
        Box::pin(async move { verdict(&database).await })
    });
}

async fn verdict(database: &Database) -> Verdict {
    let health = database.health();
    match &health {
        Health::Ok { .. } => answers(database).await,
        Health::Pending(names) => {
            Verdict::unhealthy(health.to_string()).with_value(json!({ "pendingMigrations": names }))
        }
        _ => Verdict::unhealthy(health.to_string()),
    }
}

async fn answers(database: &Database) -> Verdict {
    match tokio::time::timeout(WAIT, database.pool().acquire()).await {
        Ok(Ok(mut conn)) => match conn.ping().await {
            Ok(()) => Verdict::healthy(),
            Err(error) => Verdict::unhealthy(format!("the database does not answer: {error}")),
        },
        Ok(Err(error)) => Verdict::unhealthy(format!("the database does not answer: {error}")),
        // Busy is not absent: a replica that is taken out of rotation for being busy makes
        // the others busier.
        Err(_) => Verdict::healthy().with_message("every connection is in use"),
    }
}
