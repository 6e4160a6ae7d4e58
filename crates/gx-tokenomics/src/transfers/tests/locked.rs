//! Orders while another session locks the payer's row.

use futures_util::future::join_all;

use super::*;

/// DB-08: while another session locks a payer's row, the payer's orders wait, two of them with a
/// connection, and others are served; afterwards each order is accepted.
#[tokio::test]
async fn db_08_orders_of_a_locked_payer_leave_the_pool_to_others() {
    const ORDERS: usize = 30;
    let payers = Payers::with_balance(1_000_000_000).await;
    let host = &payers.host;
    let wei: String =
        sqlx::query_scalar(r#"SELECT "profileId" FROM "Wallet" WHERE "accountId" = $1"#)
            .bind(WEI)
            .fetch_one(host.database.pool())
            .await
            .unwrap();
    let wei = host.session_of(&wei).await.access_token;
    let lock = r#"SELECT FROM "UserProfile" WHERE email = 'sarah@gxtest.com' FOR UPDATE"#;
    let holder = host.holding(lock).await;
    let keys: Vec<String> = (0..ORDERS).map(|n| n.to_string()).collect();
    let crowd = keys.iter().map(|key| async { payers.pay(key, "1").await.code() });
    let meanwhile = async {
        host.waiting_for_locks(2).await;
        for _ in 0..3 {
            assert_eq!(host.get("/api/v1/wallets/me", &wei).await.code(), 200);
        }
        host.waiting_for_locks(2).await;
        drop(holder);
    };
    let (codes, ()) = tokio::join!(join_all(crowd), meanwhile);
    assert_eq!(codes, [202; ORDERS]);
}
