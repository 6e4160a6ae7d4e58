//! People of the ledger without an owner, and how they get one.

use std::time::Duration;

use gx_auth::audit::Actor;
use gx_db::ProfileId;
use gx_model::{BatchCommand, Clock, Command, CommandId, FabricUserId};
use gx_outbox::failure::RetryPolicy;
use gx_outbox::tasks::{self, Task, TaskRow};
use gx_projector::{
    Correction, Disagreement, LeadSettings, Projector, RebuildReport, Rebuilder, Subject,
    Verification, Verifier, VerifyLimits,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use time::macros::datetime;

use crate::chain::{BOUND, CHANNEL, Chain, Person, create, create_id, grant};
use crate::commands::{eager_projector, send_due, want};

/// An id that the ledger has and that no account has reserved.
fn elsewhere(n: u32) -> FabricUserId {
    format!("MY 463 AUN834 0QKZX {n:04}").parse().unwrap()
}

fn grant_id(n: u32) -> CommandId {
    CommandId::derive(&["grant", &n.to_string()])
}

/// Returns an approved account without a reservation, and the person that the ledger created for
/// it.
async fn forgotten(chain: &Chain, n: u32) -> (Person, Person) {
    let account = chain.person(n).await;
    chain
        .sql(&format!(r#"DELETE FROM "FabricIdReservation" WHERE "profileId" = 'profile-{n}'"#))
        .await;
    let person = Person { profile_id: account.profile_id.clone(), id: elsewhere(n) };
    (account, person)
}

/// Reserves an id for an account.
async fn reserve(chain: &Chain, id: &FabricUserId, profile_id: &ProfileId, command_id: &str) {
    chain
        .sql(&format!(
            r#"INSERT INTO "FabricIdReservation"
               VALUES ('{id}', '{profile_id}', '{command_id}', '2020-01-01Z')"#
        ))
        .await;
}

async fn ask(chain: &Chain, id: &FabricUserId) -> String {
    let task_id = format!("adopt {id} {}", rand::random::<u32>());
    let task = Task::AdoptPerson { fabric_user_id: id.clone() };
    let row = TaskRow::new(&task_id, CHANNEL, task, "operator", chain.clock.now());
    tasks::ask(&mut chain.db.connection().await, &row).await.unwrap();
    task_id
}

/// Steps until the projector has written the report of a task, and returns the report.
async fn report(chain: &Chain, projector: &mut Projector, task_id: &str) -> Value {
    let mut conn = chain.db.connection().await;
    let deadline = tokio::time::Instant::now() + BOUND;
    loop {
        let task = tasks::get(&mut conn, task_id).await.unwrap().unwrap();
        if let Some(report) = task.report {
            return report;
        }
        assert!(tokio::time::Instant::now() < deadline, "task {task_id} was not carried out");
        projector.step(Duration::from_millis(1)).await.unwrap();
    }
}

async fn profile(chain: &Chain, n: u32) -> String {
    chain
        .one(&format!(
            r#"SELECT concat_ws('|', status, "onchainStatus", "fabricUserId") FROM "UserProfile"
               WHERE "profileId" = 'profile-{n}'"#
        ))
        .await
}

async fn owners(chain: &Chain, id: &FabricUserId) -> String {
    chain
        .one(&format!(
            r#"SELECT concat_ws('|', u."profileId", w."profileId", w.balance)
               FROM "LedgerUser" u JOIN "Wallet" w ON w."accountId" = u."fabricUserId"
               WHERE u."fabricUserId" = '{id}'"#
        ))
        .await
}

async fn verify(chain: &Chain, people_at_once: u32) -> (Verification, Vec<Disagreement>) {
    let limits = VerifyLimits { people_at_once, ..VerifyLimits::default() };
    let verifier = Verifier::new(chain.db.pool().clone(), chain.ledger.clone(), limits);
    let mut found = Vec::new();
    let report = verifier.run(|one| found.push(one.clone())).await.unwrap();
    (report, found)
}

async fn rebuild(chain: &Chain, correction: Correction<'_>) -> RebuildReport {
    let rebuilder = Rebuilder {
        pool: chain.db.pool().clone(),
        ledger: chain.ledger.clone(),
        settings: chain.settings(),
        clock: Clock::manual(datetime!(2031-05-05 05:05 UTC)),
    };
    rebuilder.run(correction, StdRng::seed_from_u64(7), |_| {}, |_| {}).await.unwrap()
}

fn freeze(id: &FabricUserId) -> Command {
    Command::FreezeWallet { user_id: id.clone(), reason_code: "COURT_ORDER".parse().unwrap() }
}

/// PRJ-15, G2: an approval is repeated with other content before the read model has its first
/// outcome, so that the ledger answers with a mismatch. The command took effect: the account owns
/// the person of the first outcome, frozen if the ledger froze the person, and has one grant,
/// whether the ledger had already paid it and under whichever id.
#[tokio::test]
async fn a_mismatched_creation_gives_the_person_of_the_first_one() {
    for (has_grant, is_frozen) in [(true, false), (false, false), (true, true)] {
        let chain = Chain::bootstrapped().await;
        let (account, person) = forgotten(&chain, 1).await;
        let mut first = vec![BatchCommand::new(create_id(1), &create(&person))];
        if has_grant {
            first.push(BatchCommand::new(grant_id(1), &grant(&person)));
        }
        chain.execute_batch(&first).await;
        if is_frozen {
            chain.execute(&[freeze(&person.id)]).await;
        }
        let mut projector = eager_projector(&chain, RetryPolicy::default());
        chain.catch_up(&mut projector).await;
        let balance = if has_grant { 500_000_000 } else { 0 };
        assert_eq!(owners(&chain, &person.id).await, balance.to_string(), "nobody's");

        reserve(&chain, &account.id, &account.profile_id, &create_id(1).to_string()).await;
        want(&chain, create_id(1), &create(&account), &account).await;
        want(&chain, grant_id(1), &grant(&account), &account).await;
        send_due(&chain, &mut projector).await;
        let created = r#"SELECT concat_ws('|', status, outcome ->> 'status',
                                          outcome ->> 'fabricUserId')
                         FROM "OutboxCommand" WHERE kind = 'CREATE_USER'"#;
        assert_eq!(chain.one(created).await, format!("COMMITTED|MISMATCH|{}", person.id));
        let status = if is_frozen { "FROZEN" } else { "ACTIVE" };
        assert_eq!(profile(&chain, 1).await, format!("{status}|REGISTERED|{}", person.id));
        let refused = r#"SELECT outcome ->> 'status' FROM "OutboxCommand"
                         WHERE kind = 'DISTRIBUTE_GENESIS' AND status = 'REFUSED'"#;
        let why = if has_grant { "MISMATCH" } else { "REFUSED" };
        assert_eq!(chain.one(refused).await, why, "operators see that this one was wrong");
        if !has_grant {
            send_due(&chain, &mut projector).await;
        }
        assert_eq!(owners(&chain, &person.id).await, "profile-1|profile-1|500000000");
        let open = r#"SELECT count(*) FROM "OutboxCommand" WHERE "settledAt" IS NULL"#;
        assert_eq!(chain.one(open).await, "0");
        assert_eq!(chain.one(r#"SELECT count(*) FROM "LedgerUser""#).await, "1");
        let (report, found) = verify(&chain, 500).await;
        assert!(report.is_clean(), "{found:#?}");
        assert!(rebuild(&chain, Correction::ReportOnly).await.is_equal());
    }
}

/// PRJ-15, G2: if the first outcome was a refusal, a mismatch sends the account back to review.
#[tokio::test]
async fn a_mismatched_refusal_goes_back_to_review() {
    let chain = Chain::bootstrapped().await;
    let (account, person) = forgotten(&chain, 1).await;
    let Command::CreateUser { user_id, biometric_hash, age, .. } = create(&person) else {
        unreachable!("it creates a user")
    };
    let nationality = "SG".parse().unwrap();
    let refused = Command::CreateUser { user_id, biometric_hash, nationality, age };
    chain.execute_batch(&[BatchCommand::new(create_id(1), &refused)]).await;
    let mut projector = eager_projector(&chain, RetryPolicy::default());
    chain.catch_up(&mut projector).await;
    reserve(&chain, &account.id, &account.profile_id, &create_id(1).to_string()).await;
    want(&chain, create_id(1), &create(&account), &account).await;
    send_due(&chain, &mut projector).await;
    assert_eq!(profile(&chain, 1).await, "PENDING_ADMIN_APPROVAL|FAILED");
    let refused = r#"SELECT concat_ws('|', status, outcome ->> 'status') FROM "OutboxCommand""#;
    assert_eq!(chain.one(refused).await, "REFUSED|MISMATCH");
}

/// PRJ-15: an adoption task sets the owner between blocks and reports the result. Only an account
/// that waits for the ledger becomes active, or frozen if the person is frozen; a suspended, denied
/// or closed account keeps its status.
#[tokio::test]
async fn an_adoption_keeps_the_accounts_status_but_for_the_ones_that_wait() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    let cases = [
        ("APPROVED_PENDING_ONCHAIN", false, "ACTIVE"),
        ("APPROVED_PENDING_ONCHAIN", true, "FROZEN"),
        ("ACTIVE", true, "FROZEN"),
        ("SUSPENDED", true, "SUSPENDED"),
        ("DENIED", false, "DENIED"),
        ("CLOSED", false, "CLOSED"),
        ("PENDING_ADMIN_APPROVAL", true, "PENDING_ADMIN_APPROVAL"),
    ];
    let mut asked = Vec::new();
    for ((status, is_frozen, expected), n) in cases.into_iter().zip(1..) {
        let (_, person) = forgotten(&chain, n).await;
        chain.execute(&[create(&person), grant(&person)]).await;
        if is_frozen {
            chain.execute(&[freeze(&person.id)]).await;
        }
        chain
            .sql(&format!(
                r#"SET session_replication_role = replica;
                   UPDATE "UserProfile" SET status = '{status}', "isLocked" = true
                   WHERE "profileId" = 'profile-{n}'; RESET session_replication_role"#
            ))
            .await;
        chain.catch_up(&mut projector).await;
        reserve(&chain, &person.id, &person.profile_id, &format!("command {n}")).await;
        asked.push((n, ask(&chain, &person.id).await, person, expected));
    }
    for (n, task_id, person, expected) in asked {
        let told = report(&chain, &mut projector, &task_id).await;
        let profile_id = &person.profile_id;
        let done =
            json!({ "fabricUserId": person.id, "profileId": profile_id, "status": expected });
        assert_eq!(told, done);
        assert_eq!(profile(&chain, n).await, format!("{expected}|REGISTERED|{}", person.id));
        let owned = format!("{profile_id}|{profile_id}|500000000");
        assert_eq!(owners(&chain, &person.id).await, owned);
    }
    let locked = r#"SELECT count(*) FROM "UserProfile" WHERE "isLocked""#;
    assert_eq!(chain.one(locked).await, "7");
    assert!(verify(&chain, 3).await.0.is_clean());
    assert!(rebuild(&chain, Correction::ReportOnly).await.is_equal());
}

/// PRJ-15: an adoption that cannot be carried out says why, and holds back no other one.
#[tokio::test]
async fn an_adoption_that_cannot_be_carried_out_says_why() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    let owned = chain.person(1).await;
    let (_, unreserved) = forgotten(&chain, 2).await;
    let (_, second) = forgotten(&chain, 3).await;
    let (_, adopted) = forgotten(&chain, 4).await;
    chain.execute(&[&owned, &unreserved, &second, &adopted].map(create)).await;
    chain.catch_up(&mut projector).await;
    reserve(&chain, &second.id, &owned.profile_id, "second").await;
    reserve(&chain, &adopted.id, &adopted.profile_id, "adopted").await;
    reserve(&chain, &elsewhere(9), &"profile-3".to_owned().into(), "not there").await;
    for (id, why) in [
        (&unreserved.id, "no account here has reserved this id".to_owned()),
        (&second.id, format!("profile-1 owns another person of the ledger, {}", owned.id)),
        (&elsewhere(9), "does not have this person's creation".to_owned()),
    ] {
        let task_id = ask(&chain, id).await;
        let after = ask(&chain, &adopted.id).await;
        let told = report(&chain, &mut projector, &task_id).await;
        assert!(told["error"].as_str().is_some_and(|error| error.contains(&why)), "{told}");
        let told = report(&chain, &mut projector, &after).await;
        assert_eq!(told["profileId"], adopted.profile_id.as_str());
    }
}

/// PRJ-15, G3: a rebuild uses the same reservations, whether it runs before or after the projector
/// has set an owner. It never changes the account's status.
#[tokio::test]
async fn a_rebuild_and_an_adoption_come_out_the_same_in_any_order() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    let (_, person) = forgotten(&chain, 1).await;
    chain.execute(&[create(&person), grant(&person)]).await;
    chain.execute(&[freeze(&person.id)]).await;
    chain.catch_up(&mut projector).await;
    assert!(rebuild(&chain, Correction::ReportOnly).await.is_equal(), "nobody's on both sides");

    reserve(&chain, &person.id, &person.profile_id, "an adoption").await;
    let report_of = rebuild(&chain, Correction::Apply(Actor::System("operator"))).await;
    let tables: Vec<_> = report_of.differences.iter().map(|one| one.table.as_str()).collect();
    assert_eq!(tables, ["LedgerUser", "UserProfile", "Wallet"]);
    assert_eq!(owners(&chain, &person.id).await, "profile-1|profile-1|500000000");
    let waiting = format!("APPROVED_PENDING_ONCHAIN|REGISTERED|{}", person.id);
    assert_eq!(profile(&chain, 1).await, waiting, "a rebuild moves no status");
    let task_id = ask(&chain, &person.id).await;
    report(&chain, &mut projector, &task_id).await;
    assert_eq!(profile(&chain, 1).await, format!("FROZEN|REGISTERED|{}", person.id));
    assert!(rebuild(&chain, Correction::ReportOnly).await.is_equal());
}

/// PRJ-15: an adoption that is carried out while a rebuild is under way, after the person's block
/// was applied to the copy, is not undone by the switch.
#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_during_a_rebuild_outlives_the_switch() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    let (_, person) = forgotten(&chain, 1).await;
    chain.execute(&[create(&person), grant(&person)]).await;
    chain.catch_up(&mut projector).await;
    // The wallet is among the rows that the rebuild puts right.
    let wrong = r#"UPDATE "Wallet" SET balance = balance + 1 WHERE "accountId" = '{id}'"#;
    chain.sql(&wrong.replace("{id}", person.id.as_str())).await;
    let adopted = async {
        reserve(&chain, &person.id, &person.profile_id, "an adoption").await;
        let task_id = ask(&chain, &person.id).await;
        report(&chain, &mut projector, &task_id).await
    };
    let mut adopted = Some(Box::pin(adopted));
    let between = |_: &RebuildReport| {
        let adopted = adopted.take().expect("a rebuild finds once");
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| runtime.block_on(adopted));
    };
    let rebuilder = Rebuilder {
        pool: chain.db.pool().clone(),
        ledger: chain.ledger.clone(),
        settings: chain.settings(),
        clock: chain.clock.clone(),
    };
    let operator = Correction::Apply(Actor::System("operator"));
    let rng = StdRng::seed_from_u64(7);
    let done = rebuilder.run(operator, rng, |_| {}, between).await.unwrap();
    assert!(done.switched, "{done:?}");
    assert_eq!(owners(&chain, &person.id).await, "profile-1|profile-1|500000000");
    assert!(rebuild(&chain, Correction::ReportOnly).await.is_equal());
}

/// PRJ-12, PRJ-15: people without an owner are also compared with the chain, a few at a time, and
/// so are reservations whose people only the chain has.
#[tokio::test]
async fn a_wrong_row_without_an_owner_is_a_difference() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    let mut people = vec![];
    for n in 1..=5 {
        let person = match n {
            1 | 2 => chain.person(n).await,
            _ => forgotten(&chain, n).await.1,
        };
        chain.execute(&[create(&person), grant(&person)]).await;
        people.push(person);
    }
    chain.catch_up(&mut projector).await;
    for people_at_once in [1, 2, 500] {
        let (clean, found) = verify(&chain, people_at_once).await;
        assert_eq!((clean.people, clean.is_clean(), found), (5, true, vec![]));
    }
    let [of_nobody, lost] = [&people[3].id, &people[0].id];
    chain
        .sql(&format!(
            r#"UPDATE "Wallet" SET balance = balance + 1 WHERE "accountId" = '{of_nobody}';
               DELETE FROM "Wallet" WHERE "accountId" = '{lost}';
               DELETE FROM "LedgerUser" WHERE "fabricUserId" = '{lost}';"#
        ))
        .await;
    let (report, mut found) = verify(&chain, 2).await;
    assert_eq!((report.people, report.differences), (5, 2), "{found:#?}");
    found.sort_by_key(|one| one.facts.len());
    let subjects: Vec<_> = found.iter().map(|one| one.subject.clone()).collect();
    assert_eq!(subjects, [of_nobody, lost].map(|id| Subject::Person(id.to_string())));
    assert_eq!(found[0].facts[0].fact, "Wallet.balance");
}

/// PRJ-12, PRJ-15: a person that an account has reserved and does not own is a difference, unless
/// the projector still has to set the owner.
#[tokio::test]
async fn an_owner_who_is_missing_is_a_difference() {
    let chain = Chain::bootstrapped().await;
    let mut projector = chain.projector();
    let (_, person) = forgotten(&chain, 1).await;
    chain.execute(&[create(&person)]).await;
    chain.catch_up(&mut projector).await;
    reserve(&chain, &person.id, &person.profile_id, "an adoption").await;
    let (_, found) = verify(&chain, 500).await;
    let [missing] = &found[..] else { panic!("{found:#?}") };
    let named: Vec<_> = missing.facts.iter().map(|fact| fact.fact.as_str()).collect();
    let owner = ["LedgerUser.profileId", "UserProfile.fabricUserId", "UserProfile.isRegistered"];
    assert_eq!(named, [&owner[..], &["Wallet.profileId"]].concat());
    let task_id = ask(&chain, &person.id).await;
    assert!(verify(&chain, 500).await.0.is_clean(), "the projector is asked");
    report(&chain, &mut projector, &task_id).await;
    assert!(verify(&chain, 500).await.0.is_clean());
}

/// PRJ-15: however many adoptions are asked for at once, as after a restore that forgot
/// thousands, a bounded number of them is carried out in one transaction between two blocks.
#[tokio::test]
async fn many_adoptions_are_carried_out_a_part_at_a_time() {
    let chain = Chain::bootstrapped().await;
    // However slow the machine is, the lead is not what this is about.
    let lead = LeadSettings { progress_timeout: 20 * BOUND, ..LeadSettings::default() };
    let mut projector = chain.projector().with_lead(lead);
    chain.catch_up(&mut projector).await;
    chain
        .sql(&format!(
            r#"INSERT INTO "ProjectorTask" ("taskId", channel, kind, arguments, "requestedBy",
                                            "requestedAt")
               SELECT 'adopt ' || n, '{CHANNEL}', 'ADOPT_PERSON',
                      jsonb_build_object('fabricUserId',
                                         'MY 463 AUN834 0QKZX ' || lpad(n::text, 4, '0')),
                      'operator', '2020-01-01Z'
               FROM generate_series(1, 501) AS n"#
        ))
        .await;
    let at_once = r#"SELECT max(count) FROM (
                         SELECT count(*) FROM "ProjectorTask" WHERE state = 'DONE'
                         GROUP BY xmin::text) AS transactions"#;
    let done = r#"SELECT count(*) FROM "ProjectorTask" WHERE state = 'DONE'"#;
    let deadline = tokio::time::Instant::now() + 10 * BOUND;
    while chain.one(done).await != "501" {
        assert!(tokio::time::Instant::now() < deadline, "{} are done", chain.one(done).await);
        projector.step(Duration::from_millis(1)).await.unwrap();
    }
    assert_eq!(chain.one(at_once).await, "500");
}
