//! What transactions change in the read model.

use gx_model::{Command, Qirat};

use crate::chain::{Chain, create, grant, transfer};

/// PRJ-03: one transaction that creates a user, a wallet, a grant and a treasury credit writes all
/// of these, with its id.
#[tokio::test]
async fn one_transaction_brings_user_wallet_grant_and_treasury_credit() {
    let chain = Chain::bootstrapped().await;
    let sarah = chain.person(1).await;
    let tx_id = chain.execute(&[create(&sarah), grant(&sarah)]).await;
    chain.catch_up(&mut chain.projector()).await;

    let profile = chain
        .one(r#"SELECT concat_ws(' ', status, "onchainStatus", "fabricUserId") FROM "UserProfile""#)
        .await;
    assert_eq!(profile, format!("ACTIVE REGISTERED {}", sarah.id));
    let user = r#"SELECT concat_ws(' ', "createdTxId", "genesisTxId", "genesisAmount",
                         "genesisPhase") FROM "LedgerUser""#;
    assert_eq!(chain.one(user).await, format!("{tx_id} {tx_id} 500000000 1"));
    let wallet = r#"SELECT concat_ws(' ', balance, "lastTxId") FROM "Wallet" WHERE kind = 'USER'"#;
    assert_eq!(chain.one(wallet).await, format!("500000000 {tx_id}"));
    let treasury = r#"SELECT concat_ws(' ', balance, "isLocked", "lastTxId") FROM "Wallet"
                      WHERE "accountId" = 'treasury_MY'"#;
    assert_eq!(chain.one(treasury).await, format!("50000000 true {tx_id}").replace("true", "t"));
    let history = r#"SELECT concat_ws(' ', "onChainTxId", type, direction, counterparty, amount,
                            fee) FROM "Transaction""#;
    let expected = format!("{tx_id} GENESIS IN SYSTEM_USER_GENESIS_POOL 500000000 0");
    assert_eq!(chain.one(history).await, expected);
    let registered = r#"SELECT "onchainRegisteredAt" = "lastSyncedAt" AND "onchainRegisteredAt" =
                        (SELECT "createdAt" FROM "LedgerUser") FROM "UserProfile""#;
    assert_eq!(chain.one(registered).await, "true");
}

/// PRJ-13: a transfer between ledger ids updates both wallets, and activating one treasury leaves
/// the other locked.
#[tokio::test]
async fn ids_of_each_kind_meet_their_own_rows() {
    let chain = Chain::bootstrapped().await;
    let (a, b) = (chain.person(1).await, chain.person(2).await);
    chain.execute(&[create(&a), grant(&a), create(&b), grant(&b)]).await;
    let (from, to) = (a.id.to_string(), b.id.to_string());
    let tx_id = chain.execute(&[transfer(&from, &to, 200)]).await;
    let my = "MY".parse().unwrap();
    chain.execute(&[Command::ActivateTreasury { country_code: my }]).await;
    chain.execute(&[transfer("treasury_MY", &to, 7)]).await;
    chain.catch_up(&mut chain.projector()).await;

    // 200 GX between two people of one country cost 10 basis points: 0.2 GX.
    let balance = |id: &str| format!(r#"SELECT balance FROM "Wallet" WHERE "accountId" = '{id}'"#);
    assert_eq!(chain.one(&balance(&from)).await, (500_000_000_i64 - 200_200_000).to_string());
    assert_eq!(chain.one(&balance(&to)).await, (500_000_000_i64 + 207_000_000).to_string());
    assert_eq!(chain.one(&balance("treasury_MY")).await, "93000000");
    let rows = format!(
        r#"SELECT string_agg(concat_ws(' ', direction, amount, fee), ', ' ORDER BY direction)
           FROM "Transaction" WHERE "onChainTxId" = '{tx_id}'"#
    );
    assert_eq!(chain.one(&rows).await, "IN 200000000 0, OUT 200000000 200000");
    let locked =
        |id: &str| format!(r#"SELECT "isLocked" FROM "Wallet" WHERE "accountId" = '{id}'"#);
    assert_eq!(chain.one(&locked("treasury_MY")).await, "false");
    assert_eq!(chain.one(&locked("treasury_SG")).await, "true");
}

/// G4: after each block, wallets and pools of the read model sum to the supply, also after
/// transfers to and from pools.
#[tokio::test]
async fn money_is_neither_made_nor_lost_in_the_read_model() {
    let chain = Chain::start().await;
    let people = [chain.person(1).await, chain.person(2).await, chain.person(3).await];
    let id = |n: usize| people[n].id.to_string();
    chain.bootstrap().await;
    for person in &people {
        chain.execute(&[create(person), grant(person)]).await;
    }
    chain.execute(&[transfer(&id(0), &id(1), 120), transfer(&id(1), &id(2), 600)]).await;
    let my = "MY".parse().unwrap();
    chain.execute(&[Command::ActivateTreasury { country_code: my }]).await;
    chain.execute(&[transfer("treasury_MY", "SYSTEM_CHARITABLE_POOL", 20)]).await;
    chain.execute(&[transfer("SYSTEM_CHARITABLE_POOL", &id(2), 5)]).await;

    let mut projector = chain.projector().with_max_blocks(1);
    let height = chain.height().await;
    let mut sums = 0;
    while chain.checkpoint().await.is_none_or(|at| at + 1 < height) {
        projector.step(crate::chain::BOUND).await.unwrap();
        if chain.one(r#"SELECT count(*) FROM "LedgerPool""#).await != "0" {
            assert_eq!(chain.total().await, Qirat::SUPPLY.to_string());
            sums += 1;
        }
    }
    assert!(sums >= 7, "{sums} blocks were summed up");
    assert_eq!(
        chain.one(r#"SELECT count(*) FROM "LedgerPoolMove" WHERE kind = 'TRANSFER'"#).await,
        "2"
    );
}

/// An account that was closed keeps its status, and a frozen one moves only between ACTIVE and
/// FROZEN.
#[tokio::test]
async fn statuses_move_only_along_the_table() {
    let chain = Chain::bootstrapped().await;
    let (open, closed) = (chain.person(1).await, chain.person(2).await);
    chain
        .sql(r#"UPDATE "UserProfile" SET status = 'CLOSED' WHERE "profileId" = 'profile-2'"#)
        .await;
    let frozen = |person: &crate::chain::Person| Command::FreezeWallet {
        user_id: person.id.clone(),
        reason_code: "COURT_ORDER".parse().unwrap(),
    };
    chain.execute(&[create(&open), frozen(&open), create(&closed), frozen(&closed)]).await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let statuses = r#"SELECT string_agg(status, ' ' ORDER BY "profileId") FROM "UserProfile""#;
    assert_eq!(chain.one(statuses).await, "FROZEN CLOSED");
    let reasons = r#"SELECT string_agg("frozenReason", ' ') FROM "LedgerUser""#;
    assert_eq!(chain.one(reasons).await, "COURT_ORDER COURT_ORDER");
    chain.execute(&[Command::UnfreezeWallet { user_id: open.id.clone() }]).await;
    chain.catch_up(&mut projector).await;
    assert_eq!(chain.one(statuses).await, "ACTIVE CLOSED");
    assert_eq!(chain.one(r#"SELECT count(*) FROM "LedgerUser" WHERE "isFrozen""#).await, "1");
}

/// A pause is in the read model until the resume.
#[tokio::test]
async fn a_pause_shows_until_the_resume() {
    let chain = Chain::bootstrapped().await;
    chain.execute(&[Command::PauseSystem { reason_code: "DRILL".parse().unwrap() }]).await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let paused = r#"SELECT concat_ws(' ', "isPaused", "pauseReason") FROM "LedgerSystem""#;
    assert_eq!(chain.one(paused).await, "t DRILL");
    chain.execute(&[Command::ResumeSystem {}]).await;
    chain.catch_up(&mut projector).await;
    assert_eq!(chain.one(paused).await, "f");
}
