//! A database restored from before an approval that the ledger already carries.

use gx_model::EventRecord;
use gx_projector::{Projector, Selection, replay_dead};
use gx_testkit::World;
use gx_testkit::story::Person;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::{Connection as _, PgConnection};

/// What the older backup does not have: everything that came after the checkpoint, done by
/// hand because the person, too, is put back to where the backup had her.
const OLDER_BACKUP: &str = r#"
    SET session_replication_role = replica;
    DELETE FROM "LedgerAttempt";
    DELETE FROM "OutboxCommand" WHERE "profileId" IS NOT NULL;
    DELETE FROM "FabricIdReservation";
    DELETE FROM "EventLog" WHERE "eventName" IN ('UserCreated', 'GenesisDistributed');
    DELETE FROM "Transaction";
    DELETE FROM "Wallet" WHERE kind = 'USER';
    UPDATE "Wallet" SET balance = 0;
    DELETE FROM "LedgerUser";
    UPDATE "LedgerCountry" SET users = 0, "userTotal" = 0, "treasuryTotal" = 0;
    UPDATE "KYCVerification" SET status = 'PENDING', "decidedAt" = NULL, "decidedBy" = NULL;
    UPDATE "UserProfile"
    SET status = 'PENDING_ADMIN_APPROVAL', "onchainStatus" = 'NOT_REGISTERED',
        "fabricUserId" = NULL, "onchainRegisteredAt" = NULL, "approvalCount" = 0;
    SET session_replication_role = origin;"#;

/// G2: the person is approved, granted, and then forgotten by a restore. Her events are dead
/// letters, for nobody knows whose id that is. Approving her again draws the same id and the
/// ledger recognises the command; replaying the dead letters brings her back, with one grant.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_forgotten_by_a_restore_is_not_created_twice() {
    let mut world = World::start().await;
    let before = checkpoint(&world).await;
    let person = world.participant(1).await;
    let id = world.gx.wallet(&person).await.unwrap().str("/fabricUserId").to_owned();
    restore(&mut world, &before).await;

    world.settle().await;
    assert!(world.gx.wallet(&person).await.is_none(), "her events are held");
    let again = world.gx.approve(&world.admin_token().await, &person).await.expect(200);
    assert_eq!(again.str("/fabricUserId"), id, "the same approval draws the same id");
    world.settle().await;
    replay(&world).await;

    let wallet = world.gx.wallet(&person).await.unwrap();
    assert_eq!((wallet.str("/balance"), wallet.str("/fabricUserId")), ("500", id.as_str()));
    assert_eq!(people_granted(&world, &person).await, 1);
}

type Checkpoint = (i64, Vec<u8>);

async fn checkpoint(world: &World) -> Checkpoint {
    sqlx::query_as(r#"SELECT "blockNumber", "blockHash" FROM "ProjectorState""#)
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}

/// Puts the database back, and starts a projector that knows nothing of what was.
async fn restore(world: &mut World, (number, hash): &Checkpoint) {
    let mut sql = PgConnection::connect(world.database.url()).await.unwrap();
    sqlx::raw_sql(OLDER_BACKUP).execute(&mut sql).await.unwrap();
    sqlx::query(r#"UPDATE "ProjectorState" SET "blockNumber" = $1, "blockHash" = $2"#)
        .bind(number)
        .bind(hash)
        .execute(&mut sql)
        .await
        .unwrap();
    world.projector.stop();
    let parts = world.projector.parts().clone();
    world.projector = Projector::new(parts, StdRng::seed_from_u64(4));
}

async fn replay(world: &World) {
    let mut conn = world.database.pool().acquire().await.unwrap();
    let (decode, now) = (EventRecord::decode, world.clock.now());
    let report = replay_dead(&mut conn, "gxchannel", Selection::All, decode, now).await.unwrap();
    assert!(report.still_held.is_empty(), "{report:?}");
}

async fn people_granted(world: &World, person: &Person) -> i64 {
    let treasury = world.gx.tokenomics.get("/api/v1/treasury/MY", &person.token).await;
    assert_eq!(treasury.expect(200).str("/balance"), "50");
    sqlx::query_scalar(r#"SELECT users FROM "LedgerCountry" WHERE "countryCode" = 'MY'"#)
        .fetch_one(world.database.pool())
        .await
        .unwrap()
}
