//! Adoption, through the router and on a read model that the tests write.

use gx_auth::AdminRole;
use gx_auth::audit::Actor;
use gx_auth::testing::{Answer, CHANNEL, TestHost};
use gx_db::ProfileId;
use gx_model::{AccountStatus, AccountType, CommandId, FabricUserId, Gender, IdSubject};
use gx_outbox::tasks::{self, Task};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use sqlx::Connection as _;
use time::Date;
use time::macros::date;

use super::ask_adoption;
use crate::commands::AuditedDecision;
use crate::tests::host;

const EMAIL: &str = "sarah@gxtest.com";
const BORN: Date = date!(1992 - 08 - 20);

/// Returns an id that the ledger could have for a person.
fn id_of(email: &str, birth_date: Date, country: &str, gender: Gender) -> FabricUserId {
    let subject = IdSubject {
        email: email.to_owned(),
        birth_date,
        country: country.parse().unwrap(),
        gender,
        account_type: AccountType::Individual,
    };
    FabricUserId::generate(&subject, &mut StdRng::seed_from_u64(1)).unwrap()
}

fn sarahs() -> FabricUserId {
    id_of(EMAIL, BORN, "MY", Gender::Female)
}

/// Adds a person of the ledger, as the projector does.
async fn add(host: &TestHost, id: &FabricUserId, created_by: &str, owner: Option<&str>) {
    sqlx::query(
        r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId",
               "createdCommandId", "createdAt")
           VALUES ($1, $2, 'MY', 'tx', $3, now())"#,
    )
    .bind(id.as_str())
    .bind(owner)
    .bind(created_by)
    .execute(host.database.pool())
    .await
    .unwrap();
    sqlx::query(
        r#"INSERT INTO "EventLog" (channel, "blockNumber", "txId", "eventIndex", "txIndex",
               "commandId", "eventName", payload, "ledgerAt")
           VALUES ($1, 1, $2, 0, 0, $3, 'UserCreated',
                   jsonb_build_object('data', jsonb_build_object('userId', $2)), now())"#,
    )
    .bind(CHANNEL)
    .bind(id.as_str())
    .bind(created_by)
    .execute(host.database.pool())
    .await
    .unwrap();
}

async fn run(host: &TestHost, sql: &'static str) {
    sqlx::raw_sql(sql).execute(host.database.pool()).await.unwrap();
}

async fn adopt(host: &TestHost, token: &str, id: &FabricUserId, profile_id: &str) -> Answer {
    let body = json!({ "fabricUserId": id, "profileId": profile_id, "reason": "ticket 7" });
    host.post("/api/v1/admin/projection/adopt", token, &body).await
}

async fn approve(host: &TestHost, token: &str, profile_id: &str) -> Answer {
    host.post(&format!("/api/v1/admin/users/{profile_id}/approve"), token, &json!({})).await
}

fn creation_id(profile_id: &str, number: i32) -> String {
    CommandId::derive(&[profile_id, "CREATE_USER", &number.to_string()]).to_string()
}

async fn reservations(host: &TestHost) -> Vec<(String, String, String)> {
    let sql = r#"SELECT "fabricUserId", "profileId", "commandId" FROM "FabricIdReservation""#;
    sqlx::query_as(sql).fetch_all(host.database.pool()).await.unwrap()
}

async fn wanted(host: &TestHost) -> Vec<(String, String, Value)> {
    let sql = r#"SELECT "commandId", kind, payload FROM "OutboxCommand" ORDER BY number"#;
    sqlx::query_as(sql).fetch_all(host.database.pool()).await.unwrap()
}

/// PRJ-15: an account adopts a person of the ledger: the id is reserved with the command that
/// created the person, the projector has a task, and the audit log a row. A second request before
/// the task is done has the same result.
#[tokio::test]
async fn an_account_adopts_a_person_of_the_ledger() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let profile_id = host.add_person(EMAIL, AccountStatus::PendingAdminApproval).await;
    add(&host, &sarahs(), "a partner's", None).await;
    for _ in 0..2 {
        let answer = adopt(&host, &token, &sarahs(), &profile_id).await;
        assert_eq!((answer.code(), &answer.json["kind"]), (202, &json!("ADOPT_PERSON")));
        let held = (sarahs().to_string(), profile_id.clone(), "a partner's".to_owned());
        assert_eq!(reservations(&host).await, [held]);
        let audit = host.get("/api/v1/admin/audit?limit=1", &token).await;
        let row = &audit.json["items"][0];
        assert_eq!(row["action"], "projection.adoption_asked");
        assert_eq!(
            (&row["targetId"], &row["after"]["reason"]),
            (&json!(profile_id), &json!("ticket 7"))
        );
    }
    let mut conn = host.base.connection().await.unwrap();
    let asked = tasks::take_many(&mut conn, CHANNEL, &tasks::ADOPTIONS, 9).await.unwrap();
    assert_eq!(asked.len(), 2);
    let task = Task::AdoptPerson { fabric_user_id: sarahs() };
    assert!(asked.iter().all(|row| row.task().unwrap() == task));
    assert_eq!(wanted(&host).await, [], "a grant is for the approval to ask");
}

/// PRJ-15: if the person of an approved account never had a grant, the grant is enqueued once.
#[tokio::test]
async fn the_missing_grant_of_an_approved_account_is_enqueued() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let profile_id = host.add_person(EMAIL, AccountStatus::Suspended).await;
    add(&host, &sarahs(), "a partner's", None).await;
    for _ in 0..2 {
        assert_eq!(adopt(&host, &token, &sarahs(), &profile_id).await.code(), 202);
    }
    let payload = json!({ "userId": sarahs(), "nationality": "MY" });
    let grant = gx_outbox::enqueue::adopted_grant_id(&sarahs()).to_string();
    assert_eq!(wanted(&host).await, [(grant, "DISTRIBUTE_GENESIS".to_owned(), payload)]);
    run(&host, r#"UPDATE "LedgerUser" SET "profileId" = (SELECT "profileId" FROM "UserProfile")"#)
        .await;
    assert_eq!(adopt(&host, &token, &sarahs(), &profile_id).await.code(), 202);
    run(&host, r#"UPDATE "LedgerUser" SET "genesisTxId" = 'tx'"#).await;
    let done = adopt(&host, &token, &sarahs(), &profile_id).await;
    assert_eq!((done.code(), done.problem()), (409, "not_adoptable"));
    assert!(done.text.contains("nothing is left to do"), "{}", done.text);
}

/// PRJ-15: each refusal says what is wrong, and writes nothing.
#[tokio::test]
async fn each_refusal_of_an_adoption_says_why() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let reviewer = host.add_administrator(AdminRole::Reviewer).await.access_token;
    let profile_id = host.add_person(EMAIL, AccountStatus::PendingAdminApproval).await;
    let other = host.add_person("other@gxtest.com", AccountStatus::Active).await;
    let refused = async |id: &FabricUserId, profile_id: &str, problem: &str, why: &str| {
        let before = (reservations(&host).await, host.rows().await);
        let answer = adopt(&host, &token, id, profile_id).await;
        assert_eq!(answer.problem(), problem, "{why}: {}", answer.text);
        assert!(answer.text.contains(why), "{why}: {}", answer.text);
        assert_eq!((reservations(&host).await, host.rows().await), before);
    };
    let id = sarahs();
    assert_eq!(adopt(&host, &reviewer, &id, &profile_id).await.code(), 403);
    let malformed = json!({ "fabricUserId": "MY 463", "profileId": "", "reason": " " });
    let answer = host.post("/api/v1/admin/projection/adopt", &token, &malformed).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/fabricUserId", "/reason"]));

    refused(&id, &profile_id, "no_ledger_person", "/api/v1/admin/projection").await;
    add(&host, &id, "a partner's", None).await;
    refused(&id, "nobody", "no_user", "").await;

    for (id, why) in [
        (id_of("else@gxtest.com", BORN, "MY", Gender::Female), "checksum"),
        (id_of(EMAIL, date!(1992 - 08 - 21), "MY", Gender::Female), "another birth date"),
        (id_of(EMAIL, BORN, "SG", Gender::Female), "another country"),
        (id_of(EMAIL, BORN, "MY", Gender::Male), "another gender"),
    ] {
        add(&host, &id, why, None).await;
        refused(&id, &profile_id, "other_person", why).await;
    }
    run(&host, r#"UPDATE "UserProfile" SET "nationalityCountryCode" = NULL"#).await;
    refused(&id, &profile_id, "other_person", "no nationality").await;
    run(&host, r#"UPDATE "UserProfile" SET "nationalityCountryCode" = 'MY'"#).await;

    sqlx::query(
        r#"INSERT INTO "FabricIdReservation" VALUES ('MY 463 AUN834 0QKZB 0001', $1, $2, now())"#,
    )
    .bind(&other)
    .bind("a partner's")
    .execute(host.database.pool())
    .await
    .unwrap();
    refused(&id, &profile_id, "not_adoptable", &format!("belongs to profile {other}")).await;
    run(&host, r#"DELETE FROM "FabricIdReservation""#).await;

    let command = r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole",
            "aggregateKey", lane, touches, "profileId", "requestedBy", "nextAttemptAt",
            "createdAt", "updatedAt")
        VALUES ('under way', 'CREATE_USER', '{}', 'ADMIN', 'x', 0, '{}', $1, 'x', now(), now(),
                now())"#;
    sqlx::query(command).bind(&profile_id).execute(host.database.pool()).await.unwrap();
    refused(&id, &profile_id, "not_adoptable", "command under way is PENDING").await;
    run(&host, r#"DELETE FROM "OutboxCommand""#).await;

    let own = id_of("before@gxtest.com", BORN, "MY", Gender::Female);
    add(&host, &own, &creation_id(&profile_id, 1), None).await;
    refused(&id, &profile_id, "not_adoptable", own.as_str()).await;
    // The account may adopt a person of its own approval, also if its facts have changed.
    assert_eq!(adopt(&host, &token, &own, &profile_id).await.code(), 202);
    refused(&id, &profile_id, "not_adoptable", own.as_str()).await;
}

/// PRJ-15, G2: an approval finds the person of an approval that a restore removed, also one with a
/// later number: it reserves that id and enqueues only the grant, if there was none.
#[tokio::test]
async fn an_approval_adopts_the_person_of_a_removed_one() {
    for has_grant in [false, true] {
        let host = host().await;
        let token = host.add_administrator(AdminRole::Reviewer).await.access_token;
        let profile_id = host.add_person(EMAIL, AccountStatus::PendingAdminApproval).await;
        let id = id_of("before@gxtest.com", BORN, "MY", Gender::Female);
        add(&host, &id, &creation_id(&profile_id, 3), None).await;
        if has_grant {
            run(&host, r#"UPDATE "LedgerUser" SET "genesisTxId" = 'tx'"#).await;
        }
        let answer = approve(&host, &token, &profile_id).await;
        assert_eq!(answer.code(), 200, "{}", answer.text);
        assert_eq!(answer.json["fabricUserId"], json!(id));
        let grant = gx_outbox::enqueue::adopted_grant_id(&id).to_string();
        let expected = if has_grant { vec![] } else { vec![grant] };
        assert_eq!(answer.json["commandIds"], json!(expected));
        assert_eq!(wanted(&host).await.into_iter().map(|one| one.0).collect::<Vec<_>>(), expected);
        let held = (id.to_string(), profile_id.clone(), creation_id(&profile_id, 3));
        assert_eq!(reservations(&host).await, [held]);
        // A later approval must have a command id that the ledger does not have.
        let count = r#"SELECT "approvalCount" FROM "UserProfile" WHERE "profileId" = $1"#;
        let count = sqlx::query_scalar::<_, i32>(count).bind(&profile_id);
        assert_eq!(count.fetch_one(host.database.pool()).await.unwrap(), 3);
        let mut conn = host.base.connection().await.unwrap();
        let asked = tasks::take_many(&mut conn, CHANNEL, &tasks::ADOPTIONS, 9).await.unwrap();
        let [asked] = &asked[..] else { panic!("one task, not {asked:?}") };
        assert_eq!(asked.task().unwrap(), Task::AdoptPerson { fabric_user_id: id });
        assert_eq!(approve(&host, &token, &profile_id).await.problem(), "not_under_review");
        let batch = json!({ "profileIds": [profile_id] });
        let again = host.post("/api/v1/admin/users/batch-approve", &token, &batch).await;
        let approved = &again.json["results"][0]["approved"];
        assert_eq!(approved["fabricUserId"], answer.text_at("/fabricUserId"), "{}", again.text);
        assert_eq!(approved["commandIds"], answer.json["commandIds"]);
    }
}

/// PRJ-15, G2: no second person is created while the event of the first one is a dead letter, or if
/// another account owns the person.
#[tokio::test]
async fn no_second_person_is_created_while_the_first_one_exists() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let profile_id = host.add_person(EMAIL, AccountStatus::PendingAdminApproval).await;
    let other = host.add_person("other@gxtest.com", AccountStatus::Active).await;
    let dead: i64 = sqlx::query_scalar(
        r#"INSERT INTO "EventDLQ" (channel, "blockNumber", "txId", "eventIndex", "commandId",
               "txIndex", "eventName", aggregates, reason, payload, "ledgerAt", "createdAt")
           VALUES ($1, 1, 'tx', 0, $2, 0, 'UserCreated', ARRAY['x'], 'unknown', '{}', now(), now())
           RETURNING "deadEventId""#,
    )
    .bind(CHANNEL)
    .bind(creation_id(&profile_id, 2))
    .fetch_one(host.database.pool())
    .await
    .unwrap();
    let answer = approve(&host, &token, &profile_id).await;
    assert_eq!((answer.code(), answer.problem()), (409, "held_on_ledger"));
    assert!(answer.text.contains(&format!("dead event {dead}")), "{}", answer.text);
    add(&host, &sarahs(), "a partner's", None).await;
    let answer = adopt(&host, &token, &sarahs(), &profile_id).await;
    assert!(answer.text.contains(&format!("dead event {dead}")), "{}", answer.text);
    run(&host, r#"DELETE FROM "EventDLQ"; DELETE FROM "LedgerUser"; DELETE FROM "EventLog""#).await;

    add(&host, &sarahs(), &creation_id(&profile_id, 1), Some(&other)).await;
    let answer = approve(&host, &token, &profile_id).await;
    assert_eq!((answer.code(), answer.problem()), (409, "other_owner"), "{}", answer.text);
    assert_eq!((reservations(&host).await, wanted(&host).await), (vec![], vec![]));
}

/// API-16: an id is checked against the spelling of the address with which it was made: an account
/// with today's form of the address can adopt it, and an account with the old spelling, too.
#[tokio::test]
async fn an_id_verifies_in_the_spelling_with_which_it_was_made() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let spellings = [
        ("sarah@bücher.example", "sarah@xn--bcher-kva.example"),
        ("do\u{308}rte@gxtest.com", "do\u{308}rte@gxtest.com"),
    ];
    for (made_of, registered) in spellings {
        let profile_id = host.add_person(registered, AccountStatus::PendingAdminApproval).await;
        let id = id_of(made_of, BORN, "MY", Gender::Female);
        add(&host, &id, made_of, None).await;
        let mut conn = host.database.connection().await;
        gx_auth::email::mailboxes::fill(&mut conn).await.unwrap();
        let answer = adopt(&host, &token, &id, &profile_id).await;
        assert_eq!(answer.code(), 202, "{made_of}: {}", answer.text);
    }
}

/// PRJ-15, G2: if two administrators give the same person to two accounts at once, the second one
/// waits for the first one and is refused; an approval that would adopt the person is refused, too.
#[tokio::test]
async fn of_two_accounts_that_adopt_a_person_at_once_one_gets_the_person() {
    for (second, problem) in [("adopt", "not_adoptable"), ("approve", "other_owner")] {
        let host = host().await;
        let token = host.add_administrator(AdminRole::Admin).await.access_token;
        let sarah = host.add_person(EMAIL, AccountStatus::PendingAdminApproval).await;
        let other = host.add_person("other@gxtest.com", AccountStatus::PendingAdminApproval).await;
        // An approval of the other account created the person, so that both accounts may adopt it.
        let id = sarahs();
        add(&host, &id, &creation_id(&other, 1), None).await;
        let decision = AuditedDecision {
            actor: Actor::System("test"),
            reason: "ticket 7",
            request_id: None,
            entropy: &gx_serve::Entropy::system(),
        };
        let mut conn = host.database.connection().await;
        let mut first = conn.begin().await.unwrap();
        let whom = (&id, &ProfileId::from(sarah.clone()));
        ask_adoption(&mut first, CHANNEL, whom, "task 1", &decision, host.clock.now())
            .await
            .unwrap();
        let later = async {
            match second {
                "adopt" => adopt(&host, &token, &id, &other).await,
                _ => approve(&host, &token, &other).await,
            }
        };
        let end_first = async {
            host.waiting_for_locks(1).await;
            first.commit().await.unwrap();
        };
        let (answer, ()) = tokio::join!(later, end_first);
        assert_eq!((answer.code(), answer.problem()), (409, problem), "{}", answer.text);
        assert!(answer.text.contains(&sarah), "{}", answer.text);
        let held = (id.to_string(), sarah, creation_id(&other, 1));
        assert_eq!(reservations(&host).await, [held]);
        let stored = r#"SELECT (SELECT array_agg("taskId") FROM "ProjectorTask"),
                               (SELECT array_agg(action) FROM "AuditEntry")"#;
        let stored: (Vec<String>, Vec<String>) =
            sqlx::query_as(stored).fetch_one(host.database.pool()).await.unwrap();
        let by_first = (vec!["task 1".to_owned()], vec!["projection.adoption_asked".to_owned()]);
        assert_eq!(stored, by_first, "the second one has stored nothing");
    }
}

/// FAB-14: an operator may paste an id in any form.
#[tokio::test]
async fn an_id_may_be_pasted_in_any_form() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Admin).await.access_token;
    let profile_id = host.add_person(EMAIL, AccountStatus::PendingAdminApproval).await;
    add(&host, &sarahs(), "a partner's", None).await;
    let pasted = sarahs().as_str().to_lowercase().replace(' ', "\u{a0}");
    let body = json!({ "fabricUserId": pasted, "profileId": profile_id, "reason": "ticket 7" });
    let answer = host.post("/api/v1/admin/projection/adopt", &token, &body).await;
    assert_eq!(answer.code(), 202, "{}", answer.text);
    assert_eq!(reservations(&host).await[0].0, sarahs().to_string());
}
