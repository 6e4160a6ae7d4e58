//! A command changes the ledger once, whatever disturbs it.

use gx_testkit::World;
use gx_testkit::story::Person;

/// Checks that the person has one creation and one grant, and that no attempt is open.
async fn assert_one_grant(world: &World, person: &Person) {
    let wallet = world.gx.wallet(person).await.unwrap();
    assert_eq!(wallet.str("/balance"), "500");
    assert_eq!(world.events_of(person).await, ["UserCreated", "GenesisDistributed"]);
    assert_eq!(world.open_attempts().await, 0, "nothing is left on its way");
}

async fn submit_person(world: &World) -> (Person, String) {
    let person = world.gx.register(1).await;
    world.gx.submit(&person).await;
    (person, world.admin_token().await)
}

/// G2: nothing is disturbed.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_person_holds_one_grant() {
    let mut world = World::start().await;
    let person = world.participant(1).await;
    assert_one_grant(&world, &person).await;
}

/// G2: the orderer takes the envelope and the answer is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_changes_nothing() {
    let mut world = World::start().await;
    let (person, admin) = submit_person(&world).await;
    world.devnet.faults().drop_submit_replies(1);
    world.gx.approve(&admin, &person).await.expect(200);
    world.settle().await;
    assert_one_grant(&world, &person).await;
}

/// G2: the orderer forgets an envelope that it acknowledged; the same bytes are sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_envelope_is_sent_again() {
    let mut world = World::start().await;
    let (person, admin) = submit_person(&world).await;
    world.devnet.faults().discard_submits(1);
    world.gx.approve(&admin, &person).await.expect(200);
    world.settle().await;
    assert_one_grant(&world, &person).await;
}

/// G2: two approvals at the same time are one approval: one answer is 200, the other 409, and there
/// is one pair of commands.
#[tokio::test(flavor = "multi_thread")]
async fn two_approvals_at_once_are_one() {
    let mut world = World::start().await;
    let (person, admin) = submit_person(&world).await;
    let (one, other) =
        tokio::join!(world.gx.approve(&admin, &person), world.gx.approve(&admin, &person));
    let mut answers = [one.status.as_u16(), other.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [200, 409]);
    world.settle().await;
    assert_one_grant(&world, &person).await;
}

/// G2, G3: the database loses the sent attempts, as after a restore: the commands are sent again,
/// the ledger recognises them, and nothing happens twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_forgot_the_sending_learns_it_from_the_chain() {
    let mut world = World::start().await;
    let (person, admin) = submit_person(&world).await;
    world.devnet.faults().hold_commits();
    world.gx.approve(&admin, &person).await.expect(200);
    world.submit().await;
    for forget in [
        r#"DELETE FROM "LedgerAttempt" WHERE state = 'OPEN'"#,
        r#"UPDATE "OutboxCommand" SET status = 'PENDING', "txId" = NULL, "submittedAt" = NULL
           WHERE status = 'SUBMITTED'"#,
    ] {
        sqlx::query(forget).execute(world.database.pool()).await.unwrap();
    }
    world.submit().await;
    world.devnet.faults().release_commits();
    world.settle().await;
    assert_one_grant(&world, &person).await;
}
