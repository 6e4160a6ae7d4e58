//! Passkeys of administrators, through the router, with a software authenticator.

use gx_auth::testing::{Answer, PASSWORD, SoftPasskey, TestHost, all};
use gx_auth::{AdminRole, Foundation, NewPassword, SecondFactors, Subject};
use serde_json::{Value, json};

use crate::tests::service_of;
use crate::{NewAdministrator, create_administrator};

const EMAIL: &str = "admin@gxtest.com";
const ORIGIN: &str = "http://localhost:3006";
const OWN: &str = "/api/v1/admin/me/passkeys";
const SIGN_IN: &str = "/api/v1/admin/auth/passkeys";
/// The lock of a request that changes the administrator.
const HELD: &str = r#"SELECT FROM "AdminUser" FOR UPDATE"#;

/// Returns svc-admin with one administrator, in development or in production.
async fn host(is_development: bool) -> TestHost {
    host_with(|base| base.is_development = is_development).await
}

/// Returns svc-admin with one administrator and a changed foundation.
async fn host_with(change: impl FnOnce(&mut Foundation)) -> TestHost {
    let host = TestHost::new(|mut base| {
        change(&mut base);
        service_of(base)
    })
    .await;
    let new = NewAdministrator {
        email: EMAIL.to_owned(),
        display_name: "First".to_owned(),
        role: AdminRole::Auditor,
        password: NewPassword::new(PASSWORD).unwrap(),
    };
    let mut conn = host.base.connection().await.unwrap();
    let (hasher, entropy) = (&host.base.auth.hasher, &host.base.entropy);
    create_administrator(&mut conn, hasher, entropy, &new, "test", host.clock.now()).await.unwrap();
    host
}

async fn log_in(host: &TestHost) -> Answer {
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    host.post("/api/v1/admin/auth/login", "", &body).await
}

/// Creates a passkey with this token, and with the password unless `given` is empty, and returns it
/// with the body that adds it.
async fn new_passkey(host: &TestHost, token: &str, given: &Value) -> (SoftPasskey, Value) {
    let options = host.post(&format!("{OWN}/options"), token, given).await;
    assert_eq!(options.code(), 200, "{}", options.text);
    let (passkey, credential) = SoftPasskey::create(&options.json["publicKey"], ORIGIN);
    let body = json!({ "challengeId": options.json["challengeId"], "credential": credential,
                       "name": "Security key" });
    (passkey, body)
}

/// Adds a passkey with an enrolment token.
async fn add_passkey(host: &TestHost, token: &str) -> SoftPasskey {
    add_passkey_with(host, token, &json!({})).await
}

async fn add_passkey_with(host: &TestHost, token: &str, given: &Value) -> SoftPasskey {
    let (passkey, body) = new_passkey(host, token, given).await;
    let added = host.post(OWN, token, &body).await;
    assert_eq!(added.code(), 201, "{}", added.text);
    passkey
}

async fn sign_in(host: &TestHost, passkey: &SoftPasskey) -> Answer {
    let options = host.post(&format!("{SIGN_IN}/options"), "", &json!({})).await.json;
    let credential = passkey.sign(&options["publicKey"], ORIGIN);
    let body = json!({ "challengeId": options["challengeId"], "credential": credential });
    host.post(SIGN_IN, "", &body).await
}

async fn actions(host: &TestHost) -> Vec<String> {
    sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
        .fetch_all(host.database.pool())
        .await
        .unwrap()
}

/// AUTHN-17: outside development a passkey is enrolled with the enrolment token and counts as the
/// mandatory factor: the token ends, the password alone opens nothing, and the passkey signs in.
#[tokio::test]
async fn authn_17_a_passkey_is_the_mandatory_factor() {
    let host = host(false).await;
    let refused = log_in(&host).await;
    assert_eq!(refused.problem(), "second_factor_enrolment_required");
    let token = refused.text_at("/enrolmentToken").to_owned();
    assert_eq!(host.get(OWN, &token).await.json, json!({ "items": [] }));
    let passkey = add_passkey(&host, &token).await;
    assert_eq!(host.get(OWN, &token).await.code(), 401, "a passkey is in force");

    let refused = log_in(&host).await;
    assert_eq!((refused.code(), refused.problem()), (401, "passkey_required"));
    assert!(refused.json.get("enrolmentToken").is_none());
    let signed_in = sign_in(&host, &passkey).await;
    assert_eq!(signed_in.code(), 200, "{}", signed_in.text);
    assert_eq!(signed_in.text_at("/admin/email"), EMAIL);
    let token = signed_in.text_at("/accessToken");
    assert_eq!(host.get("/api/v1/admin/users", token).await.code(), 200);
    assert_eq!(actions(&host).await, ["admin.created", "admin.passkey_added", "admin.signed_in"]);
    let named: Vec<Value> = sqlx::query_scalar(
        r#"SELECT after -> 'passkeyId' FROM "AuditEntry" WHERE action <> 'admin.created'
           ORDER BY seq"#,
    )
    .fetch_all(host.database.pool())
    .await
    .unwrap();
    assert!(named[0].is_string(), "{named:?}");
    assert_eq!(named[0], named[1], "the sign-in names the passkey");
}

/// AUTHN-17: in development a factor is asked of those who have enrolled one; without the last
/// passkey the password opens a session again.
#[tokio::test]
async fn authn_17_in_development_a_passkey_is_asked_of_its_owner() {
    let host = host(true).await;
    let signed_in = log_in(&host).await;
    let token = signed_in.text_at("/accessToken");
    add_passkey_with(&host, token, &json!({ "password": PASSWORD })).await;
    assert_eq!(log_in(&host).await.problem(), "passkey_required");
    let list = host.get(OWN, token).await.json;
    let id = list["items"][0]["passkeyId"].as_str().unwrap();
    let ask = host.ask("DELETE", &format!("{OWN}/{id}")).token(token);
    let removed = ask.json(&json!({ "password": PASSWORD })).send().await;
    assert_eq!(removed.code(), 204, "{}", removed.text);
    assert_eq!(log_in(&host).await.code(), 200);
}

/// AUTHN-16: a reset of the factors removes the passkeys, too, and ends challenges to add one.
#[tokio::test]
async fn authn_16_a_reset_removes_passkeys() {
    let host = host(false).await;
    let token = log_in(&host).await.text_at("/enrolmentToken").to_owned();
    let passkey = add_passkey(&host, &token).await;
    let session = sign_in(&host, &passkey).await.text_at("/accessToken").to_owned();
    let given = json!({ "password": PASSWORD });
    let pending = host.post(&format!("{OWN}/options"), &session, &given).await;
    assert_eq!(pending.code(), 200, "{}", pending.text);
    let id: String = sqlx::query_scalar(r#"SELECT "adminId" FROM "AdminUser""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    let admin = host.add_administrator(AdminRole::SuperAdmin).await.access_token;
    let path = format!("/api/v1/admin/administrators/{id}/factors/reset");
    let reset = host.post(&path, &admin, &json!({ "reason": "key lost" })).await;
    assert_eq!(reset.code(), 202, "{}", reset.text);
    let after: Value =
        sqlx::query_scalar(r#"SELECT after FROM "AuditEntry" ORDER BY seq DESC LIMIT 1"#)
            .fetch_one(host.database.pool())
            .await
            .unwrap();
    assert_eq!((&after["passkeysRemoved"], &after["ended"]), (&json!(1), &json!(1)));
    assert_eq!(host.get(OWN, &session).await.code(), 401);
    assert_eq!(sign_in(&host, &passkey).await.problem(), "invalid_credentials");
    let challenges: i64 = sqlx::query_scalar(
        r#"SELECT count(*) FROM "PasskeyChallenge" WHERE "userHandle" IS NOT NULL"#,
    )
    .fetch_one(host.database.pool())
    .await
    .unwrap();
    assert_eq!(challenges, 0);
    assert_eq!(log_in(&host).await.problem(), "second_factor_enrolment_required");
}

/// AUTHN-15, AUTHN-17: a new session is not enough for an administrator to add or remove a passkey:
/// the password is needed, which is enough for those who have no code.
#[tokio::test]
async fn authn_15_an_administrator_always_shows_the_password() {
    let host = host(false).await;
    let token = log_in(&host).await.text_at("/enrolmentToken").to_owned();
    let passkey = add_passkey(&host, &token).await;
    let session = sign_in(&host, &passkey).await.text_at("/accessToken").to_owned();
    let list = host.get(OWN, &session).await.json;
    let path = format!("{OWN}/{}", list["items"][0]["passkeyId"].as_str().unwrap());
    let remove =
        async |given: &Value| host.ask("DELETE", &path).token(&session).json(given).send().await;
    let options = async |given: &Value| host.post(&format!("{OWN}/options"), &session, given).await;
    let wrong = json!({ "password": "WrongPassword123!" });
    for (given, problem) in [(json!({}), "fresh_sign_in_required"), (wrong, "wrong_password")] {
        for refused in [options(&given).await, remove(&given).await] {
            assert_eq!((refused.code(), refused.problem()), (403, problem));
        }
    }
    assert_eq!(passkeys(&host).await, 1);
    let given = json!({ "password": PASSWORD });
    assert_eq!(options(&given).await.code(), 200);
    assert_eq!(remove(&given).await.code(), 204);
}

/// Returns the number of passkeys.
async fn passkeys(host: &TestHost) -> i64 {
    sqlx::query_scalar(r#"SELECT count(*) FROM "Passkey""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap()
}

/// AUTHN-16: a passkey whose request waits for the account while its factors are reset is not
/// added: the session has ended.
#[tokio::test]
async fn authn_16_a_passkey_that_waits_for_a_reset_is_not_added() {
    let host = host(true).await;
    let token = log_in(&host).await.text_at("/accessToken").to_owned();
    let (_, body) = new_passkey(&host, &token, &json!({ "password": PASSWORD })).await;
    let id: String = sqlx::query_scalar(r#"SELECT "adminId" FROM "AdminUser""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    let mut holder = host.holding(HELD).await;
    let reset = async {
        host.waiting_for_locks(1).await;
        let factors = SecondFactors::new(&host.base);
        factors.reset(&mut holder, &Subject::Admin(id.into())).await.unwrap();
        sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
    };
    let (refused, ()) = tokio::join!(host.post(OWN, &token, &body), reset);
    assert_eq!((refused.code(), refused.problem()), (401, "unauthenticated"));
    assert_eq!(passkeys(&host).await, 0);
}

/// AUTHN-17: of two enrolment tokens that add a passkey at the same time, one does: it ends the
/// other.
#[tokio::test]
async fn authn_17_two_enrolment_tokens_add_one_passkey() {
    let host = host(false).await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let token = log_in(&host).await.text_at("/enrolmentToken").to_owned();
        let (_, body) = new_passkey(&host, &token, &json!({})).await;
        bodies.push((token, body));
    }
    let holder = host.holding(HELD).await;
    let adds = bodies.iter().map(|(token, body)| host.post(OWN, token, body));
    let release = async {
        host.waiting_for_locks(2).await;
        drop(holder);
    };
    let (answers, ()) = tokio::join!(all(adds), release);
    let mut codes: Vec<u16> = answers.iter().map(Answer::code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [201, 401]);
    assert_eq!(passkeys(&host).await, 1);
}

/// AUTHN-17: without a domain for passkeys an administrator whose factor is a passkey is not let in
/// by the password alone, and the health of the service names the reason.
#[tokio::test]
async fn authn_17_without_a_domain_the_password_does_not_replace_a_passkey() {
    let host = host_with(|base| base.relying_party = None).await;
    let check = async || {
        let report = serde_json::to_value(host.service.health.report().await).unwrap();
        report["checks"]["passkeys"].clone()
    };
    assert_eq!(check().await["status"], "healthy", "nobody has a passkey");
    sqlx::raw_sql(
        r#"INSERT INTO "PasskeyUser" ("userHandle", "adminId", "createdAt")
           SELECT decode(repeat('01', 32), 'hex'), "adminId", now() FROM "AdminUser";
           INSERT INTO "Passkey" ("passkeyId", "userHandle", "credentialId", "publicKey",
               "signCount", aaguid, transports, "isBackupEligible", "isBackedUp", name, "createdAt")
           SELECT 'k', "userHandle", '\x01', '\x01', 0, decode(repeat('00', 16), 'hex'), '{}',
                  true, true, 'Security key', now()
           FROM "PasskeyUser""#,
    )
    .execute(host.database.pool())
    .await
    .unwrap();
    assert_eq!(log_in(&host).await.problem(), "passkey_required");
    let check = check().await;
    assert_eq!((&check["status"], &check["critical"]), (&json!("unhealthy"), &json!(false)));
    let message = check["message"].as_str().unwrap();
    assert!(message.contains("GX_WEBAUTHN_RP_ID"), "{message}");
}

/// AUTHN-09: a locked administrator is refused like a wrong password, with a passkey, too.
#[tokio::test]
async fn authn_09_a_locked_administrator_signs_in_with_no_passkey() {
    let host = host(false).await;
    let token = log_in(&host).await.text_at("/enrolmentToken").to_owned();
    let passkey = add_passkey(&host, &token).await;
    sqlx::query(r#"UPDATE "AdminUser" SET "isLocked" = true"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let with_passkey = sign_in(&host, &passkey).await;
    let with_password = log_in(&host).await;
    for refused in [&with_passkey, &with_password] {
        assert_eq!((refused.code(), refused.problem()), (401, "invalid_credentials"));
    }
    assert_eq!(with_passkey.text_at("/detail"), with_password.text_at("/detail"));
}
