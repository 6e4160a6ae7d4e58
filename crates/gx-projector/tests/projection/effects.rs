//! Accounts that are not known, and transactions that are not valid.

use gx_devnet::TxValidationCode;
use gx_model::{AccountId, Clock, DomainEvent, EventRecord, Qirat};
use gx_projector::{Selection, replay_dead};

use crate::people::{Person, country, transfer};
use crate::snapshot::{assert_same, read_model};
use crate::world::{CHANNEL, World};

/// PRJ-13: a transfer to somebody whom nobody here has reserved an id for is a dead letter
/// and no half of it is applied; once the reservation is there, the replay brings user and
/// money. Everybody else goes on meanwhile.
#[tokio::test]
async fn prj_13_an_unknown_account_is_a_dead_letter_and_never_dropped() {
    let world = World::bootstrapped().await;
    let (ann, ben) = (world.person(1, "MY").await, world.person(2, "SG").await);
    let stranger = Person::new(3, "MY");
    world.submit(&[ann.create(), ann.grant(), ben.create(), ben.grant()]).await;
    world.submit(&[stranger.create()]).await;
    world.submit(&[ann.pay(&stranger, 100)]).await;
    let later = world.submit(&[ben.freeze()]).await;
    let mut projector = world.projector();
    let applied = world.catch_up(&mut projector).await;

    let held: Vec<_> = applied.into_iter().flat_map(|block| block.held).collect();
    let unknown = format!("no account here has reserved {}", stranger.id);
    let behind = format!("held behind an earlier event of {}", stranger.id);
    let expected = [("UserCreated", unknown), ("TransferCompleted", behind)];
    assert_eq!(held, expected.map(|(name, reason)| (name.to_owned(), reason)));
    assert_eq!(world.balance(ann.id.as_str()).await, Some(500_000_000), "no half of a transfer");
    assert_eq!(world.status(&ben).await, "FROZEN");
    assert_eq!(crate::world::checkpoint(world.pool()).await, Some(later.block));

    let stranger = stranger.approved_in(world.pool()).await;
    let mut conn = world.conn().await;
    let (now, decode) = (Clock::system().now(), EventRecord::decode);
    let report = replay_dead(&mut conn, CHANNEL, Selection::All, decode, now).await.unwrap();
    assert_eq!((report.replayed.len(), report.still_held.len()), (2, 0), "{report:?}");
    assert_eq!(world.balance(stranger.id.as_str()).await, Some(100_000_000));
    // 100 GX within one country cost 5 basis points.
    assert_eq!(world.balance(ann.id.as_str()).await, Some(500_000_000 - 100_000_000 - 50_000));
    assert_eq!(world.status(&stranger).await, "ACTIVE");
}

/// PRJ-13: a transfer between ids that the ledger itself made up is a dead letter that names
/// the account; a treasury's and a pool's name are never taken for a person's.
#[tokio::test]
async fn prj_13_a_transfer_to_an_account_of_nobody_names_the_account() {
    let world = World::bootstrapped().await;
    let ann = world.person(1, "MY").await;
    world.submit(&[ann.create(), ann.grant()]).await;
    let nobody = AccountId::Treasury(country("FR"));
    let event = DomainEvent::TransferCompleted {
        from: ann.account(),
        to: nobody,
        amount: Qirat::gx(1),
        fee: Qirat::ZERO,
        tx_type: None,
        from_balance: Qirat::gx(499),
        to_balance: Qirat::gx(1),
    };
    let said = EventRecord::from(&event).json().clone();
    world.submit_saying(&[ann.freeze()], &[said]).await;
    let applied = world.catch_up(&mut world.projector()).await;
    let held = applied.into_iter().flat_map(|block| block.held).next().unwrap();
    assert_eq!(held.1, "the read model has no account treasury_FR");
    assert_eq!(world.balance(ann.id.as_str()).await, Some(500_000_000));
    assert_eq!(world.count(r#"SELECT count(*) FROM "Transaction" WHERE type = 'TRANSFER'"#).await, 0);
}

/// PRJ-13: treasuries are locked until they are activated, each by itself.
#[tokio::test]
async fn prj_13_activating_one_treasury_leaves_the_others_locked() {
    let world = World::bootstrapped().await;
    let ann = world.person(1, "MY").await;
    world.submit(&[ann.create(), ann.grant()]).await;
    let activate = gx_model::Command::ActivateTreasury { country_code: country("MY") };
    world.submit(&[activate, transfer(&"treasury_MY".parse().unwrap(), &ann.account(), 20)]).await;
    world.catch_up(&mut world.projector()).await;
    let locked = r#"SELECT "accountId" FROM "Wallet" WHERE "isLocked" ORDER BY 1"#;
    assert_eq!(world.texts(locked).await, ["treasury_SG", "treasury_US"]);
    assert_eq!(world.balance("treasury_MY").await, Some(30_000_000));
    assert_eq!(world.balance(ann.id.as_str()).await, Some(520_000_000));
}

/// FAB-07: a transaction that the ledger found invalid stays in its block with its event and
/// has no effect on any row, whatever the code.
#[tokio::test]
async fn fab_07_an_invalid_transaction_has_no_effect() {
    let world = World::bootstrapped().await;
    let (ann, ben) = (world.person(1, "MY").await, world.person(2, "MY").await);
    world.submit(&[ann.create(), ann.grant(), ben.create()]).await;
    let mut projector = world.projector();
    world.catch_up(&mut projector).await;
    let before = read_model(&mut world.conn().await).await;
    let codes = [
        TxValidationCode::MvccReadConflict,
        TxValidationCode::PhantomReadConflict,
        TxValidationCode::EndorsementPolicyFailure,
        TxValidationCode::BadRwset,
    ];
    for code in codes {
        world.faults().force_validation_code(1, code);
        let batch = crate::world::batch(&[ann.pay(&ben, 1), ann.freeze()]);
        let committed = world.commit(&batch).await;
        assert_eq!(committed.code.name(), code.as_str_name());
        let block = world.ledger.block(committed.block).await.unwrap();
        assert!(block.transactions[0].event.is_some(), "its event is in the block");
        let applied = world.catch_up(&mut projector).await;
        assert_eq!(applied[0].invalid, [code.as_str_name()]);
        assert_eq!(applied[0].events, 0);
    }
    let mut after = read_model(&mut world.conn().await).await;
    after.insert("ProjectorState", before["ProjectorState"].clone());
    assert_same(&before, &after);
}
