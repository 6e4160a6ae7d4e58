//! Settled commands move to the archive and can still be read, and new commands are found whatever
//! else is in the tables.

use std::time::Duration;

use gx_model::{AttemptState, CommandStatus};
use gx_outbox::enqueue::{EnqueueError, Enqueued, NewCommand, enqueue};
use gx_outbox::submitter::Archiver;
use sqlx::Connection;

use crate::chain::{create, grant};
use crate::desk::{Desk, parts, settings};

const DAY: Duration = Duration::from_secs(86_400);

/// G2: an archived command keeps its id: the same command is not enqueued a second time, another
/// one under its id is refused, and its status and its envelope can be read.
#[tokio::test]
async fn archived_commands_are_still_known() {
    let mut desk = Desk::open().await;
    let (a, b) = (desk.chain.person(1).await, desk.chain.person(2).await);
    let id = desk.enqueue_for(&a, &create(&a)).await;
    desk.drain().await;
    let mut conn = desk.conn().await;
    let now = desk.chain.clock.now();
    let mut archiver = Archiver::new(DAY);
    let fresh = archiver.step(&mut conn, now).await.unwrap();
    assert_eq!((fresh.commands, fresh.attempts, fresh.is_complete), (0, 0, true));
    let waiting = desk.enqueue_for(&b, &create(&b)).await;
    let moved = archiver.step(&mut conn, now + DAY * 2).await.unwrap();
    assert_eq!((moved.commands, moved.attempts), (1, 1));
    let left = r#"SELECT concat_ws(' ', (SELECT count(*) FROM "OutboxCommand"),
                      (SELECT count(*) FROM "OutboxArchive"), (SELECT count(*) FROM "LedgerAttempt"),
                      (SELECT count(*) FROM "LedgerAttemptArchive"))"#;
    assert_eq!(desk.chain.one(left).await, "1 1 0 1");

    let command = create(&a);
    let again = NewCommand {
        command_id: id,
        command: &command,
        profile_id: Some(&a.profile_id),
        requested_by: "a test",
        request_id: None,
    };
    assert_eq!(enqueue(&mut conn, again, now).await.unwrap(), Enqueued::Existing);
    let other = create(&b);
    let other = NewCommand { command: &other, ..again };
    let error = enqueue(&mut conn, other, now).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Mismatch(_)), "{error}");
    let row = gx_outbox::operator::command(&mut conn, id).await.unwrap().unwrap();
    assert_eq!(row.status, CommandStatus::Committed);
    let listed = gx_outbox::operator::list(&mut conn, &Default::default(), 10).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|row| row.command_id.to_string()).collect();
    assert_eq!(listed, [waiting.to_string(), id.to_string()]);
    let envelopes = gx_outbox::operator::attempts(&mut conn, id).await.unwrap();
    assert_eq!(envelopes[0].state, AttemptState::Valid);
    // The partitions of the months exist now, and nothing is moved twice.
    let rest = archiver.step(&mut conn, now + DAY * 2).await.unwrap();
    assert_eq!((rest.commands, rest.attempts), (0, 0));
    desk.drain().await;
    assert_eq!(desk.status(waiting).await, "COMMITTED");
}

/// G9: a command whose transaction commits long after later ones were sent is still found, and so
/// is one that failed and is pending again behind the mark.
#[tokio::test]
async fn a_command_committed_late_or_pending_again_is_found_behind_the_mark() {
    let mut desk = Desk::open().await;
    let clock = gx_model::Clock::manual(desk.chain.clock.now());
    let by = gx_submitter::SubmitterContext { clock: clock.clone(), ..parts(&desk.chain) };
    let rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(3);
    desk.submitter = gx_submitter::Submitter::new(by, settings("one"), rng).unwrap();
    let (late, failing) = (desk.chain.person(0).await, desk.chain.person(1).await);
    let mut conn = desk.conn().await;
    let mut tx = conn.begin().await.unwrap();
    let late_id = crate::chain::fresh_id();
    let (command, now) = (create(&late), clock.now());
    let new = NewCommand {
        command_id: late_id,
        command: &command,
        profile_id: Some(&late.profile_id),
        requested_by: "a test",
        request_id: None,
    };
    enqueue(&mut tx, new, now).await.unwrap();
    desk.chain.devnet.faults().fail_endorsements(1, 500, "no");
    let failing_id = desk.enqueue_for(&failing, &create(&failing)).await;
    desk.submitter.step().await.unwrap();
    assert_eq!(desk.status(failing_id).await, "PENDING");
    for n in 2..8 {
        // Each round moves the marks past everything that was seen.
        clock.advance(Duration::from_secs(3));
        let person = desk.chain.person(n).await;
        let id = desk.enqueue_for(&person, &create(&person)).await;
        desk.drain().await;
        assert_eq!(desk.status(id).await, "COMMITTED");
        let granted = desk.enqueue_for(&person, &grant(&person)).await;
        desk.drain().await;
        assert_eq!(desk.status(granted).await, "COMMITTED");
    }
    assert_eq!(desk.status(failing_id).await, "COMMITTED");
    tx.commit().await.unwrap();
    clock.advance(Duration::from_secs(3));
    desk.drain().await;
    assert_eq!(desk.status(late_id).await, "COMMITTED");
}
