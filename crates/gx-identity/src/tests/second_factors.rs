//! TOTP and recovery codes of people, through the router.

use std::sync::Arc;
use std::time::Duration;

use gx_auth::testing::{Answer, PASSWORD, TestHost, password, totp_code};
use gx_auth::{Hasher, HashingSettings};
use gx_model::AccountStatus;
use gx_serve::Entropy;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::service;
use crate::IdentitySettings;

const EMAIL: &str = "sarah@gxtest.com";
const TOTP: &str = "/api/v1/users/me/totp";

/// A person with an access token.
struct Sarah {
    host: TestHost,
    token: String,
}

impl Sarah {
    /// Registers the person with a service that computes as many hashes at a time as a test needs.
    async fn new() -> Self {
        let wide = HashingSettings {
            password_memory_kib: 7 * 1024,
            password_passes: 1,
            password_hash_concurrency: Some(50),
            ..Default::default()
        };
        let hasher = Hasher::new(&wide, Entropy::system()).unwrap();
        let hash = hasher.hash(&password()).await.unwrap();
        let host = TestHost::new(|mut base| {
            base.auth.hasher = hasher;
            service(&IdentitySettings::default(), base)
        })
        .await;
        let id = host.add_person(EMAIL, AccountStatus::Active).await;
        sqlx::query(r#"UPDATE "UserProfile" SET "passwordHash" = $1"#)
            .bind(hash)
            .execute(host.database.pool())
            .await
            .unwrap();
        let token = host.session_of(&id).await.access_token;
        Self { host, token }
    }

    /// Registers a person and puts a factor in force. Returns the secret and the recovery codes.
    async fn enrolled() -> (Self, String, Vec<String>) {
        let sarah = Self::new().await;
        let new = sarah.post("", &json!({ "password": PASSWORD })).await;
        assert_eq!(new.code(), 200, "{}", new.text);
        let secret = new.text_at("/secret").to_owned();
        let confirmed = sarah.post("/confirm", &json!({ "code": sarah.code(&secret) })).await;
        assert_eq!(confirmed.code(), 200, "{}", confirmed.text);
        let codes = codes(&confirmed);
        // The code that has confirmed the factor is used up.
        sarah.host.clock.advance(Duration::from_secs(30));
        (sarah, secret, codes)
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.host.post(&format!("{TOTP}{path}"), &self.token, body).await
    }

    async fn log_in(&self, password: &str, totp: Option<&str>) -> Answer {
        log_in(&self.host, password, totp).await
    }

    fn code(&self, secret: &str) -> String {
        totp_code(secret, self.host.clock.now())
    }

    async fn state(&self) -> Value {
        self.host.get(TOTP, &self.token).await.json
    }

    /// Returns the number of counted failures.
    async fn failures(&self) -> i32 {
        sqlx::query_scalar(r#"SELECT failures FROM "TotpFactor""#)
            .fetch_one(self.host.database.pool())
            .await
            .unwrap()
    }
}

async fn log_in(host: &TestHost, password: &str, totp: Option<&str>) -> Answer {
    let body = json!({ "email": EMAIL, "password": password, "totp": totp });
    host.post("/api/v1/auth/login", "", &body).await
}

fn codes(answer: &Answer) -> Vec<String> {
    let codes = answer.json["recoveryCodes"].as_array().unwrap();
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// Returns a code that is not that of the secret, nor of the steps next to it.
fn wrong(sarah: &Sarah, secret: &str) -> String {
    let now = sarah.host.clock.now();
    let right = [-30, 0, 30].map(|s| totp_code(secret, now + time::Duration::seconds(s)));
    let mut candidates = (0..10).map(|digit| digit.to_string().repeat(6));
    candidates.find(|code| !right.contains(code)).unwrap()
}

/// Signs in with the same code many times at once and returns the number of sessions.
async fn sessions_of_one_code(sarah: &Arc<Sarah>, code: &str) -> usize {
    const USES: usize = 30;
    let mut uses = JoinSet::new();
    for _ in 0..USES {
        let (sarah, code) = (Arc::clone(sarah), code.to_owned());
        uses.spawn(async move { sarah.log_in(PASSWORD, Some(&code)).await });
    }
    let answers = uses.join_all().await;
    assert_eq!(answers.len(), USES);
    for refused in answers.iter().filter(|answer| answer.code() != 200) {
        // More than a few sign-ins of one address at once are delayed (AUTHN-11).
        let refused = (refused.code(), refused.problem());
        let expected = [(401, "invalid_credentials"), (429, "quota_exceeded")];
        assert!(expected.contains(&refused), "{refused:?}");
    }
    answers.iter().filter(|answer| answer.code() == 200).count()
}

/// AUTHN-13: a factor is in force once a code has confirmed it. A wrong code uses nothing up, so
/// that the right one of the same 30 seconds confirms. Then a sign-in needs a code, and a wrong
/// code is answered like a wrong password.
#[tokio::test]
async fn authn_13_a_confirmed_factor_is_asked_for() {
    let sarah = Sarah::new().await;
    let refused = sarah.post("", &json!({ "password": "WrongPassword123!" })).await;
    assert_eq!((refused.code(), refused.problem()), (403, "wrong_password"));
    assert_eq!(
        sarah.post("/confirm", &json!({ "code": "123456" })).await.problem(),
        "totp_not_enabled"
    );
    let abandoned = sarah.post("", &json!({ "password": PASSWORD })).await;
    let new = sarah.post("", &json!({ "password": PASSWORD })).await;
    let (secret, uri) = (new.text_at("/secret"), new.text_at("/uri"));
    assert_eq!(secret.len(), 32, "160 bits in base32");
    assert!(uri.starts_with("otpauth://totp/GX:sarah%40gxtest.com?secret="), "{uri}");
    assert!(uri.contains(secret), "{uri}");
    assert!(new.text_at("/qr").contains("<svg"));
    assert_ne!(abandoned.text_at("/secret"), secret);

    assert_eq!(sarah.state().await, json!({ "enabled": false, "recoveryCodesLeft": 0 }));
    assert_eq!(sarah.log_in(PASSWORD, None).await.code(), 200, "not in force yet");
    let old = json!({ "code": sarah.code(abandoned.text_at("/secret")) });
    let refused = sarah.post("/confirm", &old).await;
    assert_eq!((refused.code(), refused.problem()), (422, "wrong_code"));
    let untouched: (i64, i32) = sqlx::query_as(r#"SELECT "lastStep", failures FROM "TotpFactor""#)
        .fetch_one(sarah.host.database.pool())
        .await
        .unwrap();
    assert_eq!(untouched, (-1, 0));
    let code = sarah.code(secret);
    let confirmed = sarah.post("/confirm", &json!({ "code": code })).await;
    let distinct: std::collections::BTreeSet<_> = codes(&confirmed).into_iter().collect();
    assert_eq!((confirmed.code(), distinct.len()), (200, 10));
    assert_eq!(sarah.state().await, json!({ "enabled": true, "recoveryCodesLeft": 10 }));
    assert_eq!(sarah.post("/confirm", &json!({ "code": code })).await.problem(), "totp_enabled");
    assert_eq!(sarah.post("", &json!({ "password": PASSWORD })).await.problem(), "totp_enabled");

    for none in [None, Some(""), Some(" - ")] {
        let asked = sarah.log_in(PASSWORD, none).await;
        assert_eq!((asked.code(), asked.problem()), (401, "second_factor_required"));
    }
    let wrong_password = sarah.log_in("WrongPassword123!", None).await;
    for code in [&*wrong(&sarah, secret), &code, "recovery", "0000-0000-0000-0000-0000-0000"] {
        let refused = sarah.log_in(PASSWORD, Some(code)).await;
        let mut body = refused.json.clone();
        body["requestId"] = wrong_password.json["requestId"].clone();
        assert_eq!((refused.code(), &body), (401, &wrong_password.json), "{code}");
    }
    sarah.host.clock.advance(Duration::from_secs(30));
    let blanks = sarah.code(secret);
    let blanks = format!("{} {}", &blanks[..3], &blanks[3..]);
    assert_eq!(sarah.log_in(PASSWORD, Some(&blanks)).await.code(), 200);
    let before = sarah.failures().await;
    assert_eq!(sarah.log_in("WrongPassword123!", Some("123456")).await.code(), 401);
    assert_eq!((before, sarah.failures().await), (0, 0), "a wrong password counts elsewhere");
}

/// AUTHN-13: 30 uses of one code at the same time open one session, and so do 30 uses of one
/// recovery code.
#[tokio::test]
async fn authn_13_parallel_uses_of_one_code_open_one_session() {
    let (sarah, secret, codes) = Sarah::enrolled().await;
    let sarah = Arc::new(sarah);
    assert_eq!(sessions_of_one_code(&sarah, &sarah.code(&secret)).await, 1);
    assert_eq!(sarah.failures().await, 0, "a right code is no guess");
    assert_eq!(sessions_of_one_code(&sarah, &codes[0]).await, 1);
    assert_eq!(sarah.state().await["recoveryCodesLeft"], 9);
    // The step before the last accepted one would be in the window.
    let before = totp_code(&secret, sarah.host.clock.now() - time::Duration::seconds(30));
    assert_eq!(sarah.log_in(PASSWORD, Some(&before)).await.problem(), "invalid_credentials");
}

/// AUTHN-11: wrong codes have a counter of their own, which is exact under 50 wrong sign-ins at the
/// same time: six are judged, the others have to wait. A recovery code passes meanwhile, and sets
/// the counter back.
#[tokio::test]
async fn authn_11_wrong_codes_are_counted_exactly_and_delayed() {
    let (sarah, secret, codes) = Sarah::enrolled().await;
    let sarah = Arc::new(sarah);
    let guess = wrong(&sarah, &secret);
    let mut guesses = JoinSet::new();
    for _ in 0..50 {
        let (sarah, guess) = (Arc::clone(&sarah), guess.clone());
        guesses.spawn(async move { sarah.log_in(PASSWORD, Some(&guess)).await });
    }
    let answers = guesses.join_all().await;
    let count = |code: u16| answers.iter().filter(|answer| answer.code() == code).count();
    assert_eq!((count(401), count(429)), (6, 44));
    assert_eq!(sarah.failures().await, 6);
    let delayed = sarah.log_in(PASSWORD, Some(&sarah.code(&secret))).await;
    assert_eq!((delayed.code(), delayed.problem()), (429, "second_factor_delayed"));
    assert_eq!(delayed.headers["retry-after"], "1");
    assert_eq!(sarah.log_in("WrongPassword123!", Some(&guess)).await.code(), 401);

    sarah.host.clock.advance(Duration::from_secs(1));
    assert_eq!(sarah.log_in(PASSWORD, Some(&guess)).await.code(), 401);
    let delayed = sarah.log_in(PASSWORD, Some(&sarah.code(&secret))).await;
    assert_eq!(delayed.code(), 429);
    assert_eq!(delayed.headers["retry-after"], "2");
    assert_eq!(sarah.log_in(PASSWORD, Some(&codes[0])).await.code(), 200);
    assert_eq!(sarah.failures().await, 0);
    assert_eq!(sarah.log_in(PASSWORD, Some(&sarah.code(&secret))).await.code(), 200);
}

/// AUTHN-15: new recovery codes and the end of the factor need password and code. A wrong one is
/// answered 403 like a wrong password of a change, because the session is valid; the answer does
/// not tell which was wrong.
#[tokio::test]
async fn authn_15_a_factor_changes_only_with_password_and_code() {
    let (sarah, secret, codes) = Sarah::enrolled().await;
    for path in ["/recovery-codes", "/disable"] {
        for (password, totp) in
            [("WrongPassword123!", &*codes[0]), (PASSWORD, &wrong(&sarah, &secret)), (PASSWORD, "")]
        {
            let answer = sarah.post(path, &json!({ "password": password, "totp": totp })).await;
            assert_eq!((answer.code(), answer.problem()), (403, "wrong_password"), "{path}");
        }
        let without = sarah.post(path, &json!({ "password": PASSWORD })).await;
        assert_eq!((without.code(), without.pointers()), (400, vec!["/totp"]));
    }
    let body = json!({ "password": PASSWORD, "totp": codes[0] });
    let renewed = sarah.post("/recovery-codes", &body).await;
    let new = self::codes(&renewed);
    assert_eq!((renewed.code(), new.len()), (200, 10));
    assert_eq!(sarah.state().await["recoveryCodesLeft"], 10);
    assert_eq!(sarah.log_in(PASSWORD, Some(&codes[1])).await.code(), 401, "an old code");
    let body = json!({ "password": PASSWORD, "totp": sarah.code(&secret) });
    assert_eq!(sarah.post("/disable", &body).await.code(), 204);
    assert_eq!(sarah.state().await, json!({ "enabled": false, "recoveryCodesLeft": 0 }));
    assert_eq!(sarah.post("/disable", &body).await.problem(), "totp_not_enabled");
    assert_eq!(sarah.log_in(PASSWORD, None).await.code(), 200);
}

/// AUTHN-13, AUTHN-15: each change is in the audit log. Neither the log nor the factor's rows have
/// the secret or a recovery code.
#[tokio::test]
async fn authn_13_changes_are_audited_and_nothing_is_stored_in_clear() {
    let (sarah, secret, codes) = Sarah::enrolled().await;
    assert_eq!(sarah.log_in(PASSWORD, Some(&codes[0])).await.code(), 200);
    let stored: String = sqlx::query_scalar(
        r#"SELECT concat((SELECT jsonb_agg(to_jsonb(f)) FROM "TotpFactor" f),
                         (SELECT jsonb_agg(to_jsonb(c)) FROM "RecoveryCode" c),
                         (SELECT jsonb_agg(to_jsonb(l)) FROM "AuditEntry" l))"#,
    )
    .fetch_one(sarah.host.database.pool())
    .await
    .unwrap();
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in codes.iter().chain([&secret]) {
        let plain = secret.replace('-', "");
        for form in [secret, &plain, &hex(secret), &hex(&plain)] {
            assert!(!stored.contains(form), "{form} is stored: {stored}");
        }
    }
    let body = json!({ "password": PASSWORD, "totp": codes[1] });
    assert_eq!(sarah.post("/recovery-codes", &body).await.code(), 200);
    let body = json!({ "password": PASSWORD, "totp": sarah.code(&secret) });
    assert_eq!(sarah.post("/disable", &body).await.code(), 204);
    let actions: Vec<String> =
        sqlx::query_scalar(r#"SELECT action FROM "AuditEntry" ORDER BY seq"#)
            .fetch_all(sarah.host.database.pool())
            .await
            .unwrap();
    assert_eq!(
        actions,
        [
            "user.totp_enabled",
            "user.recovery_code_used",
            "user.recovery_codes_renewed",
            "user.totp_disabled"
        ]
    );
}
