//! Signing keys in the database, as two processes that share it see them.

use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_model::Clock;
use gx_serve::Entropy;
use jsonwebtoken::decode_header;
use sqlx::PgConnection;
use time::macros::datetime;

use super::rotation::{RetireError, RotateError, TokenKeyItem, TokenKeyState};
use super::*;
use crate::authorization::Auth;
use crate::hashing::{Hasher, HashingSettings};
use crate::key_ring::new_line;
use crate::sessions::Sessions;
use crate::testing::{key_ring, token_settings};
use crate::tokens::{Audience, Claims, ClaimsContent, TokenSettings, TokenUse, Tokens};

/// Life of the tokens of these tests, in seconds.
const LIFE_S: u64 = 7_200;
/// Time for which a key is accepted after the next one has begun: the life of its last token, the
/// leeway and ten minutes, in seconds.
const ACCEPTED_S: u64 = LIFE_S + 30 + 600;

/// Two processes of one deployment.
struct Deployment {
    database: TestDatabase,
    conn: PgConnection,
    clock: Clock,
    ring: KeyRing,
    processes: [Auth; 2],
}

impl Deployment {
    async fn new() -> Self {
        let ring = key_ring(Entropy::seeded(1));
        Self::with_rings([ring.clone(), ring]).await
    }

    /// Creates processes with these key rings, of which the first one encrypts new keys.
    async fn with_rings([one, two]: [KeyRing; 2]) -> Self {
        let database = TestDatabase::create().await;
        let clock = Clock::manual(datetime!(2026-03-01 12:00:00 UTC));
        let settings = TokenSettings {
            jwt_expiry: Duration::from_secs(3_600),
            jwt_refresh_expiry: Duration::from_secs(LIFE_S),
            ..token_settings()
        };
        let auth = async |ring: &KeyRing| {
            let tokens = Tokens::new(&settings, ring.clone(), clock.clone()).unwrap();
            let (clock, entropy) = (clock.clone(), Entropy::seeded(1));
            Auth {
                hasher: Hasher::new(&HashingSettings::default(), entropy.clone()).unwrap(),
                sessions: Sessions::new(&settings, tokens, clock.clone(), entropy),
                database: gx_db::connect(&database.settings()).await.unwrap(),
                clock,
            }
        };
        let processes = [auth(&one).await, auth(&two).await];
        Self { conn: database.connection().await, database, clock, ring: one, processes }
    }

    async fn rotate(&mut self, after_s: u64) -> Result<TokenKeyItem, RotateError> {
        let (after, now) = (Duration::from_secs(after_s), self.clock.now());
        let mut tx = sqlx::Connection::begin(&mut self.conn).await.unwrap();
        let item = rotation::rotate(&mut tx, &self.ring, after, now).await?;
        tx.commit().await.unwrap();
        Ok(item)
    }

    async fn retire(&mut self, key_id: &str) -> Result<(), RetireError> {
        let mut tx = sqlx::Connection::begin(&mut self.conn).await.unwrap();
        rotation::retire(&mut tx, key_id, self.clock.now()).await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    async fn states(&mut self) -> Vec<TokenKeyState> {
        let keys = rotation::list(&mut self.conn, self.clock.now()).await.unwrap();
        keys.into_iter().map(|key| key.state).collect()
    }

    fn wait_s(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn claims(&self) -> Claims {
        let (issued, tokens) = (self.clock.now(), self.processes[0].sessions.tokens());
        tokens.claims(ClaimsContent {
            subject: "sarah",
            session_id: &"session".to_owned().into(),
            audience: Audience::User,
            role: None,
            password_version: None,
            token_id: "token".to_owned(),
            issued,
            until: issued + Duration::from_secs(LIFE_S),
        })
    }

    /// Returns a token that a process signs after it has learned of new keys.
    async fn sign(&self, process: usize) -> String {
        self.published(process).await;
        self.processes[process].sessions.tokens().sign(TokenUse::Access, &self.claims()).unwrap()
    }

    /// Returns the ids of the keys that a process publishes.
    async fn published(&self, process: usize) -> Vec<String> {
        let keys = self.processes[process].public_keys().await.unwrap().keys;
        keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
    }

    async fn accepts(&self, process: usize, token: &str) -> bool {
        let verified = self.processes[process].verify(token, &[TokenUse::Access], Audience::User);
        verified.await.unwrap().is_ok()
    }
}

fn signer_of(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

/// TOK-03: a new key is published by every process before it signs; then every process signs with
/// it, and accepts the key before until its last token has expired. None is restarted.
#[tokio::test]
async fn tok_03_a_key_is_published_before_it_signs_and_accepted_until_its_tokens_have_expired() {
    let mut deployment = Deployment::new().await;
    let first = deployment.published(0).await;
    assert_eq!((first.len(), &deployment.published(1).await), (1, &first));
    let new = deployment.rotate(3_600).await.unwrap();
    assert_eq!(
        (new.state, new.signs_from),
        (TokenKeyState::Waiting, datetime!(2026-03-01 13:00 UTC))
    );
    let refused = deployment.rotate(3_600).await.unwrap_err();
    assert!(matches!(&refused, RotateError::Waiting(id) if *id == new.key_id), "{refused}");

    deployment.wait_s(30);
    let both = [first[0].clone(), new.key_id.clone()];
    for process in [0, 1] {
        assert_eq!(deployment.published(process).await, both);
        assert_eq!(signer_of(&deployment.sign(process).await), first[0]);
    }
    deployment.wait_s(3_569);
    let last = deployment.sign(0).await;
    assert_eq!(signer_of(&last), first[0]);
    deployment.wait_s(1);
    assert_eq!(deployment.states().await, [TokenKeyState::Signing]);
    for process in [0, 1] {
        let token = deployment.sign(process).await;
        assert_eq!(signer_of(&token), new.key_id);
        assert!(deployment.accepts(1 - process, &token).await);
        assert!(deployment.accepts(1 - process, &last).await);
    }

    // The last token ends a second before the key's own life and the leeway.
    deployment.wait_s(LIFE_S + 28);
    assert!(deployment.accepts(1, &last).await);
    deployment.wait_s(1);
    assert!(!deployment.accepts(1, &last).await);
    deployment.wait_s(ACCEPTED_S - LIFE_S - 30);
    assert_eq!(deployment.published(1).await, both);
    deployment.wait_s(1);
    assert_eq!(deployment.published(1).await, [new.key_id.as_str()]);
    assert_eq!(deployment.published(0).await, [new.key_id.as_str()]);
}

/// TOK-03: a process that has not looked since the key was added looks when it meets a token of the
/// key.
#[tokio::test]
async fn tok_03_a_token_of_an_unknown_key_makes_a_process_look_again() {
    let mut deployment = Deployment::new().await;
    deployment.published(0).await;
    deployment.wait_s(20);
    let known = deployment.published(1).await;
    deployment.rotate(5).await.unwrap();
    deployment.wait_s(11);
    let token = deployment.sign(0).await;
    assert_ne!(signer_of(&token), known[0]);
    assert_eq!(deployment.published(1).await, known, "it looked 11 seconds ago");
    assert!(deployment.accepts(1, &token).await);
    assert_eq!(deployment.published(1).await.len(), 2);
}

/// TOK-03, TOK-05: the key of a token follows from its time, so that a refresh token which is
/// issued again after a rotation is the same.
#[tokio::test]
async fn tok_03_a_token_that_is_issued_again_has_the_same_key() {
    let mut deployment = Deployment::new().await;
    deployment.rotate(5).await.unwrap();
    deployment.wait_s(4);
    let claims = deployment.claims();
    let sign = |deployment: &Deployment| {
        deployment.processes[0].sessions.tokens().sign(TokenUse::Refresh, &claims).unwrap()
    };
    deployment.published(0).await;
    let first = sign(&deployment);
    deployment.wait_s(2);
    assert_ne!(signer_of(&deployment.sign(0).await), signer_of(&first));
    assert_eq!(sign(&deployment), first);
}

/// TOK-03: a key that has leaked is retired once another one signs: no process accepts its tokens,
/// the key is destroyed, and a key before it is not accepted again.
#[tokio::test]
async fn tok_03_a_retired_key_is_refused_and_destroyed() {
    let mut deployment = Deployment::new().await;
    let oldest = deployment.sign(0).await;
    let leaked = deployment.rotate(5).await.unwrap().key_id;
    let unknown = deployment.retire("nobody").await.unwrap_err().to_string();
    assert!(unknown.starts_with("there is no signing key nobody"), "{unknown}");
    deployment.wait_s(ACCEPTED_S + 5);
    assert!(!deployment.accepts(1, &oldest).await);
    let token = deployment.sign(0).await;
    assert_eq!(signer_of(&token), leaked);
    assert!(deployment.accepts(1, &token).await);
    let refused = deployment.retire(&leaked).await.unwrap_err();
    assert!(matches!(&refused, RetireError::Signing(id) if *id == leaked), "{refused}");

    let new = deployment.rotate(5).await.unwrap().key_id;
    deployment.wait_s(5);
    deployment.retire(&leaked).await.unwrap();
    assert_eq!(deployment.states().await, [TokenKeyState::Retired, TokenKeyState::Signing]);
    deployment.wait_s(30);
    for process in [0, 1] {
        assert!(!deployment.accepts(process, &token).await);
        assert_eq!(deployment.published(process).await, [new.as_str()]);
        assert_eq!(signer_of(&deployment.sign(process).await), new);
    }
    let again = deployment.retire(&leaked).await.unwrap_err();
    assert!(matches!(again, RetireError::Retired(_)), "{again}");
    let left: i64 =
        sqlx::query_scalar(r#"SELECT count(*) FROM "TokenKey" WHERE secret IS NOT NULL"#)
            .fetch_one(deployment.database.pool())
            .await
            .unwrap();
    assert_eq!(left, 1);
}

/// TOK-03: a key that is retired before its turn never signs, so the key before it goes on and is
/// accepted for as long.
#[tokio::test]
async fn tok_03_a_key_that_is_retired_before_its_turn_ends_no_other() {
    let mut deployment = Deployment::new().await;
    let waiting = deployment.rotate(60).await.unwrap().key_id;
    deployment.retire(&waiting).await.unwrap();
    deployment.wait_s(60 + ACCEPTED_S);
    let token = deployment.sign(0).await;
    for process in [0, 1] {
        assert!(deployment.accepts(process, &token).await, "process {process}");
    }
}

/// TOK-03: a process that cannot decrypt a key still learns that another one was retired.
#[tokio::test]
async fn tok_03_a_key_is_retired_also_where_another_one_cannot_be_decrypted() {
    let line = |version| new_line(version, &Entropy::seeded(7));
    let ring = |text: &str| KeyRing::parse(text, Entropy::seeded(1)).unwrap();
    let (old, both) = (ring(&line(1)), ring(&format!("{}\n{}", line(2), line(1))));
    let mut deployment = Deployment::with_rings([both.clone(), old.clone()]).await;
    deployment.ring = old;
    let leaked = deployment.rotate(60).await.unwrap().key_id;
    deployment.wait_s(60);
    let token = deployment.sign(1).await;
    assert_eq!(signer_of(&token), leaked);
    deployment.ring = both;
    deployment.rotate(60).await.unwrap();
    deployment.wait_s(60);
    deployment.retire(&leaked).await.unwrap();
    deployment.wait_s(30);
    assert!(!deployment.published(1).await.contains(&leaked));
    let verified = deployment.processes[1].verify(&token, &[TokenUse::Access], Audience::User);
    assert_eq!(verified.await.unwrap_err().kind().status, 503, "it is no longer accepted");
}

/// TOK-03, G9: a process whose key ring lacks the version of a key continues with the keys that it
/// knows, says so in its health, and does not call a token of that key invalid; one that has not
/// read any key does not sign at all.
#[tokio::test]
async fn tok_03_a_process_that_cannot_decrypt_a_key_says_so() {
    let line = |version| new_line(version, &Entropy::seeded(7));
    let ring = |text: &str| KeyRing::parse(text, Entropy::seeded(1)).unwrap();
    let rings = [ring(&format!("{}\n{}", line(2), line(1))), ring(&line(1))];
    let mut deployment = Deployment::with_rings(rings).await;
    let known = deployment.published(1).await;
    deployment.rotate(60).await.unwrap();
    deployment.wait_s(30);
    assert_eq!(deployment.published(0).await.len(), 2);
    assert_eq!(deployment.published(1).await, known);
    let unusable = deployment.processes[1].sessions.tokens().unusable_key().unwrap();
    assert!(unusable.contains("GX_MASTER_KEY_FILE has no key of version 2"), "{unusable}");
    assert_eq!(deployment.processes[0].sessions.tokens().unusable_key(), None);
    deployment.wait_s(60);
    let token = deployment.sign(0).await;
    let verified = deployment.processes[1].verify(&token, &[TokenUse::Access], Audience::User);
    assert_eq!(verified.await.unwrap_err().kind().status, 503);

    let fresh = Tokens::new(&token_settings(), ring(&line(1)), deployment.clock.clone()).unwrap();
    let conn = std::future::ready(Ok(&mut deployment.conn));
    let problem = fresh.learn_keys(crate::tokens::KEYS_MAX_AGE, conn).await.unwrap_err();
    assert_eq!((problem.kind().code, fresh.has_learned_keys()), ("internal", false));
}
