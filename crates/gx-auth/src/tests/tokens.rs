//! Tokens that are accepted and tokens that are rejected.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gx_model::Clock;
use gx_serve::Entropy;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use time::macros::datetime;

use crate::testing::{key_ring, token_settings};
use crate::tokens::ClaimsContent;
use crate::{Audience, Claims, KeyRing, TokenKeyError, TokenSettings, TokenUse, Tokens};

fn clock() -> Clock {
    Clock::manual(datetime!(2026-03-01 12:00:00 UTC))
}

fn ring() -> KeyRing {
    key_ring(Entropy::seeded(1))
}

fn shared_secret() -> TokenSettings {
    TokenSettings {
        jwt_secret: Some("a secret of at least thirty-two bytes".into()),
        token_key_file: None,
        ..token_settings()
    }
}

fn claims(tokens: &Tokens, clock: &Clock) -> Claims {
    let now = clock.now();
    tokens.claims(ClaimsContent {
        subject: "sarah",
        session_id: &"session".to_owned().into(),
        audience: Audience::User,
        role: None,
        password_version: None,
        token_id: "token".to_owned(),
        issued: now,
        until: now + Duration::from_secs(60),
    })
}

/// TOK-02: subject, audience, times and use of a token are each checked; a refresh token is no
/// access token, nor the reverse.
#[test]
fn everything_a_token_says_is_checked() {
    for settings in [token_settings(), shared_secret()] {
        let clock = clock();
        let tokens = Tokens::new(&settings, ring(), clock.clone()).unwrap();
        let good = claims(&tokens, &clock);
        let sign = |claims: &Claims| tokens.sign(TokenUse::Access, claims).unwrap();
        let accepted = |token: &str| tokens.verify(token, TokenUse::Access, Audience::User).is_ok();
        let token = sign(&good);
        assert_eq!(tokens.verify(&token, TokenUse::Access, Audience::User), Ok(good.clone()));
        assert!(tokens.verify(&token, TokenUse::Refresh, Audience::User).is_err());
        assert!(tokens.verify(&token, TokenUse::Access, Audience::Admin).is_err());
        let refresh = tokens.sign(TokenUse::Refresh, &good).unwrap();
        assert!(!accepted(&refresh));
        for wrong in [
            Claims { iss: "another".to_owned(), ..good.clone() },
            Claims { aud: "gx-admin".to_owned(), ..good.clone() },
            Claims { nbf: good.nbf + 60, ..good.clone() },
            Claims { iat: good.iat + 60, ..good.clone() },
            Claims { exp: good.iat - 60, ..good.clone() },
        ] {
            assert!(!accepted(&sign(&wrong)), "{wrong:?}");
        }
        for missing in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "tenant"] {
            let mut partial = serde_json::to_value(&good).unwrap();
            partial.as_object_mut().unwrap().remove(missing);
            assert!(!accepted(&resigned(&settings, &partial, |_| {})), "without {missing}");
        }
        assert!(accepted(&resigned(&settings, &json!(good), |_| {})));
        clock.advance(Duration::from_secs(89));
        assert!(accepted(&token), "within the leeway of 30 seconds");
        clock.advance(Duration::from_secs(1));
        assert!(!accepted(&token));
        let longest = format!("{token}{}", "A".repeat(5_000));
        assert_eq!(
            tokens.verify(&longest, TokenUse::Access, Audience::User).unwrap_err().0,
            "too long"
        );
    }
}

/// TOK-04, TOK-06: lives of tokens and sessions are settings; an access token lives for 24 hours by
/// default, and may live for minutes.
#[test]
fn tok_04_the_lives_of_tokens_are_settings() {
    use clap::{Args, Command, FromArgMatches};
    let command = TokenSettings::augment_args(Command::new("test").no_binary_name(true));
    let parse = |line: &[&str]| {
        let matches = command.clone().try_get_matches_from(line)?;
        TokenSettings::from_arg_matches(&matches).map(|settings| {
            let TokenSettings { jwt_expiry, jwt_refresh_expiry, session_lifetime, .. } = settings;
            [jwt_expiry, jwt_refresh_expiry, session_lifetime].map(|life| life.as_secs() / 60)
        })
    };
    assert_eq!(parse(&[]).unwrap(), [24 * 60, 7 * 24 * 60, 30 * 24 * 60]);
    let short = ["--jwt-expiry=5m", "--jwt-refresh-expiry=1h", "--session-lifetime=12h"];
    assert_eq!(parse(&short).unwrap(), [5, 60, 720]);
    assert!(parse(&["--jwt-expiry=0"]).is_err());
    let idle = |line: &[&str]| {
        let matches = command.clone().try_get_matches_from(line)?;
        TokenSettings::from_arg_matches(&matches).map(|settings| settings.admin_session_idle)
    };
    assert_eq!(idle(&[]).unwrap(), Duration::from_mins(30));
    assert_eq!(idle(&["--admin-session-idle=1m"]).unwrap(), Duration::from_mins(1));
    assert!(idle(&["--admin-session-idle=59s"]).is_err());
}

/// TOK-02: the leeway of clocks is a setting; it applies before and after a token's time.
#[test]
fn the_leeway_of_clocks_is_a_setting() {
    use clap::{Args, Command, FromArgMatches};
    let command = TokenSettings::augment_args(Command::new("test").no_binary_name(true));
    let parse = |line: &[&str]| {
        let matches = command.clone().try_get_matches_from(line)?;
        TokenSettings::from_arg_matches(&matches).map(|settings| settings.token_leeway.as_secs())
    };
    assert_eq!(parse(&[]).unwrap(), 30);
    assert_eq!(parse(&["--token-leeway=2m"]).unwrap(), 120);
    assert_eq!(parse(&["--token-leeway=0s"]).unwrap(), 0);
    let refused = parse(&["--token-leeway=6m"]).unwrap_err().to_string();
    assert!(refused.contains("at most 300 seconds"), "{refused}");

    let keys = token_settings();
    for leeway_s in [0_u64, 5, 120] {
        let settings =
            TokenSettings { token_leeway: Duration::from_secs(leeway_s), ..keys.clone() };
        let clock = clock();
        let tokens = Tokens::new(&settings, ring(), clock.clone()).unwrap();
        let leeway = i64::try_from(leeway_s).unwrap();
        let now = clock.now().unix_timestamp();
        let good = claims(&tokens, &clock);
        let accepted = |claims: &Claims| {
            let token = tokens.sign(TokenUse::Access, claims).unwrap();
            tokens.verify(&token, TokenUse::Access, Audience::User).is_ok()
        };
        assert!(accepted(&Claims { nbf: now + leeway, iat: now + leeway, ..good.clone() }));
        assert!(!accepted(&Claims { nbf: now + leeway + 1, ..good.clone() }), "{leeway_s}");
        assert!(!accepted(&Claims { iat: now + leeway + 1, ..good.clone() }), "{leeway_s}");
        assert!(accepted(&Claims { exp: now - leeway + 1, ..good.clone() }));
        assert!(!accepted(&Claims { exp: now - leeway, ..good.clone() }), "{leeway_s}");
    }
}

/// Signs any claims and header with the deployment's own key.
fn resigned(settings: &TokenSettings, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
    use secrecy::ExposeSecret;
    let tokens = Tokens::new(settings, ring(), clock()).unwrap();
    let (mut header, key) = match (&settings.jwt_secret, &settings.token_key_file) {
        (Some(secret), _) => (
            Header::new(Algorithm::HS256),
            EncodingKey::from_secret(secret.expose_secret().as_bytes()),
        ),
        (None, Some(path)) => (
            Header::new(Algorithm::EdDSA),
            EncodingKey::from_ed_pem(&std::fs::read(path).unwrap()).unwrap(),
        ),
        (None, None) => unreachable!("settings of these tests have a key"),
    };
    header.typ = Some("at+jwt".to_owned());
    header.kid = tokens.public_keys().keys.first().and_then(|key| key.common.key_id.clone());
    change(&mut header);
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

/// TOK-01: the algorithm is the deployment's own; `none`, a public key used as a secret, and
/// headers with keys or extensions are rejected.
#[test]
fn no_token_brings_its_own_rules() {
    let (settings, clock) = (token_settings(), clock());
    let tokens = Tokens::new(&settings, ring(), clock.clone()).unwrap();
    let good = claims(&tokens, &clock);
    let accepted = |token: &str| tokens.verify(token, TokenUse::Access, Audience::User).is_ok();
    let encode = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let kid = tokens.public_keys().keys[0].common.key_id.clone();

    for algorithm in ["none", "None", "NONE"] {
        let header = encode(json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }));
        assert!(!accepted(&format!("{header}.{}.", encode(json!(good)))), "{algorithm}");
    }
    let public = serde_json::to_string(&tokens.public_keys().keys[0]).unwrap();
    for secret in [public.as_bytes(), b"", kid.as_deref().unwrap().as_bytes()] {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid.clone_from(&kid);
        let key = EncodingKey::from_secret(secret);
        assert!(!accepted(&jsonwebtoken::encode(&header, &good, &key).unwrap()));
    }
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 6] = [
        ("jku", |header| header.jku = Some("https://evil.example/keys".to_owned())),
        ("x5u", |header| header.x5u = Some("https://evil.example/chain".to_owned())),
        ("x5c", |header| header.x5c = Some(vec!["MIIB".to_owned()])),
        ("crit", |header| header.crit = Some(vec!["exp".to_owned()])),
        ("kid", |header| header.kid = Some("../../etc/passwd".to_owned())),
        ("typ", |header| header.typ = Some("JWT".to_owned())),
    ];
    for (name, change) in changes {
        assert!(!accepted(&resigned(&settings, &json!(good), change)), "{name}");
    }
    let jwk = tokens.public_keys().keys[0].clone();
    assert!(!accepted(&resigned(&settings, &json!(good), |header| header.jwk = Some(jwk))));
    let token = resigned(&settings, &json!(good), |_| {});
    let (body, signature) = token.rsplit_once('.').unwrap();
    assert!(accepted(&token));
    assert!(!accepted(body));
    assert!(!accepted(&format!("{body}.")));
    assert!(!accepted(&format!("{body}.A{signature}")));
}

/// TOK-03: keys of files rotate with overlap and are published with their ids; secrets below 256
/// bits are rejected; one deployment signs in one way.
#[test]
fn keys_of_files_rotate_with_overlap() {
    use clap::{Args, Command, FromArgMatches};
    let (old, clock) = (token_settings(), clock());
    let before = Tokens::new(&old, ring(), clock.clone()).unwrap();
    let good = claims(&before, &clock);
    let token = before.sign(TokenUse::Access, &good).unwrap();
    let mut new = token_settings();
    let accepts = |settings: &TokenSettings| {
        let tokens = Tokens::new(settings, ring(), clock.clone()).unwrap();
        tokens.verify(&token, TokenUse::Access, Audience::User).is_ok()
    };
    assert!(!accepts(&new));
    new.token_old_key_files.push(old.token_key_file.clone().unwrap());
    assert!(accepts(&new));
    let published = Tokens::new(&new, ring(), clock.clone()).unwrap().public_keys();
    let ids: Vec<_> = published.keys.iter().map(|key| &key.common.key_id).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0] != ids[1]);
    assert!(ids.iter().all(|id| id.is_some()));

    let command = TokenSettings::augment_args(Command::new("test").no_binary_name(true));
    let parse = |secret: &str| {
        let line = [format!("--jwt-secret={secret}")];
        let matches = command.clone().try_get_matches_from(line)?;
        TokenSettings::from_arg_matches(&matches)
    };
    assert!(parse(&"x".repeat(31)).unwrap_err().to_string().contains("at least 32 bytes"));
    assert!(parse(&"x".repeat(32)).is_ok());
    let none = TokenSettings { token_key_file: None, ..token_settings() };
    assert!(matches!(Tokens::new(&none, ring(), clock.clone()), Err(TokenKeyError::None)));
    let both = TokenSettings { token_key_file: old.token_key_file, ..shared_secret() };
    assert!(matches!(Tokens::new(&both, ring(), clock), Err(TokenKeyError::Both)));
}

#[test]
fn a_key_file_is_made_once_and_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let path = token_settings().token_key_file.unwrap();
    let first = std::fs::read(&path).unwrap();
    crate::create_key_file(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
