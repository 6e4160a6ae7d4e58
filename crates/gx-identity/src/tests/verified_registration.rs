//! Registrations that must be confirmed by mail, through the router.

use gx_auth::testing::{Answer, PASSWORD, TestHost, code_in, token_in};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use super::{person, service};
use crate::{IdentitySettings, RegistrationMode};

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
/// a wrong password. The code of the mail confirms with the password, without a session.
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
    let body = json!({ "code": code, "email": SARAH, "password": PASSWORD });
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

/// AUTHN-10: the owner of a mailbox who confirms it does not open an account that somebody else has
/// registered with it: the confirmation needs the password of the registration. Nobody without the
/// code or the link learns that it is needed.
#[tokio::test]
async fn authn_10_a_confirmation_needs_the_password_of_the_registration() {
    let host = host().await;
    assert_eq!(register(&host, &person(SARAH)).await.code(), 202);
    let mail = host.mail_about(CONFIRM).await;
    let verify = async |body: &Value| host.post("/api/v1/auth/email/verify", "", body).await;
    let link = token_in(&mail);
    let proofs = [json!({ "token": link }), json!({ "code": code_in(&mail), "email": SARAH })];
    for mut body in proofs {
        let without = verify(&body).await;
        assert_eq!((without.code(), without.pointers()), (400, vec!["/password"]));
        body["password"] = "WrongPassword123!".into();
        let wrong = verify(&body).await;
        assert_eq!((wrong.code(), wrong.problem()), (403, "wrong_password"));
    }
    assert_eq!(log_in(&host, PASSWORD).await.code(), 401);
    for email in [SARAH, "nobody@gxtest.com"] {
        for password in ["WrongPassword123!", PASSWORD] {
            let body = json!({ "code": "01234567", "email": email, "password": password });
            assert_eq!(verify(&body).await.problem(), "invalid_mail_token", "{email}");
        }
        let body = json!({ "code": "01234567", "email": email });
        assert_eq!(verify(&body).await.problem(), "invalid_mail_token", "{email}");
    }

    let press = async |form: String| {
        let ask = host.ask("POST", "/links/verify-email").client("192.0.2.1");
        ask.bytes("application/x-www-form-urlencoded", form.into_bytes()).send().await
    };
    let asked = press(format!("token={link}")).await;
    assert_eq!(asked.code(), 400);
    assert!(asked.text.contains("name=\"password\""), "{}", asked.text);
    let done = press(format!("token={link}&password={PASSWORD}")).await;
    assert!(done.text.contains("is confirmed"), "{}", done.text);
    assert_eq!(log_in(&host, PASSWORD).await.code(), 200);
}

/// AUTHN-10: a phone number that another account gets while a registration runs is left out, and
/// the registration takes place.
#[tokio::test]
async fn authn_10_a_race_about_a_phone_number_leaves_the_number_out() {
    let host = host().await;
    let mut holder = host
        .holding(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "phoneNum",
                   "passwordHash", "dateOfBirth", gender, "createdAt", "updatedAt")
               VALUES ('other', 'Li', 'Wei', 'li@gxtest.com', '+60123456790', 'none', '1992-08-20',
                   'female', now(), now())"#,
        )
        .await;
    let mut body = person(SARAH);
    body["phoneNum"] = json!("+60123456790");
    let commit = async {
        host.waiting_for_locks(1).await;
        sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
    };
    let (answer, ()) = tokio::join!(register(&host, &body), commit);
    assert_eq!(answer.code(), 202, "{}", answer.text);
    assert_eq!(host.mail_about(CONFIRM).await.to, SARAH);
    let phone: Option<String> =
        sqlx::query_scalar(r#"SELECT "phoneNum" FROM "UserProfile" WHERE email = $1"#)
            .bind(SARAH)
            .fetch_one(host.database.pool())
            .await
            .unwrap();
    assert_eq!(phone, None);
}
