//! Enqueueing a command twice is harmless, and a final status never changes.

use gx_db::testing::TestDatabase;
use gx_model::{Command, CommandId};
use gx_outbox::enqueue::{EnqueueError, Enqueued, NewCommand, enqueue};
use sqlx::Connection;
use time::macros::datetime;

const NOW: time::OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

fn new_command(command: &Command) -> NewCommand<'_> {
    NewCommand {
        command_id: CommandId::derive(&["a command"]),
        command,
        profile_id: None,
        requested_by: "a test",
        request_id: None,
    }
}

fn pause(reason: &str) -> Command {
    Command::PauseSystem { reason_code: reason.parse().unwrap() }
}

#[tokio::test]
async fn a_command_is_stored_once_and_another_one_under_its_id_is_refused() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let (drill, other) = (pause("DRILL"), pause("INCIDENT"));
    assert_eq!(enqueue(&mut conn, new_command(&drill), NOW).await.unwrap(), Enqueued::New);
    assert_eq!(enqueue(&mut conn, new_command(&drill), NOW).await.unwrap(), Enqueued::Existing);
    let error = enqueue(&mut conn, new_command(&other), NOW).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Mismatch(_)), "{error}");
}

#[tokio::test]
async fn a_command_of_a_rolled_back_transaction_is_not_stored() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let drill = pause("DRILL");
    let mut tx = conn.begin().await.unwrap();
    enqueue(&mut tx, new_command(&drill), NOW).await.unwrap();
    tx.rollback().await.unwrap();
    let id = CommandId::derive(&["a command"]);
    assert!(gx_outbox::operator::command(&mut conn, id).await.unwrap().is_none());
}

/// A final status never changes, not even by hand.
#[tokio::test]
async fn the_schema_keeps_final_states() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let drill = pause("DRILL");
    enqueue(&mut conn, new_command(&drill), NOW).await.unwrap();
    let settle = r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "settledAt" = now()"#;
    sqlx::query(settle).execute(&mut conn).await.unwrap();
    let undo = r#"UPDATE "OutboxCommand" SET status = 'PENDING', "settledAt" = NULL"#;
    let error = sqlx::query(undo).execute(&mut conn).await.unwrap_err();
    let constraint = error.as_database_error().unwrap().constraint();
    assert_eq!(constraint, Some("OutboxCommand_final"));
}
