//! No account spends more than its balance, however many transfers are ordered at the same time,
//! and also if the read model is wrong.

use futures_util::future::join_all;
use gx_model::{AccountId, Command, Gx, TxType};
use gx_testkit::World;
use serde_json::json;

/// OUT-14, G4: of many orders at the same time, only as many are accepted as the balance covers
/// with their fees. Pending transfers are shown next to the balance until the ledger has them, also
/// if an answer of the orderer is lost; afterwards ledger and read model have the same balances.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_orders_takes_no_more_than_there_is() {
    let mut world = World::start().await;
    let (payer, receiver) = (world.gx.register(1).await, world.gx.register(2).await);
    world.admit(&[payer.clone(), receiver.clone()]).await;
    let (from, to) = (world.gx.id_of(&payer).await, world.gx.id_of(&receiver).await);

    let keys: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let answers = join_all(keys.iter().map(|key| world.gx.pay(&payer, key, &to, "50"))).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(taken, 9, "50.025 GX each, of 500");
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        let refused = (answer.status.as_u16(), answer.str("/code"));
        assert_eq!(refused, (409, "insufficient_balance"), "{}", answer.text);
    }

    let expect = async |world: &World, balance: &str, pending: &str| {
        let wallet = world.gx.wallet(&payer).await.unwrap();
        let shown =
            [wallet.str("/balance"), wallet.str("/pendingDebits"), wallet.str("/available")];
        assert_eq!(shown, [balance, pending, "49.775"]);
    };
    expect(&world, "500", "450.225").await;
    world.devnet.faults().drop_submit_replies(1);
    world.submit().await;
    expect(&world, "500", "450.225").await;
    world.settle().await;
    expect(&world, "49.775", "0").await;

    // An order with an earlier key is the earlier order, whatever the balance is now.
    let first = keys.iter().zip(&answers).find(|(_, answer)| answer.status == 202).unwrap().0;
    let again = world.gx.pay(&payer, first, &to, "50").await.expect(202);
    assert_eq!(world.gx.follow(&payer, again.str("/commandId")).await.str("/status"), "CONFIRMED");
    world.settle().await;
    for (account, qirat) in [(&from, 49_775_000), (&to, 950_000_000)] {
        assert_eq!(world.balance_on_chain(account).await, qirat);
    }
}

/// G4, OUT-11: the ledger itself refuses commands that did not come through the services, or that
/// were accepted on a wrong balance, each with its reason.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_itself_refuses_an_overdraft() {
    let mut world = World::start().await;
    let (payer, receiver) = (world.gx.register(1).await, world.gx.register(2).await);
    world.admit(&[payer.clone(), receiver.clone()]).await;
    let (from, to) = (world.gx.id_of(&payer).await, world.gx.id_of(&receiver).await);
    world.falsify_balance(&payer, 9_000_000_000).await;
    let ordered = world.gx.pay(&payer, "too much", &to, "500").await.expect(202);
    let mut unasked = Vec::new();
    for amount in ["300", "200.000001", "200"] {
        let Gx(amount) = amount.parse().unwrap();
        let (from, to) = (from.parse().unwrap(), AccountId::User(to.parse().unwrap()));
        let command = Command::Transfer { from, to, amount, tx_type: Some(TxType::P2p) };
        unasked.push(world.enqueue(&command).await);
    }
    world.settle().await;

    let ended = world.gx.follow(&payer, ordered.str("/commandId")).await.expect(200);
    let expected = json!({ "status": "FAILED", "reason": "INSUFFICIENT_BALANCE" });
    assert_eq!(
        [&ended.json["status"], &ended.json["reason"]],
        [&expected["status"], &expected["reason"]]
    );
    let mut statuses = Vec::new();
    for id in unasked {
        statuses.push(world.command_status(id).await);
    }
    // 300 GX and the fee of 0.3 GX leave 199.7 GX, which covers neither of the others.
    assert_eq!(statuses, ["COMMITTED", "REFUSED", "REFUSED"]);
    assert_eq!(world.balance_on_chain(&from).await, 199_700_000);
    assert_eq!(world.gx.balance(&payer).await, "199.7");
}
