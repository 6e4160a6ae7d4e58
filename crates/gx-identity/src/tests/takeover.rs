//! What somebody who knows a password, an old link or an address cannot take over, through the
//! router. Mails are delivered into memory.

use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost, all, code_in, token_in, totp_code};
use serde_json::{Value, json};

use super::{host, person};

const SARAH: &str = "sarah@gxtest.com";
const THIEF: &str = "thief@gxtest.com";
const RESET: &str = "Set a new password";
const CHANGE: &str = "Confirm your new e-mail address";
const OTHER_PASSWORD: &str = "four random words here";
/// More sign-ins than an account keeps devices.
const MANY: i64 = 22;

async fn post(host: &TestHost, path: &str, token: &str, body: Value) -> Answer {
    host.post(&format!("/api/v1/auth/{path}"), token, &body).await
}

/// Registers Sarah and returns her access token.
async fn register(host: &TestHost) -> String {
    let answer = host.post("/api/v1/auth/register", "", &person(SARAH)).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    answer.text_at("/accessToken").to_owned()
}

/// Signs Sarah in from an address, with a device token if it is not empty.
async fn log_in(host: &TestHost, password: &str, client: &str, device: &str) -> Answer {
    let mut body = json!({ "email": SARAH, "password": password });
    if !device.is_empty() {
        body["deviceToken"] = device.into();
    }
    let answer = host.ask("POST", "/api/v1/auth/login").client(client).json(&body).send().await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    answer
}

async fn ask_for_change(host: &TestHost, token: &str, password: &str) {
    let body = json!({ "newEmail": THIEF, "password": password });
    assert_eq!(post(host, "email/change", token, body).await.code(), 202);
}

async fn reset_with(host: &TestHost, link: &str) -> Answer {
    post(host, "password/reset", "", json!({ "token": link, "newPassword": OTHER_PASSWORD })).await
}

/// Returns the link of a reset, sent to the address.
async fn reset_link(host: &TestHost, email: &str) -> String {
    assert_eq!(post(host, "password/forgot", "", json!({ "email": email })).await.code(), 202);
    token_in(&host.mail_about(RESET).await)
}

/// AUTHN-15: a person who changes or resets the password ends a change of the address that a thief
/// has asked for, whether or not its mail was sent.
#[tokio::test]
async fn authn_15_a_new_password_ends_a_change_of_the_address() {
    let host = host().await;
    let token = register(&host).await;
    ask_for_change(&host, &token, PASSWORD).await;
    let link = json!({ "token": token_in(&host.mail_about(CHANGE).await) });
    let change = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(post(&host, "password/change", &token, change).await.code(), 204);
    assert_eq!(post(&host, "email/verify", "", link).await.problem(), "invalid_mail_token");

    let signed_in = log_in(&host, OTHER_PASSWORD, "192.0.2.7", "").await;
    let token = signed_in.text_at("/accessToken");
    host.mails().await;
    ask_for_change(&host, token, OTHER_PASSWORD).await;
    let change = json!({ "currentPassword": OTHER_PASSWORD, "newPassword": PASSWORD });
    assert_eq!(post(&host, "password/change", token, change).await.code(), 204);
    let expected = ["Your e-mail address is about to change", "Your password was changed"];
    assert_eq!(host.subjects().await, expected, "the thief gets no mail");

    let signed_in = log_in(&host, PASSWORD, "192.0.2.7", "").await;
    ask_for_change(&host, signed_in.text_at("/accessToken"), PASSWORD).await;
    let link = json!({ "token": token_in(&host.mail_about(CHANGE).await) });
    let reset = reset_link(&host, SARAH).await;
    assert_eq!(reset_with(&host, &reset).await.code(), 204);
    assert_eq!(post(&host, "email/verify", "", link).await.problem(), "invalid_mail_token");
}

/// AUTHN-14: the link of a reset opens nothing after the address was changed: neither in the change
/// nor later.
#[tokio::test]
async fn authn_14_a_reset_link_ends_with_its_address() {
    let host = host().await;
    let token = register(&host).await;
    let link = reset_link(&host, SARAH).await;
    ask_for_change(&host, &token, PASSWORD).await;
    let body = json!({ "code": code_in(&host.mail_about(CHANGE).await) });
    assert_eq!(post(&host, "email/verify", &token, body).await.code(), 204);
    assert_eq!(reset_with(&host, &link).await.problem(), "invalid_mail_token");

    let link = reset_link(&host, THIEF).await;
    sqlx::query(r#"UPDATE "UserProfile" SET email = $1"#)
        .bind(SARAH)
        .execute(host.database.pool())
        .await
        .unwrap();
    assert_eq!(reset_with(&host, &link).await.problem(), "invalid_mail_token");
}

/// AUTHN-13: a reset that confirms an address for the first time removes the authenticator, which
/// somebody else may have added who has registered the address.
#[tokio::test]
async fn authn_13_a_reset_that_first_confirms_an_address_removes_the_authenticator() {
    let host = host().await;
    let token = register(&host).await;
    let new = host.post("/api/v1/users/me/totp", &token, &json!({ "password": PASSWORD })).await;
    let code = totp_code(new.text_at("/secret"), host.clock.now());
    let confirm = json!({ "code": code });
    assert_eq!(host.post("/api/v1/users/me/totp/confirm", &token, &confirm).await.code(), 200);
    let link = reset_link(&host, SARAH).await;
    assert_eq!(reset_with(&host, &link).await.code(), 204);
    let expected = ["Your authenticator was removed", "Your password was changed"];
    assert_eq!(host.subjects().await, expected);
    log_in(&host, OTHER_PASSWORD, "192.0.2.7", "").await;
}

/// AUTHN-14: two mails of one account that are used at the same time wait for each other; one
/// confirms, and no use fails otherwise.
#[tokio::test]
async fn authn_14_two_mails_of_one_account_are_used_at_once() {
    let host = host().await;
    register(&host).await;
    let mut links = Vec::new();
    for _ in 0..2 {
        let body = json!({ "email": SARAH });
        assert_eq!(post(&host, "email/verification", "", body).await.code(), 202);
        links.push(token_in(&host.mail_about("Confirm your e-mail address").await));
    }
    let uses = (0..10).map(|n| post(&host, "email/verify", "", json!({ "token": links[n % 2] })));
    let mut codes: Vec<u16> = all(uses).await.iter().map(Answer::code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [204, 422, 422, 422, 422, 422, 422, 422, 422, 422]);
}

/// AUTHN-12: a client that keeps no device token has one device, however often it signs in, so that
/// the browser of the person stays known.
#[tokio::test]
async fn authn_12_a_client_without_a_token_does_not_evict_other_devices() {
    let host = host().await;
    register(&host).await;
    let browser = log_in(&host, PASSWORD, "192.0.2.7", "").await;
    let browser = browser.text_at("/deviceToken").to_owned();
    host.clock.advance(Duration::from_secs(1));
    log_in(&host, PASSWORD, "192.0.2.7", &browser).await;
    for _ in 0..MANY {
        host.clock.advance(Duration::from_secs(1));
        log_in(&host, PASSWORD, "198.51.100.1", "").await;
        log_in(&host, PASSWORD, "192.0.2.7", "").await;
    }
    let answer = log_in(&host, PASSWORD, "192.0.2.7", &browser).await;
    assert_eq!(answer.text_at("/deviceToken"), browser);
    let devices: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "KnownDevice""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(devices, 4, "of the registration, the browser, and two clients without a token");
}

/// AUTHN-12: a change of the password forgets the devices of the account, except the one whose
/// cookie the request has.
#[tokio::test]
async fn authn_12_a_changed_password_forgets_other_devices() {
    let host = host().await;
    register(&host).await;
    let own = log_in(&host, PASSWORD, "192.0.2.7", "").await;
    let other = log_in(&host, PASSWORD, "198.51.100.1", "").await;
    let (own_device, other_device) = (own.text_at("/deviceToken"), other.text_at("/deviceToken"));
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    let ask = host.ask("POST", "/api/v1/auth/password/change").token(own.text_at("/accessToken"));
    let ask = ask.header("cookie", &format!("__Host-gx-device={own_device}"));
    assert_eq!(ask.json(&body).send().await.code(), 204);
    let again = log_in(&host, OTHER_PASSWORD, "192.0.2.7", own_device).await;
    assert_eq!(again.text_at("/deviceToken"), own_device);
    let again = log_in(&host, OTHER_PASSWORD, "198.51.100.1", other_device).await;
    assert_ne!(again.text_at("/deviceToken"), other_device);
}
