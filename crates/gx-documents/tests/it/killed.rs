//! A process that dies at any step of an upload or an erasure leaves what the sweeper finds.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_documents::testing::{as_if_killed, passport};
use gx_documents::{DocumentType, Documents, FileClaim, UPLOAD_LIFE};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::world::{World, person, pieces, stored_files, upload};

/// Limit of the steps of one attempt.
const MAX_STEPS: usize = 400;
/// The same for an erasure, which changes many tables.
const MAX_ERASURE_STEPS: usize = 8_000;
/// An erasure is killed at one step in this many.
const ERASURE_STRIDE: usize = 17;
/// Name of the sessions of an attempt.
const KILLED: &str = "killed";

/// Runs `attempt` in a runtime of its own until it has waited `steps` times, and then drops it with
/// everything that it has started. Returns whether it had ended before.
fn run_until<F>(
    database: &TestDatabase,
    steps: usize,
    attempt: impl FnOnce(PgPool) -> F + Send,
) -> bool
where
    F: Future<Output = ()>,
{
    let url = database.url().to_owned();
    std::thread::scope(|scope| {
        let run = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Dropping the runtime waits for the writes that are under way.
            runtime.block_on(async {
                let options: PgConnectOptions = url.parse().unwrap();
                let options = options.application_name(KILLED);
                let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
                let mut future = pin!(attempt(pool));
                let mut left = steps;
                std::future::poll_fn(|context| match future.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(true),
                    Poll::Pending if left == 0 => Poll::Ready(false),
                    Poll::Pending => {
                        left -= 1;
                        Poll::Pending
                    }
                })
                .await
            })
        };
        scope.spawn(run).join().unwrap()
    })
}

/// Waits until the server has noticed that the sessions of an attempt are gone.
async fn wait_until_gone(world: &World) {
    for _ in 0..600 {
        let sessions: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = $1",
        )
        .bind(KILLED)
        .fetch_one(world.pool())
        .await
        .unwrap();
        if sessions == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the sessions of an attempt are still there");
}

async fn add(documents: &Documents, pool: &PgPool, file: &[u8]) {
    let anna = upload(&person("anna"), DocumentType::Passport, FileClaim::default());
    let received = documents.receive(pool, anna, pieces(file)).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    documents.commit(&mut tx, &received).await.unwrap();
    tx.commit().await.unwrap();
}

/// FILE-02: wherever an upload is killed, the sweeper leaves a document with its file, or neither.
#[tokio::test(flavor = "multi_thread")]
async fn file_02_a_killed_upload_leaves_a_document_with_its_file_or_neither() {
    let world = World::new().await;
    let (file, mut added) = (passport(), 0);
    for steps in 0..MAX_STEPS {
        let documents = as_if_killed(&world.documents);
        let has_ended = tokio::task::block_in_place(|| {
            run_until(&world.database, steps, async |pool| add(&documents, &pool, &file).await)
        });
        wait_until_gone(&world).await;
        world.clock.advance(UPLOAD_LIFE + Duration::from_secs(1));
        world.documents.sweep(world.pool()).await.unwrap();
        let rows: Vec<String> = sqlx::query_scalar(r#"SELECT "storageKey" FROM "KYCDocument""#)
            .fetch_all(world.pool())
            .await
            .unwrap();
        let (files, orphans) = world.files_and_orphans().await;
        assert_eq!(orphans, Vec::<String>::new(), "after {steps} steps");
        assert_eq!(files.len(), rows.len(), "after {steps} steps");
        assert!(rows.len() == added || rows.len() == added + 1, "after {steps} steps");
        added = rows.len();
        if has_ended {
            assert!(added >= 1);
            return;
        }
    }
    panic!("an upload takes more than {MAX_STEPS} steps");
}

/// CRY-03: wherever an erasure is killed, a repetition or the next start completes it; once its
/// record is written, no step brings anything back.
#[tokio::test(flavor = "multi_thread")]
async fn cry_03_a_killed_erasure_is_completed_by_the_next_start() {
    let world = World::new().await;
    for (round, steps) in (0..MAX_ERASURE_STEPS).step_by(ERASURE_STRIDE).enumerate() {
        let name = format!("p{steps}");
        world.add_person(&name).await;
        let document = world.add_for(&name, &passport()).await.unwrap();
        let documents = as_if_killed(&world.documents);
        let has_ended = tokio::task::block_in_place(|| {
            run_until(&world.database, steps, async |pool| {
                documents.erase(&pool, &person(&name), "REQUESTED").await.unwrap();
            })
        });
        wait_until_gone(&world).await;
        let is_recorded = std::fs::read_dir(world.folder.path().join("store/erasures"))
            .is_ok_and(|records| records.count() > round);
        world.documents.replay_erasures(world.pool()).await.unwrap();
        world.documents.sweep(world.pool()).await.unwrap();
        if !is_recorded {
            // Nothing was promised yet; the order is repeated.
            world.documents.erase(world.pool(), &person(&name), "REQUESTED").await.unwrap();
        }
        let row = world.document(&name, &document.document_id).await.unwrap();
        assert!(row.erased_at.is_some(), "after {steps} steps");
        assert!(world.documents.content(&document).await.is_err(), "after {steps} steps");
        assert_eq!(stored_files(&world.folder), Vec::<String>::new(), "after {steps} steps");
        if has_ended {
            return;
        }
    }
    panic!("an erasure takes more than {MAX_ERASURE_STEPS} steps");
}
