//! A full disk.

use super::*;
use crate::testing::{TestServer, Volume};
use crate::{DatabaseFailure, FailingWrites};

/// Megabytes of the volume; the database takes about twenty.
const VOLUME: u32 = 48;

async fn writes_become(database: &Database, failing: bool) -> Option<FailingWrites> {
    let deadline = Instant::now() + BOUND;
    loop {
        let found = database.failing_writes();
        if found.is_some() == failing {
            return found;
        }
        assert!(Instant::now() < deadline, "still {found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// RDY-09: a full volume is reported with the server's reason before any statement of a service
/// fails, until there is space again.
#[tokio::test(flavor = "multi_thread")]
async fn rdy_09_a_full_volume_is_reported_until_there_is_room() {
    let volume = match Volume::mount(VOLUME) {
        Ok(volume) => volume,
        Err(why) => {
            eprintln!("no volume can be mounted here ({why}); a failed statement is told instead");
            return told_of_a_failed_statement().await;
        }
    };
    let server = TestServer::start().await;
    server.move_to(&volume).await;
    migrate(&mut server.connection().await, &Clock::system()).await.unwrap();
    let database = connect(&settings_of(&[server.url()])).await.unwrap();
    assert_eq!(database.failing_writes(), None);

    volume.fill();
    let failing = writes_become(&database, true).await.unwrap();
    assert!(failing.reason.contains("No space left on device"), "{failing:?}");
    assert!(database.health().is_ok(), "it still answers: {}", database.health());
    volume.free();
    writes_become(&database, false).await;
}

/// RDY-09: a failed statement of a service counts at once, and the report ends when nothing fails
/// any more.
#[tokio::test(flavor = "multi_thread")]
async fn rdy_09_a_failed_statement_counts_at_once_and_its_report_ends() {
    told_of_a_failed_statement().await;
}

async fn told_of_a_failed_statement() {
    let test = TestDatabase::create().await;
    let database = connect(&quick(test.settings())).await.unwrap();
    let sql = "DO $$ BEGIN RAISE 'could not extend file: No space left on device'
               USING ERRCODE = 'disk_full'; END $$";
    let error = raw_sql(sql).execute(database.pool()).await.unwrap_err();
    database.report_failure(&DatabaseFailure::of(&error).unwrap());
    let failing = database.failing_writes().unwrap();
    assert!(failing.reason.contains("No space left on device"), "{failing:?}");
    writes_become(&database, false).await;
}
