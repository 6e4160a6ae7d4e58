//! What a hostile page, browser or person can send with a passkey.

use gx_auth::testing::token_in;

use super::*;

/// Returns a member's value from the right credential and from one of another account, which have
/// signed the same challenge.
type Replacement = fn(&Value, &Value) -> Value;

fn flipped_signature(credential: &Value) -> Value {
    let signature = credential["response"]["signature"].as_str().unwrap();
    let last = if signature.ends_with('A') { 'Q' } else { 'A' };
    format!("{}{last}", &signature[..signature.len() - 1]).into()
}

/// AUTHN-15, API-04: a sign-in of another page, domain, ceremony or challenge, without a verified
/// user, with a wrong signature or of another account is refused like a wrong password, and uses
/// the challenge up.
#[tokio::test]
async fn authn_15_a_hostile_sign_in_is_refused_like_a_wrong_password() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    let expected = refusal_of_a_wrong_password(&sarah.host).await;
    let changes: [fn(&mut AuthenticatorOutput); 9] = [
        |said| said.client_data["origin"] = "http://localhost:3002".into(),
        |said| said.client_data["origin"] = "http://localhost:3001.evil.org".into(),
        |said| said.client_data["type"] = "webauthn.create".into(),
        |said| said.client_data["challenge"] = "AAAA".into(),
        |said| said.client_data["crossOrigin"] = true.into(),
        |said| said.rp_id = "example.org".to_owned(),
        |said| said.flags &= !1,
        |said| said.flags &= !4,
        |said| said.trailing = vec![0xa0],
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let refused = sign_in_with(&sarah.host, &passkey, change).await;
        assert_eq!(comparable(&refused), expected, "variation {at}");
    }

    let other_id = sarah.host.add_person("ben@gxtest.com", AccountStatus::Active).await;
    let other_token = sarah.host.session_of(&other_id).await.access_token;
    let ben = Sarah { profile_id: other_id, token: other_token, ..sarah };
    let bens = ben.add_passkey().await;
    let first = sign_in_options(&ben.host).await;
    let right = passkey.sign(&first["publicKey"], ORIGIN);
    let changes: [(&str, Replacement); 6] = [
        ("/response/userHandle", |_, foreign| foreign["response"]["userHandle"].clone()),
        ("/response/signature", |_, foreign| foreign["response"]["signature"].clone()),
        ("/response/signature", |own, _| flipped_signature(own)),
        ("/response/authenticatorData", |_, _| "AAAA".into()),
        ("/id", |_, foreign| foreign["id"].clone()),
        ("/id", |_, _| "AAAA".into()),
    ];
    for (pointer, change) in changes {
        let options = sign_in_options(&ben.host).await;
        let mut credential = passkey.sign(&options["publicKey"], ORIGIN);
        let foreign = bens.sign(&options["publicKey"], ORIGIN);
        let value = change(&credential, &foreign);
        *credential.pointer_mut(pointer).unwrap() = value;
        let refused = send(&ben.host, &options["challengeId"], &credential).await;
        assert_eq!(comparable(&refused), expected, "{pointer}");
        let again = passkey.sign(&options["publicKey"], ORIGIN);
        let again = send(&ben.host, &options["challengeId"], &again).await;
        assert_eq!((again.code(), again.problem()), (422, "challenge_ended"), "{pointer}");
    }
    // The first options were never used.
    assert_eq!(send(&ben.host, &first["challengeId"], &right).await.code(), 200);
    let replayed = send(&ben.host, &first["challengeId"], &right).await;
    assert_eq!(replayed.problem(), "challenge_ended");
}

/// AUTHN-15: a body that is no credential is a validation problem.
#[tokio::test]
async fn authn_15_a_body_that_is_no_credential_is_invalid() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    let options = sign_in_options(&sarah.host).await;
    for (pointer, value) in [
        ("/id", json!(5)),
        ("/id", json!("not base64url!")),
        ("/type", json!("password")),
        ("/response/signature", json!("AA=")),
        ("/response", json!(null)),
    ] {
        let mut credential = passkey.sign(&options["publicKey"], ORIGIN);
        *credential.pointer_mut(pointer).unwrap() = value;
        let refused = send(&sarah.host, &options["challengeId"], &credential).await;
        assert_eq!((refused.code(), refused.pointers()), (400, vec!["/credential"]), "{pointer}");
    }
    let body = json!({ "challengeId": "x", "credential": { "id": "AA" }, "name": " " });
    let refused = sarah.host.post(OWN, &sarah.token, &body).await;
    assert_eq!((refused.code(), refused.pointers()), (400, vec!["/credential", "/name"]));
}

/// AUTHN-15: a registration of another page, domain or ceremony, without a verified user, cut or
/// with bytes behind it is refused with the reason, and uses the challenge up.
#[tokio::test]
async fn authn_15_a_hostile_registration_is_refused() {
    let sarah = Sarah::new().await;
    let changes: [fn(&mut AuthenticatorOutput); 7] = [
        |said| said.client_data["origin"] = "https://localhost:3001".into(),
        |said| said.client_data["type"] = "webauthn.get".into(),
        |said| said.client_data["challenge"] = "AAAA".into(),
        |said| said.rp_id = "example.org".to_owned(),
        |said| said.flags &= !4,
        |said| said.trailing = vec![0],
        |said| said.algorithm = -35,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let options = sarah.options(&json!({})).await.json;
        let (_, credential) = SoftPasskey::create_with(&options["publicKey"], ORIGIN, change);
        let refused = sarah.add(&options["challengeId"], &credential).await;
        assert_eq!((refused.code(), refused.problem()), (422, "passkey_refused"), "variation {at}");
        let (_, right) = SoftPasskey::create(&options["publicKey"], ORIGIN);
        let again = sarah.add(&options["challengeId"], &right).await;
        assert_eq!(again.problem(), "challenge_ended", "variation {at}");
    }
    let options = sarah.options(&json!({})).await.json;
    let (_, mut credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    let object = credential["response"]["attestationObject"].as_str().unwrap().to_owned();
    let cut = &object[..object.len() / 8 * 4];
    credential["response"]["attestationObject"] = cut.into();
    let refused = sarah.add(&options["challengeId"], &credential).await;
    assert_eq!(refused.problem(), "passkey_refused");
    assert!(refused.text_at("/detail").contains("attestation object"), "{}", refused.text);
    assert_eq!(sarah.list().await.len(), 0);
}

/// AUTHN-15: a reset that confirms an address for the first time removes the passkeys, which
/// somebody else may have added who has registered the address. Later resets leave them.
#[tokio::test]
async fn authn_15_a_reset_that_first_confirms_an_address_removes_passkeys() {
    let (mut sarah, passkey) = Sarah::with_passkey().await;
    sarah.host.mails().await;
    let reset = async |host: &TestHost, password: &str| {
        let forgot = json!({ "email": EMAIL });
        assert_eq!(host.post("/api/v1/auth/password/forgot", "", &forgot).await.code(), 202);
        let link = token_in(&host.mail_about("Set a new password").await);
        let body = json!({ "token": link, "newPassword": password });
        host.post("/api/v1/auth/password/reset", "", &body).await.code()
    };
    assert_eq!(reset(&sarah.host, "four random words here").await, 204);
    let expected = ["A passkey was removed", "Your password was changed"];
    assert_eq!(sarah.host.subjects().await, expected);
    assert_eq!(sarah.sign_in(&passkey).await.problem(), "invalid_credentials");
    sarah.sign_in_again().await;
    let own = sarah.add_passkey().await;
    assert_eq!(reset(&sarah.host, "five random words are here").await, 204);
    assert_eq!(sarah.sign_in(&own).await.code(), 200);
}

/// AUTHN-09, AUTHN-15: a sign-in that waits while its account is locked, or its passkey is removed,
/// is refused like a wrong password.
#[tokio::test]
async fn authn_09_a_sign_in_that_waits_sees_a_lock_and_a_removal() {
    const HELD: &str = r#"SELECT FROM "UserProfile" FOR UPDATE"#;
    let (sarah, passkey) = Sarah::with_passkey().await;
    let expected = refusal_of_a_wrong_password(&sarah.host).await;
    for change in [
        r#"UPDATE "UserProfile" SET "isLocked" = true"#,
        r#"WITH unlocked AS (UPDATE "UserProfile" SET "isLocked" = false)
           DELETE FROM "Passkey""#,
    ] {
        let mut holder = sarah.host.holding(HELD).await;
        let meanwhile = async {
            sarah.host.waiting_for_locks(1).await;
            sqlx::query(change).execute(&mut holder).await.unwrap();
            sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
        };
        let (refused, ()) = tokio::join!(sarah.sign_in(&passkey), meanwhile);
        assert_eq!(comparable(&refused), expected, "{change}");
    }
    assert_eq!(sarah.host.get("/api/v1/users/me", &sarah.token).await.code(), 200);
}

/// SESS-02, AUTHN-15: a passkey is not added if its session ends meanwhile: neither while the
/// request waits for the account, nor if the end is about to be committed.
#[tokio::test]
async fn sess_02_a_passkey_of_a_session_that_ends_meanwhile_is_not_added() {
    let mut sarah = Sarah::new().await;
    let options = sarah.options(&json!({})).await.json;
    let (_, credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    let holder = sarah.host.holding(r#"SELECT FROM "UserProfile" FOR UPDATE"#).await;
    let log_out = async {
        sarah.host.waiting_for_locks(1).await;
        let ended = sarah.host.post("/api/v1/auth/logout", &sarah.token, &json!({})).await;
        assert_eq!(ended.code(), 204);
        drop(holder);
    };
    let (refused, ()) = tokio::join!(sarah.add(&options["challengeId"], &credential), log_out);
    assert_eq!((refused.code(), refused.problem()), (401, "unauthenticated"));

    sarah.sign_in_again().await;
    let options = sarah.options(&json!({})).await.json;
    let (_, credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    let ending = r#"UPDATE "UserSession" SET "revokedAt" = now(), "revokedBecause" = 'a test'"#;
    let mut holder = sarah.host.holding(ending).await;
    let commit = async {
        sarah.host.waiting_for_locks(1).await;
        sqlx::query("COMMIT").execute(&mut holder).await.unwrap();
    };
    let (refused, ()) = tokio::join!(sarah.add(&options["challengeId"], &credential), commit);
    assert_eq!((refused.code(), refused.problem()), (401, "unauthenticated"));
    sarah.sign_in_again().await;
    assert_eq!(sarah.list().await, Vec::<Value>::new());
    assert!(sarah.host.mails().await.is_empty(), "nothing is told");
}

/// AUTHN-10: a passkey signs nobody in whose address must be confirmed first.
#[tokio::test]
async fn authn_10_an_address_that_must_be_confirmed_is_refused_with_a_passkey() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    sarah.execute(r#"UPDATE "UserProfile" SET "mustVerifyEmail" = true"#).await;
    let refused = comparable(&sarah.sign_in(&passkey).await);
    assert_eq!(refused, refusal_of_a_wrong_password(&sarah.host).await);
    sarah.execute(r#"UPDATE "UserProfile" SET "mustVerifyEmail" = false"#).await;
    assert_eq!(sarah.sign_in(&passkey).await.code(), 200);
}
