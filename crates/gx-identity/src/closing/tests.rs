//! Closing the own account, through the routers and on a read model that the tests write.

use gx_auth::AdminRole;
use gx_auth::testing::{Answer, PASSWORD, TestHost, totp_code};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::{hand_in, host};

const SARAH: &str = "MY 463 AUN834 0QKZB 5821";
const PETER: &str = "MY 463 ABH834 0QKZB 5821";
const CLOSE: &str = "/api/v1/users/me/close";

async fn run(host: &TestHost, sql: &'static str, values: &[&str]) {
    let mut query = sqlx::query(sql);
    for value in values {
        query = query.bind(*value);
    }
    query.execute(host.database.pool()).await.unwrap();
}

/// Adds the wallet of a person.
async fn add_wallet(host: &TestHost, id: &str, account: &str, balance: &str) {
    run(
        host,
        r#"INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId",
               "createdAt") VALUES ($2, $1, 'MY', 'tx', now())"#,
        &[id, account],
    )
    .await;
    run(
        host,
        r#"INSERT INTO "Wallet" ("walletId", "accountId", kind, "profileId", "fabricUserId",
               balance, "lastTxId", "asOfBlock", "createdAt", "updatedAt")
           VALUES ('w' || $1, $2, 'USER', $1, $2, $3::text::bigint, 'tx', 0, now(), now())"#,
        &[id, account, balance],
    )
    .await;
}

async fn close(host: &TestHost, token: &str) -> Answer {
    host.post(CLOSE, token, &json!({ "password": PASSWORD })).await
}

async fn status(host: &TestHost, id: &str) -> String {
    let sql = r#"SELECT status FROM "UserProfile" WHERE "profileId" = $1"#;
    sqlx::query_scalar(sql).bind(id).fetch_one(host.database.pool()).await.unwrap()
}

/// PRIV-01, SESS-02: a person closes the own account with the password, in each status in which a
/// sign-in is possible; every session ends with it, nobody signs in any more, and the audit log has
/// an entry.
#[tokio::test]
async fn priv_01_a_person_closes_the_own_account() {
    use AccountStatus::{Active, ApprovedPendingOnchain, Frozen, PendingAdminApproval, Registered};
    let host = host().await;
    for before in [Registered, PendingAdminApproval, ApprovedPendingOnchain, Active, Frozen] {
        let email = format!("{before}@gxtest.com").to_lowercase();
        let id = host.add_person(&email, before).await;
        let token = host.session_of(&id).await.access_token;
        let other = host.session_of(&id).await;
        let wrong = host.post(CLOSE, &token, &json!({ "password": "WrongPassword123!" })).await;
        assert_eq!((wrong.code(), wrong.problem()), (403, "wrong_password"));
        let answer = close(&host, &token).await;
        assert_eq!((answer.code(), answer.text.as_str()), (202, ""), "{before}");
        assert_eq!(status(&host, &id).await, "CLOSED");
        for token in [&token, &other.access_token] {
            assert_eq!(host.get("/api/v1/users/me", token).await.code(), 401, "{before}");
        }
        let login = json!({ "email": email, "password": PASSWORD });
        let refused = host.post("/api/v1/auth/login", "", &login).await;
        assert_eq!(refused.problem(), "invalid_credentials");
        let entry: (String, Value, Value) = sqlx::query_as(
            r#"SELECT action, before, after FROM "AuditEntry" ORDER BY seq DESC LIMIT 1"#,
        )
        .fetch_one(host.database.pool())
        .await
        .unwrap();
        let expected = (json!({ "status": before }), json!({ "status": "CLOSED", "ended": 2 }));
        assert_eq!(entry, ("user.closed".to_owned(), expected.0, expected.1));
    }
}

/// PRIV-01: a closed account keeps its documents for the time that operators set, and the reviewers
/// ask for none of them any more.
#[tokio::test]
async fn priv_01_closing_ends_what_reviewers_ask_for() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    hand_in(&host, &token).await;
    host.add_administrator(AdminRole::Reviewer).await;
    run(
        &host,
        r#"INSERT INTO "DocumentRequest" ("profileId", type, "askedBy", "askedAt")
           SELECT $1, 'PASSPORT', "adminId", now() FROM "AdminUser""#,
        &[&id],
    )
    .await;
    assert_eq!(close(&host, &token).await.code(), 202);
    let counts: (i64, i64) = sqlx::query_as(
        r#"SELECT (SELECT count(*) FROM "DocumentRequest"), (SELECT count(*) FROM "KYCDocument")"#,
    )
    .fetch_one(host.database.pool())
    .await
    .unwrap();
    assert_eq!(counts, (0, 2));
}

/// PRIV-01: where a second factor is in force, closing needs a code of it.
#[tokio::test]
async fn priv_01_closing_needs_the_second_factor() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    let new = host.post("/api/v1/users/me/totp", &token, &json!({ "password": PASSWORD })).await;
    let code = totp_code(new.text_at("/secret"), host.clock.now());
    let confirm =
        host.post("/api/v1/users/me/totp/confirm", &token, &json!({ "code": code })).await;
    let recovery = confirm.text_at("/recoveryCodes/0").to_owned();
    let wrong = json!({ "password": PASSWORD, "totp": "000000" });
    for refused in [close(&host, &token).await, host.post(CLOSE, &token, &wrong).await] {
        assert_eq!((refused.code(), refused.problem()), (403, "wrong_password"));
    }
    assert_eq!(status(&host, &id).await, "ACTIVE");
    let body = json!({ "password": PASSWORD, "totp": recovery });
    assert_eq!(host.post(CLOSE, &token, &body).await.code(), 202);
}

/// PRIV-01: an account with a balance, with a command of its own, or with a payment to it that is
/// not settled stays open.
#[tokio::test]
async fn priv_01_an_account_with_funds_stays_open() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    let refused = async || {
        let answer = close(&host, &token).await;
        assert_eq!(
            (answer.code(), answer.problem()),
            (409, "account_has_funds"),
            "{}",
            answer.text
        );
        assert_eq!(status(&host, &id).await, "ACTIVE");
    };
    add_wallet(&host, &id, SARAH, "1").await;
    refused().await;
    run(&host, r#"UPDATE "Wallet" SET balance = 0"#, &[]).await;
    for (from, to) in [(SARAH, PETER), (PETER, SARAH)] {
        run(
            &host,
            r#"INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole",
                   "aggregateKey", lane, touches, "requestedBy", "nextAttemptAt", "createdAt",
                   "updatedAt")
               VALUES (md5($1), 'TRANSFER', '{}', 'ADMIN', $1, 1, ARRAY[$1, $2], 'a test', now(),
                       now(), now())"#,
            &[from, to],
        )
        .await;
        refused().await;
        run(
            &host,
            r#"UPDATE "OutboxCommand" SET status = 'COMMITTED', "settledAt" = now()
               WHERE "settledAt" IS NULL"#,
            &[],
        )
        .await;
    }
    assert_eq!(close(&host, &token).await.code(), 202);
}

/// PRIV-01: a payment that is ordered while its receiver closes the account either holds the
/// account open, or is refused: never both, and never neither.
#[tokio::test]
async fn priv_01_closing_and_an_incoming_payment_never_both_succeed() {
    let host = host().await;
    let tokenomics = gx_tokenomics::service(host.base.clone());
    for round in 0..8 {
        let add = async |name: &str| {
            host.add_person(&format!("{name}{round}@gxtest.com"), AccountStatus::Active).await
        };
        let (payer, id) = (add("peter").await, add("sarah").await);
        let (from, to) =
            (format!("MY 463 ABH834 0QKZB 582{round}"), format!("MY 463 AUN834 0QKZB 582{round}"));
        add_wallet(&host, &payer, &from, "5000000").await;
        add_wallet(&host, &id, &to, "0").await;
        let (payer, token) = (host.session_of(&payer).await, host.session_of(&id).await);
        let order = json!({ "to": to, "amount": "1" });
        let pay = host.ask("POST", "/api/v1/transfers").token(&payer.access_token).json(&order);
        let pay = pay.header("idempotency-key", "k1").send_to(&tokenomics);
        let (paid, closed) = tokio::join!(pay, close(&host, &token.access_token));
        let result = (paid.code(), closed.code());
        let fits = [(202, 409), (422, 202)].contains(&result);
        assert!(fits, "{result:?}: {}{}", paid.text, closed.text);
    }
}

/// PRIV-01: a payment whose receiver closes the account waits for the closing, and is refused then.
#[tokio::test]
async fn priv_01_a_payment_waits_for_the_closing_of_its_receiver() {
    let host = host().await;
    let tokenomics = gx_tokenomics::service(host.base.clone());
    let payer = host.add_person("peter@gxtest.com", AccountStatus::Active).await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    add_wallet(&host, &payer, PETER, "5000000").await;
    add_wallet(&host, &id, SARAH, "0").await;
    let closing = host
        .holding(
            r#"WITH lock AS (SELECT pg_advisory_xact_lock(
                   hashtextextended('gx receiver MY 463 AUN834 0QKZB 5821', 0)))
               UPDATE "UserProfile" SET status = 'CLOSED'
               FROM lock WHERE email = 'sarah@gxtest.com'"#,
        )
        .await;
    let token = host.session_of(&payer).await.access_token;
    let order = json!({ "to": SARAH, "amount": "1" });
    let pay = host.ask("POST", "/api/v1/transfers").token(&token).json(&order);
    let pay = pay.header("idempotency-key", "k1").send_to(&tokenomics);
    let end = async {
        host.waiting_for_locks(1).await;
        let mut closing = closing;
        sqlx::query("COMMIT").execute(&mut closing).await.unwrap();
    };
    let (paid, ()) = tokio::join!(pay, end);
    assert_eq!((paid.code(), paid.problem()), (422, "unknown_receiver"), "{}", paid.text);
}
