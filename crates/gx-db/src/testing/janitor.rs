//! Drops databases of tests in the background, because a test cannot wait for it when it ends. The
//! next start of the server drops the databases that remain when the process ends.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use sqlx::AssertSqlSafe;

use super::shared::SharedServer;

static JANITOR: OnceLock<Sender<String>> = OnceLock::new();

/// Requests that a database be dropped, even if sessions are connected.
pub(super) fn drop_database(name: String) {
    let janitor = JANITOR.get_or_init(|| {
        let (sender, receiver) = channel();
        std::thread::spawn(move || work(&receiver));
        sender
    });
    // The janitor ends only with the process.
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
