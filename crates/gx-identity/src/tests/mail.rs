//! Confirmed and changed addresses, forgotten passwords and notices, through the router. Mails are
//! delivered into memory.

use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost, all, code_in, token_in, totp_code};
use gx_model::AccountStatus;
use serde_json::{Value, json};

use super::{hand_in, host, person, service};

const SARAH: &str = "sarah@gxtest.com";
const CONFIRM: &str = "Confirm your e-mail address";
const RESET: &str = "Set a new password";
const OTHER_PASSWORD: &str = "four random words here";

async fn post(host: &TestHost, path: &str, token: &str, body: Value) -> Answer {
    host.post(&format!("/api/v1/auth/{path}"), token, &body).await
}

async fn log_in(host: &TestHost, password: &str) -> Answer {
    post(host, "login", "", json!({ "email": SARAH, "password": password })).await
}

/// Registers Sarah and returns her access token.
async fn register(host: &TestHost) -> String {
    let answer = host.post("/api/v1/auth/register", "", &person(SARAH)).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert_eq!(answer.json["user"]["emailVerified"], false);
    answer.text_at("/accessToken").to_owned()
}

async fn is_verified(host: &TestHost, token: &str) -> Value {
    host.get("/api/v1/users/me", token).await.json["user"]["emailVerified"].clone()
}

/// AUTHN-14, AUTHN-15: from registration to a confirmed address, a forgotten password and ended
/// sessions. A reset neither asks for the second factor nor removes it.
#[tokio::test]
async fn authn_15_a_person_confirms_the_address_and_resets_the_password() {
    let host = host().await;
    let token = register(&host).await;
    assert_eq!(post(&host, "email/verification", &token, json!({})).await.code(), 202);
    let mail = host.mail_about(CONFIRM).await;
    assert_eq!(mail.to, SARAH);
    let code = code_in(&mail);
    let answer = post(&host, "email/verify", &token, json!({ "code": code })).await;
    assert_eq!((answer.code(), answer.text.as_str()), (204, ""));
    assert_eq!(is_verified(&host, &token).await, true);

    let new = host.post("/api/v1/users/me/totp", &token, &json!({ "password": PASSWORD })).await;
    let secret = new.text_at("/secret").to_owned();
    let body = json!({ "code": totp_code(&secret, host.clock.now()) });
    assert_eq!(host.post("/api/v1/users/me/totp/confirm", &token, &body).await.code(), 200);
    assert_eq!(host.subjects().await, ["Your authenticator is in use"]);

    assert_eq!(post(&host, "password/forgot", "", json!({ "email": SARAH })).await.code(), 202);
    let link = token_in(&host.mail_about(RESET).await);
    let body = json!({ "token": link, "newPassword": OTHER_PASSWORD });
    assert_eq!(post(&host, "password/reset", "", body.clone()).await.code(), 204);
    assert_eq!(host.get("/api/v1/users/me", &token).await.code(), 401, "all sessions have ended");
    assert_eq!(host.subjects().await, ["Your password was changed"]);
    assert_eq!(post(&host, "password/reset", "", body).await.problem(), "invalid_mail_token");

    assert_eq!(log_in(&host, PASSWORD).await.problem(), "invalid_credentials");
    assert_eq!(log_in(&host, OTHER_PASSWORD).await.problem(), "second_factor_required");
    host.clock.advance(Duration::from_secs(60));
    let code = totp_code(&secret, host.clock.now());
    let body = json!({ "email": SARAH, "password": OTHER_PASSWORD, "totp": code });
    assert_eq!(post(&host, "login", "", body).await.code(), 200);
}

/// AUTHN-14: a code lives for ten minutes and bears five wrong tries, without a session too; the
/// link of the same mail lives for an hour. Each works once.
#[tokio::test]
async fn authn_14_codes_expire_and_cannot_be_tried() {
    let host = host().await;
    let token = register(&host).await;
    let ask = async || {
        let body = json!({ "email": SARAH });
        assert_eq!(post(&host, "email/verification", "", body).await.code(), 202);
        host.mail_about(CONFIRM).await
    };
    let with_code = async |code: &str| {
        post(&host, "email/verify", "", json!({ "code": code, "email": SARAH })).await
    };
    let late = ask().await;
    host.clock.advance(Duration::from_secs(601));
    let refused = with_code(&code_in(&late)).await;
    assert_eq!((refused.code(), refused.problem()), (422, "invalid_mail_token"));

    let tried = ask().await;
    for _ in 0..5 {
        assert_eq!(with_code("not a code").await.problem(), "invalid_mail_token");
    }
    assert_eq!(with_code(&code_in(&tried)).await.problem(), "invalid_mail_token");
    assert_eq!(is_verified(&host, &token).await, false);
    let link = json!({ "token": token_in(&tried) });
    assert_eq!(post(&host, "email/verify", "", link.clone()).await.code(), 204);
    assert_eq!(post(&host, "email/verify", "", link).await.problem(), "invalid_mail_token");
    assert_eq!(is_verified(&host, &token).await, true);
    assert_eq!(post(&host, "email/verification", "", json!({ "email": SARAH })).await.code(), 202);
    assert!(host.mails().await.is_empty(), "a confirmed address needs no mail");
}

/// AUTHN-14: a link that is older than an hour, of another purpose or of the other realm opens
/// nothing.
#[tokio::test]
async fn authn_14_a_token_is_bound_to_its_purpose_and_its_time() {
    let host = host().await;
    register(&host).await;
    let body = json!({ "email": SARAH });
    post(&host, "password/forgot", "", body.clone()).await;
    let reset = token_in(&host.mail_about(RESET).await);
    let verify = json!({ "token": reset });
    assert_eq!(post(&host, "email/verify", "", verify).await.problem(), "invalid_mail_token");
    post(&host, "email/verification", "", body).await;
    let verify = token_in(&host.mail_about(CONFIRM).await);
    let as_reset = json!({ "token": verify, "newPassword": OTHER_PASSWORD });
    assert_eq!(post(&host, "password/reset", "", as_reset).await.problem(), "invalid_mail_token");
    host.clock.advance(Duration::from_secs(3_601));
    let late = json!({ "token": reset, "newPassword": OTHER_PASSWORD });
    assert_eq!(post(&host, "password/reset", "", late).await.problem(), "invalid_mail_token");
    assert_eq!(log_in(&host, PASSWORD).await.code(), 200);
}

/// AUTHN-14: of thirty parallel uses of a code, of a link and of a reset exactly one succeeds.
#[tokio::test]
async fn authn_14_parallel_uses_of_one_mail_succeed_once() {
    let host = host().await;
    let token = register(&host).await;
    let ask = async |path: &str| {
        assert_eq!(post(&host, path, "", json!({ "email": SARAH })).await.code(), 202);
    };
    let succeeded = async |path: &str, body: Value| {
        let answers = all((0..30).map(|_| post(&host, path, "", body.clone()))).await;
        let refused = answers.iter().filter(|answer| answer.problem() == "invalid_mail_token");
        let succeeded = answers.iter().filter(|answer| answer.code() == 204).count();
        assert_eq!(succeeded + refused.count(), 30);
        succeeded
    };
    ask("email/verification").await;
    let code = code_in(&host.mail_about(CONFIRM).await);
    let body = json!({ "code": code, "email": SARAH });
    assert_eq!(succeeded("email/verify", body).await, 1);
    assert_eq!(is_verified(&host, &token).await, true);
    ask("password/forgot").await;
    let link = token_in(&host.mail_about(RESET).await);
    let body = json!({ "token": link, "newPassword": OTHER_PASSWORD });
    assert_eq!(succeeded("password/reset", body).await, 1);
}

/// AUTHN-10: recovery answers known, unknown, locked and impossible addresses alike, and writes the
/// same rows; nobody but the owner gets a mail.
#[tokio::test]
async fn authn_10_recovery_does_not_tell_who_has_an_account() {
    let host = host().await;
    host.add_person(SARAH, AccountStatus::Active).await;
    let locked = host.add_person("locked@gxtest.com", AccountStatus::Active).await;
    sqlx::query(r#"UPDATE "UserProfile" SET "isLocked" = true WHERE "profileId" = $1"#)
        .bind(locked)
        .execute(host.database.pool())
        .await
        .unwrap();
    let mut answers = Vec::new();
    for email in [" SARAH@GXtest.com", "nobody@gxtest.com", "locked@gxtest.com", "no address"] {
        for path in ["password/forgot", "email/verification"] {
            let answer = post(&host, path, "", json!({ "email": email })).await;
            answers.push((answer.code(), answer.text.clone()));
        }
    }
    assert!(answers.iter().all(|answer| *answer == (202, String::new())), "{answers:?}");
    let shapes: Vec<(Option<String>, i64)> =
        sqlx::query_as(r#"SELECT "profileId", count(*) FROM "QueuedMail" GROUP BY 1"#)
            .fetch_all(host.database.pool())
            .await
            .unwrap();
    assert_eq!(shapes, [(None, 8)], "no row tells which address has an account");
    let mut mails: Vec<(String, String)> =
        host.mails().await.into_iter().map(|mail| (mail.to, mail.subject)).collect();
    mails.sort();
    let mail = |to: &str, subject: &str| (to.to_owned(), subject.to_owned());
    let expected = [mail("locked@gxtest.com", CONFIRM), mail(SARAH, CONFIRM), mail(SARAH, RESET)];
    assert_eq!(mails, expected);
    let wrong_code = async |email: &str| {
        let body = json!({ "code": "01234567", "email": email });
        let mut answer = post(&host, "email/verify", "", body).await.json;
        answer["requestId"].take();
        answer
    };
    assert_eq!(wrong_code("nobody@gxtest.com").await, wrong_code(SARAH).await);
}

/// AUTHN-15: another address needs the password, is confirmed by a mail to it, and the present one
/// is told twice: when it is asked for and when it takes effect.
#[tokio::test]
async fn authn_15_a_new_address_is_confirmed_and_the_old_one_is_told() {
    let host = host().await;
    let token = register(&host).await;
    let new = "sarah.jones@gxtest.com";
    let ask = async |password: &str, to: &str| {
        post(&host, "email/change", &token, json!({ "newEmail": to, "password": password })).await
    };
    let refused = ask("WrongPassword123!", new).await;
    assert_eq!((refused.code(), refused.problem()), (403, "wrong_password"));
    assert!(host.mails().await.is_empty());
    assert_eq!(ask(PASSWORD, new).await.code(), 202);
    let mails = host.mails().await;
    let to = |address: &str| mails.iter().find(|mail| mail.to == address).unwrap();
    assert_eq!(mails.len(), 2);
    assert_eq!(to(SARAH).subject, "Your e-mail address is about to change");
    assert_eq!(to(new).subject, "Confirm your new e-mail address");
    let me = host.get("/api/v1/users/me", &token).await;
    assert_eq!(me.json["user"]["email"], SARAH, "nothing has changed yet");
    let body = json!({ "code": code_in(to(new)) });
    assert_eq!(post(&host, "email/verify", &token, body).await.code(), 204);
    let told = host.mail_about("Your e-mail address was changed").await;
    assert_eq!(told.to, SARAH);
    let me = host.get("/api/v1/users/me", &token).await;
    assert_eq!(
        (&me.json["user"]["email"], &me.json["user"]["emailVerified"]),
        (&json!(new), &json!(true))
    );
    assert_eq!(log_in(&host, PASSWORD).await.code(), 401);

    host.add_person("li@gxtest.com", AccountStatus::Active).await;
    assert_eq!(ask(PASSWORD, "li@gxtest.com").await.code(), 202, "the answer tells nothing");
    assert_eq!(host.subjects().await, ["Your e-mail address is about to change"]);
}

/// AUTHN-14: mails to one address and mails for one client are limited, and so is an IPv6 network,
/// whatever addresses it uses.
#[tokio::test]
async fn authn_14_mails_are_limited_by_address_client_and_network() {
    let limits = gx_serve::RateLimitSettings::default();
    let host =
        TestHost::limited(limits, |base| service(&crate::IdentitySettings::default(), base)).await;
    let ask = async |client: &str, email: &str| {
        let body = json!({ "email": email });
        let ask = host.ask("POST", "/api/v1/auth/password/forgot").client(client);
        ask.json(&body).send().await
    };
    for n in 0..5 {
        assert_eq!(ask(&format!("192.0.2.{n}"), SARAH).await.code(), 202);
    }
    let refused = ask("192.0.2.9", " Sarah@gxtest.com").await;
    assert_eq!((refused.code(), refused.json["violated-policies"].clone()), (429, json!(["mail"])));
    for n in 0..30 {
        assert_eq!(ask("192.0.2.77", &format!("a{n}@gxtest.com")).await.code(), 202);
    }
    let refused = ask("192.0.2.77", "b@gxtest.com").await;
    assert_eq!(refused.json["violated-policies"], json!(["mail-client"]));
    let mut admitted = 0;
    for n in 0..310 {
        let client = format!("2001:db8:7:{n:x}::1");
        admitted += usize::from(ask(&client, &format!("c{n}@gxtest.com")).await.code() == 202);
    }
    assert_eq!(admitted, 300);
    assert_eq!(ask("2001:db8:8::1", "d@gxtest.com").await.code(), 202);
}

/// AUTHN-14: the page that a link leads to changes nothing when it is read, and its button
/// confirms; it has no script and tells its address to nobody.
#[tokio::test]
async fn authn_14_a_link_is_used_by_its_button_only() {
    let host = host().await;
    let token = register(&host).await;
    post(&host, "email/verification", &token, json!({})).await;
    let mail = host.mail_about(CONFIRM).await;
    assert!(mail.body.contains("http://localhost:3001/links/verify-email?token="), "{}", mail.body);
    let link = token_in(&mail);
    for _ in 0..2 {
        let page = host.get(&format!("/links/verify-email?token={link}"), "").await;
        assert_eq!((page.code(), page.field("referrer-policy")), (200, "no-referrer"));
        let policy = page.field("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("script-src"),
            "{policy}"
        );
        assert!(page.text.contains(&format!("value=\"{link}\"")), "{}", page.text);
        assert!(!page.text.contains("<script"));
    }
    assert_eq!(is_verified(&host, &token).await, false);
    let press = async |path: &str, form: String| {
        let ask = host.ask("POST", path).client("192.0.2.1");
        ask.bytes("application/x-www-form-urlencoded", form.into_bytes()).send().await
    };
    let done = press("/links/verify-email", format!("token={link}")).await;
    assert!(done.text.contains("is confirmed"), "{}", done.text);
    assert_eq!(is_verified(&host, &token).await, true);
    let again = press("/links/verify-email", format!("token={link}")).await;
    assert!(again.code() == 422 && again.text.contains("is not valid"), "{}", again.text);
    let hostile = host.get("/links/verify-email?token=%22%3E%3Cscript%3E", "").await;
    assert!(!hostile.text.contains("<script"), "{}", hostile.text);

    post(&host, "password/forgot", "", json!({ "email": SARAH })).await;
    let link = token_in(&host.mail_about(RESET).await);
    let weak = press("/links/reset-password", format!("token={link}&password=short")).await;
    assert!(weak.code() == 400 && weak.text.contains("at least 15 characters"), "{}", weak.text);
    let form = format!("token={link}&password=four+random+words+here");
    let done = press("/links/reset-password", form).await;
    assert!(done.text.contains("Your password is set"), "{}", done.text);
    assert_eq!(log_in(&host, OTHER_PASSWORD).await.code(), 200);
}

/// AUTHN-15: what happens to an account is told: a new device once, a changed password, the use of
/// an old token, and few recovery codes.
#[tokio::test]
async fn authn_15_people_are_told_what_happens_to_their_account() {
    let host = host().await;
    register(&host).await;
    let answer = log_in(&host, PASSWORD).await;
    let refresh = answer.text_at("/refreshToken").to_owned();
    assert!(host.mails().await.is_empty(), "the device of the registration is known");
    let sign_in = async |client: &str| {
        let body = json!({ "email": SARAH, "password": PASSWORD });
        host.ask("POST", "/api/v1/auth/login").client(client).json(&body).send().await
    };
    assert_eq!(sign_in("192.0.2.7").await.code(), 200);
    let told = host.mail_about("Sign-in from a new device").await;
    assert!(told.body.contains("192.0.2.7"), "{}", told.body);
    assert_eq!(sign_in("192.0.2.8").await.code(), 200);
    assert!(host.mails().await.is_empty(), "the network is known");

    let body = json!({ "refreshToken": refresh });
    assert_eq!(post(&host, "refresh", "", body.clone()).await.code(), 200);
    host.clock.advance(Duration::from_secs(11));
    assert_eq!(post(&host, "refresh", "", body).await.problem(), "invalid_refresh_token");
    assert_eq!(host.subjects().await, ["One of your sessions was ended"]);

    let token = sign_in("192.0.2.7").await.text_at("/accessToken").to_owned();
    let body = json!({ "currentPassword": PASSWORD, "newPassword": OTHER_PASSWORD });
    assert_eq!(post(&host, "password/change", &token, body).await.code(), 204);
    assert_eq!(host.subjects().await, ["Your password was changed"]);
}

/// AUTHN-15: recovery codes that run out are told, and so is each change of the factor.
#[tokio::test]
async fn authn_15_changes_of_the_factor_are_told() {
    let host = host().await;
    let token = register(&host).await;
    let ask = async |path: &str, body: Value| {
        host.post(&format!("/api/v1/users/me/totp{path}"), &token, &body).await
    };
    let new = ask("", json!({ "password": PASSWORD })).await;
    let secret = new.text_at("/secret").to_owned();
    let code = totp_code(&secret, host.clock.now());
    let codes = ask("/confirm", json!({ "code": code })).await;
    let codes: Vec<String> = serde_json::from_value(codes.json["recoveryCodes"].clone()).unwrap();
    for code in &codes[..7] {
        let body = json!({ "email": SARAH, "password": PASSWORD, "totp": code });
        assert_eq!(post(&host, "login", "", body).await.code(), 200);
    }
    let expected = ["Your authenticator is in use", "Your recovery codes are running out"];
    assert_eq!(host.subjects().await, expected);
    let with = json!({ "password": PASSWORD, "totp": codes[7] });
    assert_eq!(ask("/recovery-codes", with).await.code(), 200);
    assert_eq!(host.subjects().await, ["You have new recovery codes"]);
    host.clock.advance(Duration::from_secs(60));
    let code = totp_code(&secret, host.clock.now());
    assert_eq!(ask("/disable", json!({ "password": PASSWORD, "totp": code })).await.code(), 204);
    assert_eq!(host.subjects().await, ["Your authenticator was removed"]);
}

/// AUTHN-12: while others block the address by wrong passwords, a person whose client has a device
/// token signs in, by cookie or by field; a token of another account helps nobody.
#[tokio::test]
async fn authn_12_a_known_device_signs_in_while_others_flood() {
    let host = host().await;
    register(&host).await;
    host.add_person("eve@gxtest.com", AccountStatus::Active).await;
    let first = log_in(&host, PASSWORD).await;
    let device = first.text_at("/deviceToken").to_owned();
    let cookie = first.field("set-cookie").to_owned();
    assert!(cookie.starts_with(&format!("__Host-gx-device={device}; Path=/;")), "{cookie}");
    for part in ["Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let body = json!({ "email": "eve@gxtest.com", "password": PASSWORD });
    let of_eve = post(&host, "login", "", body).await.text_at("/deviceToken").to_owned();
    for _ in 0..8 {
        log_in(&host, "WrongPassword123!").await;
    }
    assert_eq!(log_in(&host, PASSWORD).await.code(), 429);
    let with = async |password: &str, device: &str| {
        let body = json!({ "email": SARAH, "password": password, "deviceToken": device });
        post(&host, "login", "", body).await
    };
    assert_eq!(with(PASSWORD, &of_eve).await.code(), 429);
    let answer = with(PASSWORD, &device).await;
    assert_eq!((answer.code(), answer.text_at("/deviceToken")), (200, device.as_str()));
    let body = json!({ "email": SARAH, "password": PASSWORD });
    let ask = host.ask("POST", "/api/v1/auth/login");
    let ask = ask.header("cookie", &format!("a=b; __Host-gx-device={device}"));
    assert_eq!(ask.json(&body).send().await.code(), 200);
    for _ in 0..5 {
        assert_eq!(with("WrongPassword123!", &device).await.code(), 401);
    }
    assert_eq!(
        with(PASSWORD, &device).await.code(),
        429,
        "a stolen device token is throttled, too"
    );
}

/// KYC-01: submitting for review needs a confirmed address only where a setting says so.
#[tokio::test]
async fn kyc_01_review_may_need_a_confirmed_address() {
    let host = TestHost::new(|base| {
        let settings = crate::IdentitySettings { kyc_verified_email: true, ..Default::default() };
        service(&settings, base)
    })
    .await;
    let id = host.add_person(SARAH, AccountStatus::Registered).await;
    let token = host.session_of(&id).await.access_token;
    hand_in(&host, &token).await;
    let submit = async || host.post("/api/v1/users/me/kyc/submit", &token, &json!({})).await;
    let refused = submit().await;
    assert_eq!((refused.problem(), refused.pointers()), ("kyc_incomplete", vec!["/email"]));
    post(&host, "email/verification", &token, json!({})).await;
    let body = json!({ "token": token_in(&host.mail_about(CONFIRM).await) });
    assert_eq!(post(&host, "email/verify", "", body).await.code(), 204);
    assert_eq!(submit().await.code(), 200);
}
