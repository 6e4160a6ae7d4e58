//! Mails to administrators, through the router. Mails are delivered into memory.

use gx_auth::testing::{Answer, PASSWORD, TestHost, code_in, token_in};
use gx_auth::{AdminRole, NewPassword};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use crate::tests::{host, identity};
use crate::{NewAdministrator, create_administrator};

const ADA: &str = "ada@gxtest.com";
const OTHER_PASSWORD: &str = "four random words here";

/// Adds Ada, a SUPER_ADMIN who signs in with [`PASSWORD`].
async fn add_ada(host: &TestHost) {
    let new = NewAdministrator {
        email: ADA.to_owned(),
        display_name: "Ada".to_owned(),
        role: AdminRole::SuperAdmin,
        password: NewPassword::new(PASSWORD).unwrap(),
    };
    let mut conn = host.base.connection().await.unwrap();
    let (hasher, entropy, now) = (&host.base.auth.hasher, &host.base.entropy, host.clock.now());
    create_administrator(&mut conn, hasher, entropy, &new, "test", now).await.unwrap();
}

async fn post(host: &TestHost, path: &str, token: &str, body: Value) -> Answer {
    host.post(&format!("/api/v1/admin/auth/{path}"), token, &body).await
}

async fn log_in(host: &TestHost, password: &str) -> Answer {
    post(host, "login", "", json!({ "email": ADA, "password": password })).await
}

/// AUTHN-15, AUTHN-16: an administrator confirms the own address and sets a forgotten password by
/// mail. A person with the same address is not touched, and links of one realm open nothing in the
/// other.
#[tokio::test]
async fn authn_16_an_administrator_resets_the_own_password_by_mail() {
    let host = host().await;
    add_ada(&host).await;
    host.add_person(ADA, AccountStatus::Active).await;
    let signed_in = log_in(&host, PASSWORD).await;
    assert_eq!((signed_in.code(), &signed_in.json["admin"]["emailVerified"]), (200, &json!(false)));
    assert!(signed_in.field("set-cookie").starts_with("__Host-gx-device="));
    assert_eq!(host.subjects().await, ["Sign-in from a new device"]);
    let token = signed_in.text_at("/accessToken");
    assert_eq!(post(&host, "email/verification", token, json!({})).await.code(), 202);
    let mail = host.mail_about("Confirm your e-mail address").await;
    assert!(mail.body.contains("http://localhost:3006/links/verify-email"), "{}", mail.body);
    let body = json!({ "code": code_in(&mail) });
    assert_eq!(post(&host, "email/verify", token, body).await.code(), 204);

    for (email, mails) in [("nobody@gxtest.com", 0), (ADA, 1)] {
        let answer = post(&host, "password/forgot", "", json!({ "email": email })).await;
        assert_eq!((answer.code(), answer.text.as_str()), (202, ""));
        if mails == 0 {
            assert!(host.mails().await.is_empty());
            continue;
        }
        let mail = host.mail_about("Set a new password").await;
        let body = json!({ "token": token_in(&mail), "newPassword": OTHER_PASSWORD });
        let identity = identity(&host);
        let ask = host.ask("POST", "/api/v1/auth/password/reset").json(&body);
        assert_eq!(ask.send_to(&identity).await.problem(), "invalid_mail_token");
        assert_eq!(post(&host, "password/reset", "", body).await.code(), 204);
    }
    assert_eq!(host.get("/api/v1/admin/users", token).await.code(), 401);
    assert_eq!(host.subjects().await, ["Your password was changed"]);
    assert_eq!(log_in(&host, PASSWORD).await.problem(), "invalid_credentials");
    let answer = log_in(&host, OTHER_PASSWORD).await;
    assert_eq!((answer.code(), &answer.json["admin"]["emailVerified"]), (200, &json!(true)));
    let of_person = json!({ "email": ADA, "password": PASSWORD });
    let identity = identity(&host);
    let ask = host.ask("POST", "/api/v1/auth/login").json(&of_person);
    assert_eq!(ask.send_to(&identity).await.code(), 200);
}

/// AUTHN-15: a person whose factors an administrator resets is told.
#[tokio::test]
async fn authn_15_a_reset_of_factors_is_told() {
    let host = host().await;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let admin = host.add_administrator(AdminRole::Admin).await.access_token;
    let path = format!("/api/v1/admin/users/{id}/factors/reset");
    assert_eq!(host.post(&path, &admin, &json!({ "reason": "phone lost" })).await.code(), 202);
    let mail = host.mail_about("Your second factors were removed").await;
    assert_eq!(mail.to, "sarah@gxtest.com");
}

/// AUTHN-12: an administrator on a known device signs in while others block the address.
#[tokio::test]
async fn authn_12_a_known_device_of_an_administrator_is_counted_apart() {
    let host = host().await;
    add_ada(&host).await;
    let device = log_in(&host, PASSWORD).await.text_at("/deviceToken").to_owned();
    for _ in 0..6 {
        log_in(&host, "WrongPassword123!").await;
    }
    assert_eq!(log_in(&host, PASSWORD).await.code(), 429);
    let body = json!({ "email": ADA, "password": PASSWORD, "deviceToken": device });
    assert_eq!(post(&host, "login", "", body).await.code(), 200);
}

/// AUTHN-14: the page of svc-admin sets a new password with its button.
#[tokio::test]
async fn authn_14_a_link_leads_to_a_page_of_svc_admin() {
    let host = host().await;
    add_ada(&host).await;
    post(&host, "password/forgot", "", json!({ "email": ADA })).await;
    let token = token_in(&host.mail_about("Set a new password").await);
    let page = host.get(&format!("/links/reset-password?token={token}"), "").await;
    assert_eq!(page.code(), 200);
    assert_eq!(log_in(&host, PASSWORD).await.code(), 200, "nothing has changed");
    let form = format!("token={token}&password=four+random+words+here").into_bytes();
    let ask = host.ask("POST", "/links/reset-password").client("192.0.2.1");
    let done = ask.bytes("application/x-www-form-urlencoded", form).send().await;
    assert!(done.text.contains("Your password is set"), "{}", done.text);
    assert_eq!(log_in(&host, OTHER_PASSWORD).await.code(), 200);
}
