//! Kills with SIGKILL during an approval, and repeated kills and freezes under load.

mod audit;
mod payers;
mod rounds;
mod world;

use gx_testkit::story::{Person, Services};

use crate::journey::{transactions, wait_for_grant};
use crate::stack::Stack;

/// G1, G2: `gx dev` is killed right after its answer to the approval, and PostgreSQL survives. The
/// next start adopts the cluster, and the person is registered once with one grant.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_survives_kill_9_of_the_stack() {
    approval_survives(|stack| stack.kill()).await;
}

/// G1, G2: `gx dev` and PostgreSQL are killed right after the answer to the approval.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_survives_kill_9_of_the_stack_and_of_postgresql() {
    approval_survives(|stack| {
        stack.kill();
        stack.kill_postgres();
    })
    .await;
}

/// G2: the stack is killed before it answers the approval. Whether or not the approval was
/// committed, approving again leads to one grant.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_was_not_answered_can_be_repeated() {
    let mut stack = Stack::start().await;
    let person = submitted_person(&stack.gx()).await;
    let admin = stack.admin_token().await;
    let gx = stack.gx();
    let request = tokio::spawn({
        let (gx, admin, person) = (gx.clone(), admin.clone(), person.clone());
        async move { gx.approve(&admin, &person).await }
    });
    tokio::task::yield_now().await;
    stack.kill();
    let _ = request.await;

    stack.run().await;
    let again = stack.gx().approve(&admin, &person).await;
    assert!([200, 409].contains(&again.status.as_u16()), "{}", again.text);
    assert_one_grant(&stack, &person).await;
}

async fn approval_survives(kill: impl FnOnce(&mut Stack)) {
    let mut stack = Stack::start().await;
    let person = submitted_person(&stack.gx()).await;
    let admin = stack.admin_token().await;
    stack.gx().approve(&admin, &person).await.expect(200);
    kill(&mut stack);

    stack.run().await;
    assert_one_grant(&stack, &person).await;
}

async fn submitted_person(gx: &Services) -> Person {
    let person = gx.register(1).await;
    gx.submit(&person).await;
    person
}

async fn assert_one_grant(stack: &Stack, person: &Person) {
    wait_for_grant(&stack.gx(), person).await;
    let mut sql = stack.sql().await;
    assert_eq!(transactions(&mut sql, person).await, 1);
    let created: i64 = sqlx::query_scalar(
        r#"SELECT count(*) FROM "EventLog" WHERE "eventName" IN ('UserCreated', 'GenesisDistributed')"#,
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!(created, 2, "one creation and one grant, whatever died");
}
