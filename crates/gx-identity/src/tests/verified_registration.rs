//! Registrations that must be confirmed by mail, through the router.

use gx_auth::testing::{Answer, PASSWORD, TestHost, code_in, token_in};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use super::person;
use crate::{IdentitySettings, RegistrationMode, service};

const SARAH: &str = "sarah@gxtest.com";
const CONFIRM: &str = "Confirm your e-mail address";

async fn host() -> TestHost {
    let registration_mode = RegistrationMode::Verified;
    TestHost::new(|base| {
        service(&IdentitySettings { registration_mode, ..Default::default() }, base)
    })
    .await
}

async fn register(host: &TestHost, body: &Value) -> Answer {
    host.post("/api/v1/auth/register", "", body).await
}

async fn log_in(host: &TestHost, password: &str) -> Answer {
    let body = json!({ "email": SARAH, "password": password });
    host.post("/api/v1/auth/login", "", &body).await
}

/// AUTHN-10: a registration answers alike whether or not the address, in any spelling, or the phone
/// number has an account.
#[tokio::test]
async fn authn_10_a_registration_does_not_tell_who_has_an_account() {
    let host = host().await;
    host.add_person("known@gxtest.com", AccountStatus::Active).await;
    let mut first = person(SARAH);
    first["phoneNum"] = json!("+60123456790");
    let mut same_phone = person("li@gxtest.com");
    same_phone["phoneNum"] = json!("+60123456790");
    for body in [first, person("known@gxtest.com"), person(" KNOWN@GXtest.com"), same_phone] {
        let answer = register(&host, &body).await;
        assert_eq!((answer.code(), &answer.json), (202, &json!({ "status": "VERIFICATION_SENT" })));
        assert_eq!(answer.field("set-cookie"), "");
    }
    let mut mails: Vec<(String, String)> =
        host.mails().await.into_iter().map(|mail| (mail.to, mail.subject)).collect();
    mails.sort();
    let mail = |to: &str, subject: &str| (to.to_owned(), subject.to_owned());
    let known = mail("known@gxtest.com", "You already have an account");
    let expected = [known.clone(), known, mail("li@gxtest.com", CONFIRM), mail(SARAH, CONFIRM)];
    assert_eq!(mails, expected);
    let phones: Vec<String> =
        sqlx::query_scalar(r#"SELECT email FROM "UserProfile" WHERE "phoneNum" = '+60123456790'"#)
            .fetch_all(host.database.pool())
            .await
            .unwrap();
    assert_eq!(phones, [SARAH], "the number stays with the first account");
}

/// AUTHN-09, AUTHN-10: nobody signs in before the address is confirmed, and the refusal is that of
/// a wrong password. The code of the mail confirms, without a session.
#[tokio::test]
async fn authn_09_an_unconfirmed_account_is_refused_like_a_wrong_password() {
    let host = host().await;
    assert_eq!(register(&host, &person(SARAH)).await.code(), 202);
    let without = |mut answer: Answer| {
        answer.json["requestId"].take();
        (answer.code(), answer.json)
    };
    let unconfirmed = without(log_in(&host, PASSWORD).await);
    assert_eq!(unconfirmed, without(log_in(&host, "WrongPassword123!").await));
    assert_eq!(unconfirmed.1["code"], "invalid_credentials");
    let code = code_in(&host.mail_about(CONFIRM).await);
    let body = json!({ "code": code, "email": SARAH });
    assert_eq!(host.post("/api/v1/auth/email/verify", "", &body).await.code(), 204);
    let answer = log_in(&host, PASSWORD).await;
    assert_eq!((answer.code(), &answer.json["user"]["emailVerified"]), (200, &json!(true)));
}

/// AUTHN-10: somebody who has registered with an address of somebody else is put out when its owner
/// sets a password by mail, which confirms the address, too.
#[tokio::test]
async fn authn_10_the_owner_of_a_mailbox_gets_an_account_that_another_has_registered() {
    let host = host().await;
    assert_eq!(register(&host, &person(SARAH)).await.code(), 202);
    host.mails().await;
    let again = json!({ "email": SARAH });
    assert_eq!(host.post("/api/v1/auth/password/forgot", "", &again).await.code(), 202);
    let token = token_in(&host.mail_about("Set a new password").await);
    let body = json!({ "token": token, "newPassword": "four random words here" });
    assert_eq!(host.post("/api/v1/auth/password/reset", "", &body).await.code(), 204);
    assert_eq!(log_in(&host, PASSWORD).await.code(), 401);
    let answer = log_in(&host, "four random words here").await;
    assert_eq!((answer.code(), &answer.json["user"]["emailVerified"]), (200, &json!(true)));
}
