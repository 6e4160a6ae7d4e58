//! Passkeys of administrators, through the router, with a software authenticator.

use gx_auth::testing::{Answer, PASSWORD, SoftPasskey, TestHost};
use gx_auth::{AdminRole, NewPassword};
use serde_json::{Value, json};

use crate::tests::settings;
use crate::{NewAdministrator, create_administrator, service};

const EMAIL: &str = "admin@gxtest.com";
const ORIGIN: &str = "http://localhost:3006";
const OWN: &str = "/api/v1/admin/me/passkeys";
const SIGN_IN: &str = "/api/v1/admin/auth/passkeys";

/// Returns svc-admin with one administrator, in development or in production.
async fn host(is_development: bool) -> TestHost {
    let host = TestHost::new(|mut base| {
        base.is_development = is_development;
        service(&settings(), base)
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

/// Adds a passkey with this token.
async fn add_passkey(host: &TestHost, token: &str) -> SoftPasskey {
    let options = host.post(&format!("{OWN}/options"), token, &json!({})).await;
    assert_eq!(options.code(), 200, "{}", options.text);
    let (passkey, credential) = SoftPasskey::create(&options.json["publicKey"], ORIGIN);
    let body = json!({ "challengeId": options.json["challengeId"], "credential": credential,
                       "name": "Security key" });
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
}

/// AUTHN-17: in development a factor is asked of those who have enrolled one; without the last
/// passkey the password opens a session again.
#[tokio::test]
async fn authn_17_in_development_a_passkey_is_asked_of_its_owner() {
    let host = host(true).await;
    let signed_in = log_in(&host).await;
    let token = signed_in.text_at("/accessToken");
    add_passkey(&host, token).await;
    assert_eq!(log_in(&host).await.problem(), "passkey_required");
    let list = host.get(OWN, token).await.json;
    let id = list["items"][0]["passkeyId"].as_str().unwrap();
    let removed = host.ask("DELETE", &format!("{OWN}/{id}")).token(token).send().await;
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
    let pending = host.post(&format!("{OWN}/options"), &session, &json!({})).await;
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
