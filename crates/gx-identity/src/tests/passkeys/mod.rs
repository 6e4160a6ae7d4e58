//! Passkeys of people, through the router, with a software authenticator.

mod hostile;

use std::time::Duration;

use gx_auth::AdminRole;
use gx_auth::testing::{
    Answer, AuthenticatorOutput, PASSWORD, SoftPasskey, TestHost, all, totp_code,
};
use gx_model::{AccountStatus, DenialFinality};
use serde_json::{Value, json};

use super::{host, service};
use crate::IdentitySettings;

const EMAIL: &str = "sarah@gxtest.com";
const ORIGIN: &str = "http://localhost:3001";
const OWN: &str = "/api/v1/users/me/passkeys";
const SIGN_IN: &str = "/api/v1/auth/passkeys";
/// Longer than a sign-in is fresh.
const STALE: Duration = Duration::from_secs(601);

/// A person with an access token.
struct Sarah {
    host: TestHost,
    profile_id: String,
    token: String,
}

impl Sarah {
    async fn new() -> Self {
        let host = host().await;
        let profile_id = host.add_person(EMAIL, AccountStatus::Active).await;
        let token = host.session_of(&profile_id).await.access_token;
        Self { host, profile_id, token }
    }

    /// Registers a person with a passkey.
    async fn with_passkey() -> (Self, SoftPasskey) {
        let sarah = Self::new().await;
        let passkey = sarah.add_passkey().await;
        (sarah, passkey)
    }

    /// Opens another session.
    async fn sign_in_again(&mut self) {
        self.token = self.host.session_of(&self.profile_id).await.access_token;
    }

    async fn options(&self, body: &Value) -> Answer {
        self.host.post(&format!("{OWN}/options"), &self.token, body).await
    }

    async fn add(&self, challenge_id: &Value, credential: &Value) -> Answer {
        let body =
            json!({ "challengeId": challenge_id, "credential": credential, "name": "Telephone" });
        self.host.post(OWN, &self.token, &body).await
    }

    async fn add_passkey(&self) -> SoftPasskey {
        let options = self.options(&json!({})).await;
        assert_eq!(options.code(), 200, "{}", options.text);
        let (passkey, credential) = SoftPasskey::create(&options.json["publicKey"], ORIGIN);
        let added = self.add(&options.json["challengeId"], &credential).await;
        assert_eq!(added.code(), 201, "{}", added.text);
        passkey
    }

    async fn list(&self) -> Vec<Value> {
        self.host.get(OWN, &self.token).await.json["items"].as_array().unwrap().clone()
    }

    async fn remove(&self, passkey_id: &str, body: &Value) -> Answer {
        let ask = self.host.ask("DELETE", &format!("{OWN}/{passkey_id}")).token(&self.token);
        ask.json(body).send().await
    }

    async fn sign_in(&self, passkey: &SoftPasskey) -> Answer {
        sign_in_with(&self.host, passkey, |_| {}).await
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.host.database.pool()).await.unwrap();
    }
}

async fn sign_in_options(host: &TestHost) -> Value {
    let answer = host.post(&format!("{SIGN_IN}/options"), "", &json!({})).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    answer.json
}

async fn send(host: &TestHost, challenge_id: &Value, credential: &Value) -> Answer {
    let body = json!({ "challengeId": challenge_id, "credential": credential });
    host.post(SIGN_IN, "", &body).await
}

/// Signs in with a passkey that says something else than the truth.
async fn sign_in_with(
    host: &TestHost,
    passkey: &SoftPasskey,
    change: impl FnOnce(&mut AuthenticatorOutput),
) -> Answer {
    let options = sign_in_options(host).await;
    let credential = passkey.sign_with(&options["publicKey"], ORIGIN, change);
    send(host, &options["challengeId"], &credential).await
}

/// Returns the answer to a wrong password, without what differs between two requests.
async fn refusal_of_a_wrong_password(host: &TestHost) -> Value {
    let body = json!({ "email": "nobody@gxtest.com", "password": "WrongPassword123!" });
    comparable(&host.post("/api/v1/auth/login", "", &body).await)
}

fn comparable(answer: &Answer) -> Value {
    let mut json = answer.json.clone();
    json["requestId"] = Value::Null;
    json["instance"] = Value::Null;
    json
}

/// AUTHN-15, API-04: a person adds a passkey and signs in with it, without address, password and
/// code. The list shows its name and its last use. Once it is removed, it is refused like a wrong
/// password.
#[tokio::test]
async fn authn_15_a_person_adds_a_passkey_and_signs_in_with_it() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    let list = sarah.list().await;
    let [item] = &list[..] else { panic!("there is one passkey: {list:?}") };
    assert_eq!((&item["name"], &item["isBackedUp"]), (&json!("Telephone"), &json!(true)));
    assert_eq!(item["lastUsedAt"], Value::Null);

    let signed_in = sarah.sign_in(&passkey).await;
    assert_eq!(signed_in.code(), 200, "{}", signed_in.text);
    assert_eq!(signed_in.text_at("/user/profileId"), sarah.profile_id);
    let me = sarah.host.get("/api/v1/users/me", signed_in.text_at("/accessToken")).await;
    assert_eq!(me.code(), 200);
    assert!(sarah.list().await[0]["lastUsedAt"].is_string());

    let id = item["passkeyId"].as_str().unwrap();
    assert_eq!(sarah.remove(id, &json!({})).await.code(), 204);
    assert_eq!(sarah.remove(id, &json!({})).await.problem(), "no_passkey");
    assert_eq!(sarah.list().await, Vec::<Value>::new());
    let refused = sarah.sign_in(&passkey).await;
    assert_eq!(comparable(&refused), refusal_of_a_wrong_password(&sarah.host).await);
    let actions: Vec<String> =
        sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
            .fetch_all(sarah.host.database.pool())
            .await
            .unwrap();
    assert_eq!(actions, ["user.passkey_added", "user.passkey_removed"]);
}

/// AUTHN-15: the options ask for a discoverable credential with user verification and without
/// attestation, name the account by random bytes that stay, and exclude the passkeys it has.
#[tokio::test]
async fn authn_15_options_name_the_account_by_random_bytes() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    let options = sarah.options(&json!({})).await.json;
    let public_key = &options["publicKey"];
    assert_eq!(public_key["rp"], json!({ "id": "localhost", "name": "GX" }));
    assert_eq!(public_key["user"]["name"], EMAIL);
    assert_eq!(public_key["user"]["displayName"], "Sarah Johnson");
    assert_eq!(public_key["attestation"], "none");
    assert_eq!(
        public_key["authenticatorSelection"],
        json!({ "residentKey": "required", "requireResidentKey": true,
                "userVerification": "required" })
    );
    let algorithms: Vec<i64> = public_key["pubKeyCredParams"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["alg"].as_i64())
        .collect();
    assert_eq!(algorithms, [-7, -8, -257]);
    let known = &public_key["excludeCredentials"];
    assert_eq!(known.as_array().map(Vec::len), Some(1));
    assert_eq!(known[0]["transports"], json!(["internal", "hybrid"]));

    let (again, _) = SoftPasskey::create(public_key, ORIGIN);
    assert_eq!(again.user_handle, passkey.user_handle);
    assert_eq!(passkey.user_handle.len(), 32);
    let text = String::from_utf8_lossy(&passkey.user_handle).into_owned();
    assert!(!text.contains(&sarah.profile_id));
    let request = sign_in_options(&sarah.host).await;
    let names: Vec<&String> = request["publicKey"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["challenge", "rpId", "timeout", "userVerification"]);
    assert_eq!(request["publicKey"]["userVerification"], "required");
}

/// AUTHN-15: of thirty uses of one challenge at once, one opens a session; the same for adding.
#[tokio::test]
async fn authn_15_parallel_uses_of_one_challenge_succeed_once() {
    const USES: usize = 30;
    let (sarah, passkey) = Sarah::with_passkey().await;
    let options = sign_in_options(&sarah.host).await;
    let credential = passkey.sign(&options["publicKey"], ORIGIN);
    let uses = (0..USES).map(|_| send(&sarah.host, &options["challengeId"], &credential));
    let answers = all(uses).await;
    let problems: Vec<&str> = answers.iter().map(Answer::problem).collect();
    assert_eq!(problems.iter().filter(|code| **code == "no problem").count(), 1, "{problems:?}");
    assert_eq!(problems.iter().filter(|code| **code == "challenge_ended").count(), USES - 1);

    let options = sarah.options(&json!({})).await.json;
    let (_, credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    let uses = (0..USES).map(|_| sarah.add(&options["challengeId"], &credential));
    let added = all(uses).await.iter().filter(|answer| answer.code() == 201).count();
    assert_eq!((added, sarah.list().await.len()), (1, 2));
}

/// AUTHN-09, SESS-02: an account that is locked, denied, suspended or closed is refused like a
/// wrong password; one that was denied and may try again signs in.
#[tokio::test]
async fn authn_09_accounts_that_may_not_sign_in_are_refused_alike() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    let expected = refusal_of_a_wrong_password(&sarah.host).await;
    let refused = async || comparable(&sarah.sign_in(&passkey).await);
    sarah.execute(r#"UPDATE "UserProfile" SET "isLocked" = true"#).await;
    assert_eq!(refused().await, expected, "locked");
    sarah.execute(r#"UPDATE "UserProfile" SET "isLocked" = false"#).await;
    sarah.set_status(AccountStatus::Denied).await;
    sarah.host.set_denial(&sarah.profile_id, DenialFinality::Final).await;
    assert_eq!(refused().await, expected, "denied");
    sarah.host.set_denial(&sarah.profile_id, DenialFinality::Retry).await;
    assert_eq!(sarah.sign_in(&passkey).await.code(), 200);
    for status in [AccountStatus::Suspended, AccountStatus::Closed] {
        sarah.set_status(status).await;
        assert_eq!(refused().await, expected, "{}", status.name());
    }
    sarah.set_status(AccountStatus::Active).await;
    assert_eq!(sarah.sign_in(&passkey).await.code(), 200);
    sarah.execute(r#"UPDATE "UserProfile" SET "deletedAt" = now()"#).await;
    assert_eq!(refused().await, expected, "deleted");
}

impl Sarah {
    async fn set_status(&self, status: AccountStatus) {
        let sql = r#"ALTER TABLE "UserProfile" DISABLE TRIGGER "UserProfile_status_transition""#;
        self.execute(sql).await;
        sqlx::query(r#"UPDATE "UserProfile" SET status = $1, "denialFinality" = NULL"#)
            .bind(status.name())
            .execute(self.host.database.pool())
            .await
            .unwrap();
    }
}

/// AUTHN-15: ten minutes after signing in, adding and removing a passkey needs the password, and a
/// code if a factor is in force. A wrong one counts as a failed sign-in.
#[tokio::test]
async fn authn_15_a_change_needs_a_fresh_sign_in_or_password_and_code() {
    let (mut sarah, _) = Sarah::with_passkey().await;
    let id = sarah.list().await[0]["passkeyId"].as_str().unwrap().to_owned();
    sarah.host.clock.advance(STALE);
    for refused in [sarah.options(&json!({})).await, sarah.remove(&id, &json!({})).await] {
        assert_eq!((refused.code(), refused.problem()), (403, "fresh_sign_in_required"));
    }
    let wrong = json!({ "password": "WrongPassword123!" });
    for refused in [sarah.options(&wrong).await, sarah.remove(&id, &wrong).await] {
        assert_eq!((refused.code(), refused.problem()), (403, "wrong_password"));
    }
    let failures: i32 = sqlx::query_scalar(r#"SELECT failures FROM "SignInFailure""#)
        .fetch_one(sarah.host.database.pool())
        .await
        .unwrap();
    assert_eq!(failures, 2);
    assert_eq!(sarah.options(&json!({ "password": PASSWORD })).await.code(), 200);

    let totp = "/api/v1/users/me/totp";
    let new = sarah.host.post(totp, &sarah.token, &json!({ "password": PASSWORD })).await;
    let secret = new.text_at("/secret").to_owned();
    let code = json!({ "code": totp_code(&secret, sarah.host.clock.now()) });
    let path = format!("{totp}/confirm");
    assert_eq!(sarah.host.post(&path, &sarah.token, &code).await.code(), 200);
    sarah.host.clock.advance(Duration::from_secs(30));
    let without = sarah.options(&json!({ "password": PASSWORD })).await;
    assert_eq!(without.problem(), "wrong_password");
    let code = totp_code(&secret, sarah.host.clock.now());
    let both = json!({ "password": PASSWORD, "totp": code });
    assert_eq!(sarah.options(&both).await.code(), 200);
    assert_eq!(sarah.remove(&id, &both).await.problem(), "wrong_password", "a used code");

    sarah.sign_in_again().await;
    assert_eq!(sarah.options(&json!({})).await.code(), 200);
    assert_eq!(sarah.remove(&id, &json!({})).await.code(), 204);
}

/// AUTHN-12, AUTHN-15: the person is told when a passkey is added or removed, and when one signs in
/// on a new device. A device without cookies sends its token.
#[tokio::test]
async fn authn_15_changes_of_passkeys_are_told() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    assert_eq!(sarah.host.subjects().await, ["A passkey was added"]);
    let signed_in = sarah.sign_in(&passkey).await;
    assert_eq!(sarah.host.subjects().await, ["Sign-in from a new device"]);
    let device = signed_in.text_at("/deviceToken").to_owned();
    assert_eq!(device.len(), 64);
    let options = sign_in_options(&sarah.host).await;
    let credential = passkey.sign(&options["publicKey"], ORIGIN);
    let body = json!({ "challengeId": options["challengeId"], "credential": credential,
                       "deviceToken": device });
    let again = sarah.host.post(SIGN_IN, "", &body).await;
    assert_eq!((again.code(), again.text_at("/deviceToken")), (200, device.as_str()));
    assert_eq!(sarah.host.subjects().await, Vec::<String>::new(), "a known device");
    let id = sarah.list().await[0]["passkeyId"].as_str().unwrap().to_owned();
    assert_eq!(sarah.remove(&id, &json!({})).await.code(), 204);
    assert_eq!(sarah.host.subjects().await, ["A passkey was removed"]);
}

/// AUTHN-15: a challenge is good for five minutes, and for the session that has asked for it.
#[tokio::test]
async fn authn_15_a_challenge_is_of_one_session_and_of_five_minutes() {
    let (mut sarah, passkey) = Sarah::with_passkey().await;
    let options = sarah.options(&json!({})).await.json;
    let (_, credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    let first = sarah.token.clone();
    sarah.sign_in_again().await;
    let foreign = sarah.add(&options["challengeId"], &credential).await;
    assert_eq!(foreign.problem(), "challenge_ended", "of another session");
    let assertion = credential_of(&passkey, &options);
    let as_sign_in = send(&sarah.host, &options["challengeId"], &assertion).await;
    assert_eq!(as_sign_in.problem(), "challenge_ended", "of another ceremony");
    sarah.token = first;
    sarah.host.clock.advance(Duration::from_secs(299));
    assert_eq!(sarah.add(&options["challengeId"], &credential).await.code(), 201);

    let options = sarah.options(&json!({})).await.json;
    let (_, credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    let request = sign_in_options(&sarah.host).await;
    sarah.host.clock.advance(Duration::from_secs(300));
    let late = sarah.add(&options["challengeId"], &credential).await;
    assert_eq!(late.problem(), "challenge_ended");
    let late = passkey.sign(&request["publicKey"], ORIGIN);
    let late = send(&sarah.host, &request["challengeId"], &late).await;
    assert_eq!(late.problem(), "challenge_ended");
}

/// Returns what a passkey signs for the challenge of creation options.
fn credential_of(passkey: &SoftPasskey, options: &Value) -> Value {
    let challenge = &options["publicKey"]["challenge"];
    passkey.sign(&json!({ "challenge": challenge, "rpId": "localhost" }), ORIGIN)
}

/// AUTHN-15, LOG-03: a counter that has gone back is recorded and counted, and refuses nothing.
#[tokio::test]
async fn authn_15_a_counter_that_goes_back_is_recorded() {
    let (sarah, mut passkey) = Sarah::with_passkey().await;
    for (count, entries) in [(0, 0), (7, 0), (8, 0), (8, 1), (3, 2), (9, 2)] {
        passkey.sign_count = count;
        assert_eq!(sarah.sign_in(&passkey).await.code(), 200, "{count}");
        let found: Vec<(Value, Value)> = sqlx::query_as(
            r#"SELECT before, after FROM "AuditEntry"
               WHERE action = 'user.passkey_counter_back' ORDER BY seq"#,
        )
        .fetch_all(sarah.host.database.pool())
        .await
        .unwrap();
        assert_eq!(found.len(), entries, "{count}");
        if let Some((before, after)) = found.last() {
            assert_eq!(before, &json!({ "signCount": 8 }));
            assert!(after["passkeyId"].is_string(), "{after}");
        }
    }
    let metrics = sarah.host.get("/metrics", "").await.text;
    assert!(metrics.contains("gx_passkey_counters_back_total{realm=\"user\"}"), "{metrics}");
}

/// AUTHN-15: a credential belongs to one account, and an account has at most twenty passkeys.
#[tokio::test]
async fn authn_15_a_credential_has_one_owner_and_an_account_twenty_passkeys() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    let options = sarah.options(&json!({})).await.json;
    let (_, credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    for _ in 0..18 {
        sarah.add_passkey().await;
    }
    let last = sarah.options(&json!({})).await.json;
    assert_eq!(sarah.add(&options["challengeId"], &credential).await.code(), 201);
    assert_eq!(sarah.list().await.len(), 20);
    let refused = sarah.options(&json!({})).await;
    assert_eq!((refused.code(), refused.problem()), (409, "too_many_passkeys"));
    let (_, credential) = SoftPasskey::create(&last["publicKey"], ORIGIN);
    let refused = sarah.add(&last["challengeId"], &credential).await;
    assert_eq!(refused.problem(), "too_many_passkeys");

    let other_id = sarah.host.add_person("ben@gxtest.com", AccountStatus::Active).await;
    let other_token = sarah.host.session_of(&other_id).await.access_token;
    let ben = Sarah { profile_id: other_id, token: other_token, ..sarah };
    let options = ben.options(&json!({})).await.json;
    let (_, mut stolen) = SoftPasskey::create_with(&options["publicKey"], ORIGIN, |said| {
        said.credential_id.clone_from(&passkey.credential_id);
    });
    let signed = passkey.sign(&json!({ "challenge": "AA", "rpId": "localhost" }), ORIGIN);
    stolen["id"] = signed["id"].clone();
    let refused = ben.add(&options["challengeId"], &stolen).await;
    assert_eq!((refused.code(), refused.problem()), (409, "passkey_exists"));
}

/// SEC-API-02: the answer to an added passkey is given again; a sign-in is not repeated, because
/// its challenge is used up.
#[tokio::test]
async fn sec_api_02_a_repeated_sign_in_needs_a_new_challenge() {
    let sarah = Sarah::new().await;
    let options = sarah.options(&json!({})).await.json;
    let (passkey, credential) = SoftPasskey::create(&options["publicKey"], ORIGIN);
    let body = json!({ "challengeId": options["challengeId"], "credential": credential,
                       "name": "Telephone" });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let ask = sarah.host.ask("POST", OWN).token(&sarah.token).header("idempotency-key", "add");
        answers.push(ask.json(&body).send().await);
    }
    assert_eq!((answers[0].code(), answers[1].code()), (201, 201));
    assert_eq!(answers[0].json, answers[1].json);

    let options = sign_in_options(&sarah.host).await;
    let signed = passkey.sign(&options["publicKey"], ORIGIN);
    let body = json!({ "challengeId": options["challengeId"], "credential": signed });
    for (code, problem) in [(200, "no problem"), (422, "challenge_ended")] {
        let ask = sarah.host.ask("POST", SIGN_IN).header("idempotency-key", "sign-in");
        let answer = ask.json(&body).send().await;
        assert_eq!((answer.code(), answer.problem()), (code, problem));
    }
    let stored: String = sqlx::query_scalar(
        r#"SELECT string_agg(encode(body, 'escape'), '') FROM "HttpIdempotency""#,
    )
    .fetch_one(sarah.host.database.pool())
    .await
    .unwrap();
    assert!(!stored.contains("hallenge") && !stored.contains("oken"), "{stored}");
}

/// AUTHN-15: a passkey of an administrator is none of a person.
#[tokio::test]
async fn authn_15_a_passkey_of_an_administrator_signs_no_person_in() {
    let (sarah, passkey) = Sarah::with_passkey().await;
    sarah.host.add_administrator(AdminRole::Admin).await;
    sarah
        .execute(
            r#"UPDATE "PasskeyUser" SET "profileId" = NULL,
                   "adminId" = (SELECT "adminId" FROM "AdminUser")"#,
        )
        .await;
    assert_eq!(sarah.list().await.len(), 0);
    assert_eq!(sarah.sign_in(&passkey).await.problem(), "invalid_credentials");
}

/// Without a domain for passkeys, their routes say so, and everything else works.
#[tokio::test]
async fn without_a_domain_there_are_no_passkeys() {
    let host = TestHost::new(|mut base| {
        base.relying_party = None;
        service(&IdentitySettings::default(), base)
    })
    .await;
    let id = host.add_person(EMAIL, AccountStatus::Active).await;
    let token = host.session_of(&id).await.access_token;
    let sign_in = json!({ "challengeId": "x", "credential": { "id": "AA", "type": "public-key",
        "response": { "clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA",
                      "userHandle": "AA" } } });
    let add = json!({ "challengeId": "x", "name": "x", "credential": { "id": "AA",
        "type": "public-key",
        "response": { "clientDataJSON": "AA", "attestationObject": "AA" } } });
    for (method, path, body) in [
        ("GET", OWN.to_owned(), None),
        ("POST", OWN.to_owned(), Some(add)),
        ("POST", format!("{OWN}/options"), Some(json!({}))),
        ("DELETE", format!("{OWN}/x"), Some(json!({}))),
        ("POST", SIGN_IN.to_owned(), Some(sign_in)),
        ("POST", format!("{SIGN_IN}/options"), Some(json!({}))),
    ] {
        let ask = host.ask(method, &path).token(&token);
        let ask = if let Some(body) = &body { ask.json(body) } else { ask };
        let answer = ask.send().await;
        let problem = (answer.code(), answer.problem());
        assert_eq!(problem, (404, "passkeys_not_configured"), "{method} {path}");
    }
    assert_eq!(host.get("/api/v1/users/me", &token).await.code(), 200);
}
