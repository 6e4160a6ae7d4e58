//! A command with a lower number that was committed late is still sent first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gx_model::{Clock, CommandId};
use gx_outbox::enqueue::NewCommand;
use gx_outbox::sync_points::SyncPoints;
use gx_submitter::{Submitter, SubmitterContext};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::chain::{Person, create, fresh_id, grant};
use crate::desk::{Desk, parts, settings};

/// Enqueues a person's creation in a transaction that stays open.
async fn want_late<'a>(
    desk: &Desk,
    conn: &'a mut PgConnection,
    person: &Person,
) -> (CommandId, Transaction<'a, Postgres>) {
    let mut tx = sqlx::Connection::begin(conn).await.unwrap();
    let command_id = fresh_id();
    let new = NewCommand {
        command_id,
        command: &create(person),
        profile_id: Some(&person.profile_id),
        requested_by: "a test",
        request_id: None,
    };
    gx_outbox::enqueue::enqueue(&mut tx, new, desk.chain.clock.now()).await.unwrap();
    (command_id, tx)
}

/// Returns the commands of each envelope, in order.
async fn sent(desk: &Desk) -> String {
    let envelopes = r#"SELECT string_agg(array_to_string("commandIds", '+'), ', '
                                         ORDER BY "createdAt", "txId") FROM "LedgerAttempt""#;
    desk.chain.one(envelopes).await
}

/// OUT-17: a creation commits after its grant was found, with the marks beyond both. The grant
/// waits for it, and they are sent together.
#[tokio::test]
async fn a_command_committed_late_below_the_marks_goes_first() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let clock = Clock::manual(desk.chain.clock.now());
    let parts = SubmitterContext { clock: clock.clone(), ..parts(&desk.chain) };
    desk.submitter = Submitter::new(parts, settings("one"), StdRng::seed_from_u64(1)).unwrap();
    desk.submitter.step().await.unwrap();

    let mut conn = desk.conn().await;
    let (created, late) = want_late(&desk, &mut conn, &person).await;
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    // An open attempt touches the account, so that the grant is found and not sent.
    desk.chain
        .sql(&format!(
            r#"INSERT INTO "LedgerAttempt" ("txId", purpose, "genesisHash", envelope, "commandIds",
                   touches, "nextSendAt", "createdAt")
               VALUES ('busy', 'EXECUTE', '', '', '{{}}', ARRAY['{}'], 'infinity', now())"#,
            person.id
        ))
        .await;
    // The marks move twice, each time after so long that nothing could commit below them.
    for _ in 0..3 {
        clock.advance(Duration::from_secs(3));
        desk.submitter.step().await.unwrap();
    }
    late.commit().await.unwrap();
    desk.chain.sql(r#"DELETE FROM "LedgerAttempt""#).await;
    for _ in 0..3 {
        desk.submitter.step().await.unwrap();
    }
    assert_eq!(sent(&desk).await, format!("{created}+{granted}"));
    desk.drain().await;
    assert_eq!(desk.status(granted).await, "COMMITTED");
}

/// OUT-17: a creation commits while its grant is being endorsed. Storing the envelope notices that,
/// and the grant waits.
#[tokio::test]
async fn a_command_committed_while_its_follower_is_endorsed_goes_first() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let conn = Box::leak(Box::new(desk.conn().await));
    let (created, late) = want_late(&desk, conn, &person).await;
    let granted = desk.enqueue_for(&person, &grant(&person)).await;
    let late = Arc::new(Mutex::new(Some(late)));
    let gate = SyncPoints::new(move |step| {
        let late = Arc::clone(&late);
        Box::pin(async move {
            let first = if step == "endorsed" { late.lock().unwrap().take() } else { None };
            if let Some(late) = first {
                late.commit().await.unwrap();
            }
        })
    });
    desk.submitter = crate::desk::submitter(&desk.chain, settings("one")).with_sync_points(gate);
    desk.drain().await;
    assert_eq!(sent(&desk).await, format!("{created}+{granted}"));
    assert_eq!(desk.status(created).await, "COMMITTED");
    assert_eq!(desk.status(granted).await, "COMMITTED");
    assert_eq!(desk.column(granted, "attempts").await, "1");
}
