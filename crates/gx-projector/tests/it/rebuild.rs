//! A rebuild of the read model next to the live one.

use std::time::Duration;

use gx_auth::audit::Actor;
use gx_model::{BatchCommand, BatchEvent, Clock};
use gx_projector::{
    ApplySettings, Correction, RebuildError, RebuildReport, Rebuilder, Verifier, VerifyLimits,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use time::macros::datetime;

use crate::chain::{
    BOUND, Chain, THREE_DIVERGENCES, create, create_id, grant, mixed_workload, transfer,
    without_number_two,
};
use crate::handmade::applied;
use crate::snapshot::{assert_same, read_model};

const OPERATOR: Correction<'static> = Correction::Apply(Actor::System("operator"));

fn rebuilder(chain: &Chain) -> Rebuilder {
    Rebuilder {
        pool: chain.db.pool().clone(),
        ledger: chain.ledger.clone(),
        settings: chain.settings(),
        clock: Clock::manual(datetime!(2031-05-05 05:05 UTC)),
    }
}

async fn rebuild(chain: &Chain, correction: Correction<'_>) -> Result<RebuildReport, RebuildError> {
    rebuilder(chain).run(correction, StdRng::seed_from_u64(7), |_| {}, |_| {}).await
}

/// PRJ-07, G3: after a mixed workload, a rebuild under the clock of another year finds every
/// projected table equal, row by row including ids and times, and changes nothing.
#[tokio::test]
async fn a_rebuild_under_a_shifted_clock_equals_the_live_rows() {
    let chain = Chain::bootstrapped().await;
    mixed_workload(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let before = read_model(&mut chain.db.connection().await).await;
    let report = rebuild(&chain, OPERATOR).await.unwrap();
    assert!(report.is_equal() && !report.switched, "{report:#?}");
    assert_eq!(u64::try_from(report.block_number).ok(), chain.checkpoint().await);
    assert_same(&before, &read_model(&mut chain.db.connection().await).await);
    assert_eq!(chain.one(r#"SELECT count(*) FROM gx_rebuild."EventLog""#).await, "0");
}

/// Statements that damage every projected table, each in another way.
const VANDALISM: &str = r#"
    UPDATE "EventLog" SET payload = '{}' WHERE "eventName" = 'SystemPaused';
    DELETE FROM "EventLog" WHERE "eventName" = 'WalletFrozen';
    UPDATE "LedgerSystem" SET "isPaused" = true;
    UPDATE "LedgerPool" SET "startBalance" = 5 WHERE "poolId" = 'SYSTEM_LOAN_POOL';
    DELETE FROM "LedgerCountry" WHERE "countryCode" = 'MY';
    UPDATE "LedgerPoolMove" SET amount = amount + 1;
    INSERT INTO "LedgerPoolMove" VALUES ('tx', 'SYSTEM_LOAN_POOL', 'FEE', 9, '2020-01-01Z');
    UPDATE "LedgerUser" SET "fabricUserId" = 'nobody' WHERE "profileId" = 'profile-3';
    UPDATE "Wallet" SET balance = balance + 1, "updatedAt" = '2020-01-01Z' WHERE kind = 'USER';
    DELETE FROM "Wallet" WHERE "accountId" = 'treasury_SG';
    DELETE FROM "Transaction" WHERE type = 'GENESIS';
    UPDATE "UserProfile" SET "fabricUserId" = NULL, "onchainStatus" = 'PENDING';
    UPDATE "UserProfile" AS p
    SET "onchainStatus" = 'REGISTERED', "onchainRegisteredAt" = '2020-01-01Z',
        "fabricUserId" = (SELECT r."fabricUserId" FROM "FabricIdReservation" r
                          WHERE r."profileId" = 'profile-' || (3 - right(p."profileId", 1)::int))
    WHERE p."profileId" IN ('profile-1', 'profile-2')
"#;

/// PRJ-07, G3: a rebuild reports any damage to the rows. It changes nothing if only a report is
/// requested, and otherwise makes the rows of the chain, but never changes an account's status.
#[tokio::test]
async fn a_rebuild_reports_and_corrects_any_damage_to_the_rows() {
    let chain = Chain::bootstrapped().await;
    mixed_workload(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let before = read_model(&mut chain.db.connection().await).await;
    chain.sql(VANDALISM).await;
    chain
        .sql(r#"UPDATE "UserProfile" SET status = 'SUSPENDED' WHERE "profileId" = 'profile-3'"#)
        .await;
    let vandalised = read_model(&mut chain.db.connection().await).await;

    let looked = rebuild(&chain, Correction::ReportOnly).await.unwrap();
    assert!(!looked.switched);
    assert_same(&vandalised, &read_model(&mut chain.db.connection().await).await);
    let tables: Vec<_> = looked.differences.iter().map(|one| one.table.as_str()).collect();
    let all = [
        "EventLog",
        "LedgerCountry",
        "LedgerPool",
        "LedgerPoolMove",
        "LedgerSystem",
        "LedgerUser",
        "Transaction",
        "UserProfile",
        "Wallet",
    ];
    assert_eq!(tables, all, "{looked:#?}");

    let report = rebuild(&chain, OPERATOR).await.unwrap();
    assert!(report.switched);
    assert_eq!(report.differences, looked.differences);
    chain
        .sql(r#"UPDATE "UserProfile" SET status = 'ACTIVE' WHERE "profileId" = 'profile-3'"#)
        .await;
    assert_same(&before, &read_model(&mut chain.db.connection().await).await);
    assert!(rebuild(&chain, Correction::ReportOnly).await.unwrap().is_equal());
    let audited = r#"SELECT count(*) FROM "AuditEntry" WHERE action LIKE 'projection.%'"#;
    assert_eq!(chain.one(audited).await, (report.rows.len() + 1).to_string());
}

/// PRJ-12: the report names one wrong balance, one wrong ledger id and one missing country; a
/// correction fixes them and writes its rows to the audit log; the next report is empty.
#[tokio::test]
async fn three_divergences_are_reported_repaired_and_audited() {
    let chain = Chain::bootstrapped().await;
    mixed_workload(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    chain.sql(THREE_DIVERGENCES).await;
    let verifier =
        Verifier::new(chain.db.pool().clone(), chain.ledger.clone(), VerifyLimits::default());
    assert_eq!(verifier.run(|_| {}).await.unwrap().differences, 3);
    let report = rebuild(&chain, OPERATOR).await.unwrap();
    assert!(report.switched);
    let named: Vec<_> = report.rows.iter().map(|row| row.table.as_str()).collect();
    assert_eq!(named, ["LedgerCountry", "UserProfile", "Wallet"]);
    assert!(verifier.run(|_| {}).await.unwrap().is_clean());
    assert!(rebuild(&chain, Correction::ReportOnly).await.unwrap().is_equal());
    let audited = r#"SELECT string_agg("targetType", ' ' ORDER BY seq) FROM "AuditEntry"
                     WHERE action = 'projection.row_repaired'"#;
    assert_eq!(chain.one(audited).await, "LedgerCountry UserProfile Wallet");
}

/// PRJ-07: an event that cannot be applied ends the rebuild with a message that names it, and
/// nothing is corrected.
#[tokio::test]
async fn a_dead_event_ends_a_rebuild() {
    let chain = Chain::bootstrapped().await;
    let event = json!({ "name": "MoneyPrinted", "version": 1, "aggregates": ["treasury_MY"],
        "data": { "amount": "1" } });
    let payload = serde_json::to_vec(&applied(1, &[event])).unwrap();
    chain.devnet.faults().replace_next_event(BatchEvent::NAME, &payload);
    chain.execute(&[transfer("SYSTEM_LOAN_POOL", "treasury_MY", 1)]).await;
    chain.catch_up(&mut chain.projector()).await;
    let error = rebuild(&chain, OPERATOR).await.unwrap_err();
    assert!(matches!(&error, RebuildError::DeadEvent { name, .. } if name == "MoneyPrinted"));
    assert_eq!(chain.one(r#"SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'"#).await, "1");
}

/// PRJ-07: a dead letter whose cause is gone is applied by the correction, and its account becomes
/// active as with any replay.
#[tokio::test]
async fn a_dead_letter_whose_cause_is_gone_is_applied_by_the_correction() {
    let chain = Chain::bootstrapped().await;
    let person = chain.person(2).await;
    chain.execute(&[create(&person), grant(&person)]).await;
    let settings = ApplySettings { decode: without_number_two, ..chain.settings() };
    chain.catch_up(&mut chain.projector_by(settings)).await;
    assert_eq!(chain.one(r#"SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'"#).await, "2");
    let report = rebuild(&chain, OPERATOR).await.unwrap();
    assert_eq!(report.replayed, 2, "{report:#?}");
    assert_eq!(chain.one(r#"SELECT count(*) FROM "EventDLQ" WHERE state = 'HELD'"#).await, "0");
    assert_eq!(chain.one(r#"SELECT status FROM "UserProfile""#).await, "ACTIVE");
    assert!(rebuild(&chain, Correction::ReportOnly).await.unwrap().is_equal());
}

/// PRJ-07: payments and the live projector continue, a reader keeps its transaction open over the
/// tables, and the rebuild corrects what was wrong. At each report of its progress, the rebuild is
/// held until a payment has been made and applied live.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_runs_while_the_live_projector_goes_on() {
    let chain = Chain::bootstrapped().await;
    let people = mixed_workload(&chain).await;
    let (from, to) = (people[0].id.to_string(), people[2].id.to_string());
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    chain.sql(r#"DELETE FROM "Transaction" WHERE type = 'GENESIS'"#).await;
    let mut reader = chain.db.pool().begin().await.unwrap();
    let grants = r#"SELECT count(*) FROM "Transaction", "Wallet" w, "LedgerCountry" c
                    WHERE type = 'GENESIS' AND w."accountId" = "Transaction"."accountId"
                      AND c."countryCode" = 'MY'"#;
    let read = sqlx::query_scalar::<_, i64>(grants).fetch_one(&mut *reader).await;
    assert_eq!(read.unwrap(), 0);

    let (moments, mut reached) = tokio::sync::mpsc::unbounded_channel();
    let rebuilder = rebuilder(&chain);
    let rebuilding = tokio::spawn(async move {
        let hold = || {
            let (go_on, held) = std::sync::mpsc::channel();
            moments.send(go_on).unwrap();
            tokio::task::block_in_place(|| held.recv_timeout(BOUND)).expect("a payment is applied");
        };
        rebuilder.run(OPERATOR, StdRng::seed_from_u64(7), |_| hold(), |_| hold()).await
    });
    let mut applied_meanwhile = 0;
    while let Some(go_on) = reached.recv().await {
        chain.execute(&[transfer(&from, &to, 1), transfer(&to, &from, 1)]).await;
        chain.apply_one(&mut projector).await;
        applied_meanwhile += 1;
        go_on.send(()).unwrap();
    }
    let report = rebuilding.await.unwrap().unwrap();
    assert!(applied_meanwhile > 0, "no block was applied while the rebuild ran");
    assert!(report.switched, "nothing was corrected: {report:#?}");
    let read = sqlx::query_scalar::<_, i64>(grants).fetch_one(&mut *reader).await;
    assert_eq!(read.unwrap(), 3, "the reader's transaction is the same and sees the rows");
    reader.rollback().await.unwrap();
    assert_eq!(report.differences.len(), 1, "{report:#?}");
    chain.catch_up(&mut projector).await;
    assert!(rebuild(&chain, Correction::ReportOnly).await.unwrap().is_equal());
    assert_eq!(chain.total().await, gx_model::Qirat::SUPPLY.to_string());
}

/// PRJ-07: a rebuild that dies has changed nothing, and the next one begins from block 0; a second
/// one at the same time is rejected.
#[tokio::test]
async fn a_rebuild_that_dies_leaves_nothing_behind_and_two_at_a_time_are_refused() {
    let chain = Chain::bootstrapped().await;
    mixed_workload(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let before = chain.rows().await;
    let one = rebuilder(&chain);
    let mut half = Box::pin(one.run(OPERATOR, StdRng::seed_from_u64(1), |_| {}, |_| {}));
    let copied = async {
        while chain.one(r#"SELECT count(*) FROM gx_rebuild."ProjectorState""#).await == "0" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let bounded = tokio::time::timeout(BOUND, copied);
    tokio::select! { biased; done = bounded => done.unwrap(), ended = &mut half => drop(ended) }
    if chain.one(r#"SELECT count(*) FROM gx_rebuild."ProjectorState""#).await == "1" {
        let second = rebuild(&chain, OPERATOR).await.unwrap_err();
        assert!(matches!(second, RebuildError::AlreadyRunning), "{second}");
    }
    drop(half);
    let again = async {
        loop {
            match rebuild(&chain, OPERATOR).await {
                Err(RebuildError::AlreadyRunning) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                done => return done.unwrap(),
            }
        }
    };
    assert!(tokio::time::timeout(BOUND, again).await.unwrap().is_equal());
    assert_eq!(chain.rows().await, before);
}

/// G2: a rebuild replays what commands did and settles none of them.
#[tokio::test]
async fn a_rebuild_settles_no_command() {
    let chain = Chain::bootstrapped().await;
    let person = chain.person(1).await;
    let create = BatchCommand::new(create_id(1), &create(&person));
    chain.execute_batch(&[create]).await;
    chain.catch_up(&mut chain.projector()).await;
    chain
        .sql(&format!(
            r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole",
                   "aggregateKey", lane, touches, "requestedBy", "nextAttemptAt", "createdAt",
                   "updatedAt")
               VALUES ('{}', 'CREATE_USER', '{{}}', 'ADMIN', 'a', 0, '{{}}', 'test', '2020-01-01Z',
                       '2020-01-01Z', '2020-01-01Z')"#,
            create_id(1)
        ))
        .await;
    assert!(rebuild(&chain, OPERATOR).await.unwrap().is_equal());
    assert_eq!(chain.one(r#"SELECT status FROM "OutboxCommand""#).await, "PENDING");
}
