//! Checks of money and orders at the end of the rounds.

use std::collections::HashMap;

use sqlx::{PgConnection, query_as, query_scalar};

use super::payers::{Answered, PEOPLE};
use crate::stack::Stack;

/// The whole supply, in Qirat.
const SUPPLY: i64 = 1_250_000_000_000 * 1_000_000;
/// The grant of each person, in Qirat.
const GRANT: i64 = 500 * 1_000_000;

/// Returns whether all commands are settled and the newest block is applied.
pub(super) async fn is_drained(stack: &Stack) -> bool {
    let mut sql = stack.sql().await;
    query_scalar(
        r#"SELECT NOT EXISTS (SELECT FROM "OutboxCommand"
                              WHERE status IN ('PENDING', 'HELD', 'SUBMITTED', 'BLOCKED'))
              AND NOT EXISTS (SELECT FROM "LedgerAttempt" WHERE state = 'OPEN')
              AND (SELECT max("blockNumber") + 1 FROM "ProjectorState")
                  = (SELECT max(height) FROM "LedgerTip")"#,
    )
    .fetch_one(&mut sql)
    .await
    .unwrap()
}

/// Returns how many blocks are applied.
pub(super) async fn blocks_applied(stack: &Stack) -> i64 {
    query_scalar(r#"SELECT max("blockNumber") + 1 FROM "ProjectorState""#)
        .fetch_one(&mut stack.sql().await)
        .await
        .unwrap()
}

/// Checks that each accepted order has ended and moved money as its state says, and that the supply
/// is whole.
pub(super) async fn check(stack: &Stack, answered: &[Answered]) {
    let mut sql = stack.sql().await;
    let mut expected: HashMap<&str, i64> = HashMap::new();
    for one in answered {
        let path = format!("/api/v1/transfers/{}", one.command_id);
        let state = follow(stack, one, &path).await;
        let moved = times_moved(&mut sql, &one.command_id).await;
        match state.as_str() {
            "CONFIRMED" => {
                assert_eq!(moved, 1, "{} is confirmed", one.command_id);
                *expected.entry(&one.from).or_insert(GRANT) -= one.qirat;
                *expected.entry(&one.to).or_insert(GRANT) += one.qirat;
            }
            "FAILED" => assert_eq!(moved, 0, "{} has failed", one.command_id),
            other => panic!("{} is {other} in the end", one.command_id),
        }
    }
    let all: i64 =
        query_scalar(r#"SELECT count(*) FROM "EventLog" WHERE "eventName" = 'TransferCompleted'"#)
            .fetch_one(&mut sql)
            .await
            .unwrap();
    let confirmed: i64 = query_scalar(
        r#"SELECT count(*) FROM "OutboxCommand" WHERE kind = 'TRANSFER' AND status = 'COMMITTED'"#,
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!(all, confirmed, "every transfer on the ledger is one that somebody ordered");
    let balances: Vec<(String, i64)> =
        query_as(r#"SELECT "accountId", balance FROM "Wallet" WHERE kind = 'USER'"#)
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(balances.len(), usize::try_from(PEOPLE).unwrap());
    for (account, balance) in balances {
        assert_eq!(balance, expected[account.as_str()], "{account}");
    }
    let total: i64 = query_scalar(
        r#"SELECT ((SELECT sum(balance) FROM "Wallet") + (SELECT sum(balance) FROM "PoolBalance"))
                  ::bigint"#,
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!(total, SUPPLY, "money is neither made nor lost");
}

/// Returns the state of a transfer that its payer sees.
async fn follow(stack: &Stack, one: &Answered, path: &str) -> String {
    let reply = stack.gx().tokenomics.get(path, &one.payer.token).await.expect(200);
    reply.str("/status").to_owned()
}

async fn times_moved(sql: &mut PgConnection, command_id: &str) -> i64 {
    query_scalar(
        r#"SELECT count(*) FROM "EventLog"
           WHERE "commandId" = $1 AND "eventName" = 'TransferCompleted'"#,
    )
    .bind(command_id)
    .fetch_one(sql)
    .await
    .unwrap()
}
