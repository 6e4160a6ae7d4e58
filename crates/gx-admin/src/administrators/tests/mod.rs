//! Second factors of administrators, through the router.

mod mail;
mod passkeys;

use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost, totp_code};
use gx_auth::{AdminRole, NewPassword};
use serde_json::json;

use crate::tests::service_of;
use crate::{NewAdministrator, create_administrator};

const EMAIL: &str = "admin@gxtest.com";
const TOTP: &str = "/api/v1/admin/me/totp";

/// Returns svc-admin with one administrator, in development or in production.
async fn host(is_development: bool) -> TestHost {
    let host = TestHost::new(|mut base| {
        base.is_development = is_development;
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

async fn log_in(host: &TestHost, totp: Option<&str>) -> Answer {
    let body = json!({ "email": EMAIL, "password": PASSWORD, "totp": totp });
    host.post("/api/v1/admin/auth/login", "", &body).await
}

/// Enrols a factor with this token and returns the secret.
async fn enrol(host: &TestHost, token: &str) -> String {
    let new = host.post(TOTP, token, &json!({ "password": PASSWORD })).await;
    assert_eq!(new.code(), 200, "{}", new.text);
    let secret = new.text_at("/secret").to_owned();
    let code = json!({ "code": totp_code(&secret, host.clock.now()) });
    let confirmed = host.post(&format!("{TOTP}/confirm"), token, &code).await;
    assert_eq!(confirmed.code(), 200, "{}", confirmed.text);
    host.clock.advance(Duration::from_secs(30));
    secret
}

/// AUTHN-17: outside development an administrator without a second factor gets no session but a
/// token, valid for ten minutes, that enrols one and does nothing else; then the sign-in needs a
/// code.
#[tokio::test]
async fn authn_17_outside_development_a_factor_is_enrolled_before_the_first_session() {
    let host = host(false).await;
    let refused = log_in(&host, Some("123456")).await;
    let problem = (refused.code(), refused.problem());
    assert_eq!(problem, (403, "second_factor_enrolment_required"), "{}", refused.text);
    assert!(refused.json.get("accessToken").is_none());
    let late = refused.text_at("/enrolmentToken").to_owned();
    assert_eq!(host.get(TOTP, &late).await.code(), 200);
    assert_eq!(host.get("/api/v1/admin/users", &late).await.code(), 401);
    let refresh = json!({ "refreshToken": late });
    let refreshed = host.post("/api/v1/admin/auth/refresh", "", &refresh).await;
    assert_eq!(refreshed.problem(), "invalid_refresh_token");
    // Ten minutes, and the leeway between clocks.
    host.clock.advance(Duration::from_secs(629));
    assert_eq!(host.get(TOTP, &late).await.code(), 200);
    host.clock.advance(Duration::from_secs(1));
    assert_eq!(host.get(TOTP, &late).await.code(), 401);

    let refused = log_in(&host, None).await;
    let token = refused.text_at("/enrolmentToken");
    let secret = enrol(&host, token).await;
    assert_eq!(host.get(TOTP, token).await.code(), 401, "a factor is in force");
    assert_eq!(log_in(&host, None).await.problem(), "second_factor_required");
    let signed_in = log_in(&host, Some(&totp_code(&secret, host.clock.now()))).await;
    assert_eq!(signed_in.code(), 200, "{}", signed_in.text);
    let token = signed_in.text_at("/accessToken");
    assert_eq!(host.get("/api/v1/admin/users", token).await.code(), 200);
    assert_eq!(host.get(TOTP, token).await.json["recoveryCodesLeft"], 10);
}

/// AUTHN-17: a locked administrator gets no token and cannot use one.
#[tokio::test]
async fn authn_17_a_locked_administrator_enrols_nothing() {
    let host = host(false).await;
    let token = log_in(&host, None).await.text_at("/enrolmentToken").to_owned();
    sqlx::query(r#"UPDATE "AdminUser" SET "isLocked" = true"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    assert_eq!(host.get(TOTP, &token).await.code(), 401);
    assert_eq!(log_in(&host, None).await.problem(), "invalid_credentials");
}

/// AUTHN-17: the token ends when the password is replaced, in whatever way; the new password gets
/// another one.
#[tokio::test]
async fn authn_17_another_password_ends_the_enrolment_token() {
    let host = host(false).await;
    let token = log_in(&host, None).await.text_at("/enrolmentToken").to_owned();
    assert_eq!(host.get(TOTP, &token).await.code(), 200);
    let again = log_in(&host, None).await.text_at("/enrolmentToken").to_owned();
    let other = host.base.auth.hasher.hash(&"another long password".into()).await.unwrap();
    let same = host.base.auth.hasher.hash(&PASSWORD.into()).await.unwrap();
    for hash in [other, same] {
        sqlx::query(r#"UPDATE "AdminUser" SET "passwordHash" = $1"#)
            .bind(hash)
            .execute(host.database.pool())
            .await
            .unwrap();
        for token in [&token, &again] {
            assert_eq!(host.get(TOTP, token).await.code(), 401);
            let enrol = host.post(TOTP, token, &json!({ "password": PASSWORD })).await;
            assert_eq!(enrol.problem(), "unauthenticated");
        }
    }
    let new = log_in(&host, None).await.text_at("/enrolmentToken").to_owned();
    assert_eq!(host.get(TOTP, &new).await.code(), 200);
}

/// AUTHN-13, AUTHN-17: in development a factor is asked of an administrator who has enrolled one,
/// its recovery codes work, and each change is audited.
#[tokio::test]
async fn authn_17_in_development_a_factor_is_asked_of_those_who_have_one() {
    let host = host(true).await;
    let signed_in = log_in(&host, None).await;
    assert_eq!(signed_in.code(), 200, "{}", signed_in.text);
    let token = signed_in.text_at("/accessToken").to_owned();
    let secret = enrol(&host, &token).await;
    assert_eq!(log_in(&host, None).await.problem(), "second_factor_required");
    let code = totp_code(&secret, host.clock.now());
    let body = json!({ "password": PASSWORD, "totp": code });
    let renewed = host.post(&format!("{TOTP}/recovery-codes"), &token, &body).await;
    assert_eq!(renewed.code(), 200, "{}", renewed.text);
    assert_eq!(log_in(&host, Some(&code)).await.problem(), "invalid_credentials", "used already");
    let recovery = renewed.text_at("/recoveryCodes/0");
    assert_eq!(log_in(&host, Some(recovery)).await.code(), 200);
    assert_eq!(log_in(&host, Some(recovery)).await.code(), 401);
    let body = json!({ "password": PASSWORD, "totp": renewed.text_at("/recoveryCodes/1") });
    assert_eq!(host.post(&format!("{TOTP}/disable"), &token, &body).await.code(), 204);
    assert_eq!(log_in(&host, None).await.code(), 200);
    let sql = r#"SELECT action FROM "AuditEntry" WHERE action NOT LIKE '%signed_in' ORDER BY seq"#;
    let actions: Vec<String> =
        sqlx::query_scalar(sql).fetch_all(host.database.pool()).await.unwrap();
    assert_eq!(
        actions,
        [
            "admin.created",
            "admin.totp_enabled",
            "admin.recovery_codes_renewed",
            "admin.recovery_code_used",
            "admin.totp_disabled"
        ]
    );
}
