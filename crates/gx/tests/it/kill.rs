//! `kill -9` in the middle of an approval, and again and again under load.

mod audit;
mod payers;
mod rounds;

use gx_testkit::story::{Gx, Person};

use crate::journey::{settled, transactions};
use crate::stack::Stack;

/// G1, G2: `gx dev` dies right after it answered the approval, PostgreSQL lives on. The next
/// start adopts the cluster, and the person ends registered once with one grant.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_survives_kill_9_of_the_stack() {
    approval_survives(|stack| stack.kill()).await;
}

/// G1, G2: the same with PostgreSQL killed too.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_survives_kill_9_of_the_stack_and_of_postgresql() {
    approval_survives(|stack| {
        stack.kill();
        stack.kill_postgres();
    })
    .await;
}

/// G2: the stack dies while the approval is being answered. Whether it counted is for the
/// database to say; approving again leads to the same single grant.
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
    exactly_one_grant(&stack, &person).await;
}

async fn approval_survives(kill: impl FnOnce(&mut Stack)) {
    let mut stack = Stack::start().await;
    let person = submitted_person(&stack.gx()).await;
    let admin = stack.admin_token().await;
    stack.gx().approve(&admin, &person).await.expect(200);
    kill(&mut stack);

    stack.run().await;
    exactly_one_grant(&stack, &person).await;
}

async fn submitted_person(gx: &Gx) -> Person {
    let person = gx.register(1).await;
    gx.submit(&person).await;
    person
}

async fn exactly_one_grant(stack: &Stack, person: &Person) {
    settled(&stack.gx(), person).await;
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
