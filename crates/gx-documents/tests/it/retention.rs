//! PRIV-01: documents are kept for a time after the closing of the account, and a legal hold stops
//! their erasure.

use gx_documents::testing::passport;
use gx_documents::{
    ContentError, DocumentRetentionSettings, ErasureError, ErasureOrder, Housekeeper,
    KeyStoreError, RetentionStep, count_due_erasures, is_erased,
};
use time::Duration;

use crate::world::{World, person, stored_files};

/// How long documents are kept.
const KEPT_FOR: Duration = Duration::days(1_825);
const ORDER: ErasureOrder<'_> =
    ErasureOrder { reason_code: "REQUESTED", reason: Some("asked by letter") };

async fn due(world: &World) -> u64 {
    let mut conn = world.pool().acquire().await.unwrap();
    count_due_erasures(&mut conn, world.clock.now(), KEPT_FOR).await.unwrap()
}

/// PRIV-01, CRY-03: a person is erased with all documents once the time after the closing is over,
/// and not before; a dry run counts the same people.
#[tokio::test]
async fn priv_01_documents_are_erased_when_their_time_is_over() {
    let world = World::new().await;
    world.add_person("ben").await;
    let document = world.add(&passport()).await.unwrap();
    let kept = world.add_for("ben", &passport()).await.unwrap();
    world.close("anna", world.clock.now()).await;
    let eraser = world.documents.eraser();
    let nobody = RetentionStep { people: 0, is_over: true };
    assert_eq!(eraser.erase_due(world.pool(), KEPT_FOR).await.unwrap(), nobody);
    assert_eq!(due(&world).await, 0);

    world.clock.advance(std::time::Duration::from_hours(24 * 1_825));
    assert_eq!(due(&world).await, 1);
    let step = eraser.erase_due(world.pool(), KEPT_FOR).await.unwrap();
    assert_eq!(step, RetentionStep { people: 1, is_over: true });
    assert_eq!(eraser.remove_files(world.pool()).await.unwrap(), 1);
    let error = world.documents.content(&document).await.err().unwrap();
    assert!(matches!(error, ContentError::Keys(KeyStoreError::Erased)), "{error}");
    assert_eq!(stored_files(&world.folder).len(), 1);
    assert!(world.documents.content(&kept).await.is_ok(), "another person's are kept");
    assert_eq!(due(&world).await, 0);
    let records = std::fs::read_dir(world.folder.path().join("store/erasures")).unwrap();
    assert_eq!(records.count(), 1);
}

/// PRIV-01: a legal hold stops the retention and the order of an operator, and its end resumes
/// both.
#[tokio::test]
async fn priv_01_a_legal_hold_stops_every_erasure_until_it_ends() {
    let world = World::new().await;
    let document = world.add(&passport()).await.unwrap();
    let eraser = world.documents.eraser();
    let (pool, anna) = (world.pool(), person("anna"));
    let refused = eraser.erase(pool, &anna, ORDER).await.err().unwrap();
    assert!(matches!(refused, ErasureError::NotClosed), "{refused}");
    let refused = eraser.erase(pool, &person("nobody"), ORDER).await.err().unwrap();
    assert!(matches!(refused, ErasureError::NoAccount), "{refused}");

    world.close("anna", world.clock.now() - KEPT_FOR).await;
    world.hold("anna", true).await;
    let refused = eraser.erase(pool, &anna, ORDER).await.err().unwrap();
    assert!(matches!(refused, ErasureError::OnLegalHold), "{refused}");
    assert_eq!(eraser.erase_due(pool, KEPT_FOR).await.unwrap().people, 0);
    assert!(world.documents.content(&document).await.is_ok());

    world.hold("anna", false).await;
    assert_eq!(eraser.erase_due(pool, KEPT_FOR).await.unwrap().people, 1);
    assert!(world.documents.content(&document).await.is_err());
    let refused = eraser.erase(pool, &anna, ORDER).await.err().unwrap();
    assert!(matches!(refused, ErasureError::ErasedBefore), "{refused}");
}

/// PRIV-01: many people are erased in steps of a bounded size, and a step begins where another has
/// ended, whatever has ended it.
#[tokio::test]
async fn priv_01_many_people_are_erased_in_bounded_steps() {
    let world = World::new().await;
    for number in 0..45 {
        let id = format!("p{number}");
        world.add_person(&id).await;
        world.close(&id, world.clock.now()).await;
    }
    let settings = DocumentRetentionSettings { retention_documents_days: 0 };
    let keeper = Housekeeper::new(world.documents.clone(), world.pool().clone(), settings);
    let mut steps = Vec::new();
    for _ in 0..3 {
        let erased = keeper.step().await.unwrap().erased;
        steps.push((erased.people, erased.is_over));
    }
    assert_eq!(steps, [(20, false), (20, false), (5, true)]);
    let mut conn = world.pool().acquire().await.unwrap();
    assert!(is_erased(&mut conn, &person("p44")).await.unwrap());
    assert!(!is_erased(&mut conn, &person("anna")).await.unwrap());
}
