//! Drops databases behind the tests' backs: a test that ends cannot wait for it. What is left
//! when the process ends, the next start of the server removes.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use sqlx::AssertSqlSafe;

use super::shared::SharedServer;

static JANITOR: OnceLock<Sender<String>> = OnceLock::new();

/// Asks for the removal of a database, whoever is still connected.
pub(super) fn drop_database(name: String) {
    let janitor = JANITOR.get_or_init(|| {
        let (sender, receiver) = channel();
        std::thread::spawn(move || work(&receiver));
        sender
    });
    // The janitor ends with the process only.
    janitor.send(name).ok();
}

fn work(names: &Receiver<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut conn = SharedServer::get().await.admin().await;
        for name in names {
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await {
                tracing::warn!(%error, name, "a test's database is left for the next start");
            }
        }
    });
}
