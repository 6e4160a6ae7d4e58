//! Sessions: opened after a password check, checked with every token, and ended with immediate
//! effect. Called at sign-in, at each refresh, and by everything that ends sessions.

use std::time::Duration;

use gx_db::{AdminId, PgConnection, SessionId};
use gx_model::Clock;
use gx_serve::{Client, Entropy, Problem, ProblemKind};
use secrecy::SecretString;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::Acquire;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::account_access::access_of;
use crate::audit;
use crate::mailing::Mailing;
use crate::notices::Notice;
use crate::realm::{Realm, Subject};
use crate::store::{self, NewSession, SessionRow};
use crate::tokens::{
    Claims, ClaimsContent, ENROLMENT_LIFE, KEYS_MAX_AGE, TokenSettings, TokenUse, Tokens,
};

/// A client that repeats a refresh within this time gets the same tokens again.
const GRACE_TIME: time::Duration = time::Duration::seconds(10);
/// Longest time between two writes of the last use of a session.
const LAST_USED_STEP: Duration = Duration::from_mins(5);
/// Writes of the last use within an idle limit: the part of it by which a session may end early.
const PARTS_OF_IDLE_LIMIT: u32 = 30;

/// Random bytes of a session's id, besides those of the UUID in it (SESS-01).
const SESSION_RANDOM_BYTES: usize = 16;
/// Bytes of the version of a password.
const PASSWORD_VERSION_BYTES: usize = 16;

/// The tokens of a session.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenPair {
    /// Send it as `Authorization: Bearer`.
    #[schema(example = "eyJ…")]
    pub access_token: String,
    /// Exchange it for new tokens, once.
    #[schema(example = "eyJ…")]
    pub refresh_token: String,
}

/// The refresh token is unknown, used, expired or of an ended session.
pub const INVALID_REFRESH_TOKEN: ProblemKind =
    ProblemKind::new("invalid_refresh_token", 401, "The refresh token is not valid");

pub(crate) fn invalid_refresh_token() -> Problem {
    Problem::new(&INVALID_REFRESH_TOKEN, "Sign in again.")
}

/// Opens, refreshes and ends sessions. Clones share the keys.
#[derive(Clone)]
pub struct Sessions {
    tokens: Tokens,
    clock: Clock,
    entropy: Entropy,
    access_life: Duration,
    refresh_life: Duration,
    user_life: Duration,
    admin_life: Duration,
    admin_idle: Duration,
}

/// Result of a refresh.
enum RefreshResult {
    /// The session continues with these tokens.
    Next(TokenPair),
    /// The token was used before, so the session must end.
    Reused,
    /// The session or its account is no longer valid.
    Refused,
}

impl Sessions {
    /// Creates sessions with these keys and lifetimes of tokens.
    pub fn new(settings: &TokenSettings, tokens: Tokens, clock: Clock, entropy: Entropy) -> Self {
        Self {
            tokens,
            clock,
            entropy,
            access_life: settings.jwt_expiry,
            refresh_life: settings.jwt_refresh_expiry,
            user_life: settings.session_lifetime,
            admin_life: settings.admin_session_lifetime,
            admin_idle: settings.admin_session_idle,
        }
    }

    /// Returns the keys.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Returns the time after the last refresh after which no token of a session is valid.
    pub(crate) fn longest_token_life(&self) -> Duration {
        self.access_life.max(self.refresh_life)
    }

    /// Returns the time without a request after which a session has ended, or `None` if only the
    /// lives of its tokens end it.
    pub(crate) fn idle_limit(&self, realm: Realm) -> Option<Duration> {
        match realm {
            Realm::User => None,
            Realm::Admin => Some(self.admin_idle),
        }
    }

    /// Returns whether a session has been unused for too long. The stored time is up to
    /// [`Self::last_used_step`] before the last request, so that a session ends early, never late.
    pub(crate) fn is_idle(
        &self,
        realm: Realm,
        last_used_at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> bool {
        self.idle_limit(realm).is_some_and(|limit| now - last_used_at >= limit)
    }

    /// Returns the time between two writes of the last use of a session.
    pub(crate) fn last_used_step(&self, realm: Realm) -> Duration {
        let part = self.idle_limit(realm).map(|limit| limit / PARTS_OF_IDLE_LIMIT);
        part.map_or(LAST_USED_STEP, |part| part.min(LAST_USED_STEP))
    }

    /// Opens a session in the caller's transaction. The caller has checked the password.
    ///
    /// # Errors
    /// The problem of a database failure or of a token that cannot be signed.
    pub async fn open(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        role: Option<&str>,
        client: &Client,
    ) -> Result<TokenPair, Problem> {
        self.learn_keys(conn).await?;
        let now = self.clock.now();
        let life = match subject {
            Subject::User(_) => self.user_life,
            Subject::Admin(_) => self.admin_life,
        };
        let session_id = self.new_session_id(now);
        let refresh_id = self.entropy.id(now).to_string();
        let owner = SessionOwner { subject, role, session_id: &session_id, ends: now + life };
        let pair = self.pair(&owner, refresh_id.clone(), now, now)?;
        let new = NewSession {
            session_id: &session_id,
            subject,
            refresh_hash: &fingerprint(&pair.refresh_token),
            refresh_id: &refresh_id,
            now,
            expires_at: owner.ends,
            agent: client.agent.as_deref(),
            address: client.address.map(|address| address.to_string()),
        };
        store::insert_session(conn, &new).await?;
        Ok(pair)
    }

    /// Returns an id that sorts by its time and has [`SESSION_RANDOM_BYTES`] more random bytes.
    fn new_session_id(&self, now: OffsetDateTime) -> SessionId {
        let random: [u8; SESSION_RANDOM_BYTES] = self.entropy.bytes();
        format!("{}-{}", self.entropy.id(now), hex::encode(random)).into()
    }

    /// Returns a token with which an administrator who has no second factor enrols one. The caller
    /// has compared the password with the stored hash. No session belongs to the token; it ends
    /// when the hash is replaced.
    ///
    /// # Errors
    /// The problem of a database failure or of a token that cannot be signed.
    pub async fn enrolment_token(
        &self,
        conn: &mut PgConnection,
        admin_id: &AdminId,
        password_hash: &str,
    ) -> Result<SecretString, Problem> {
        self.learn_keys(conn).await?;
        let now = self.clock.now();
        let token_id = self.entropy.id(now).to_string();
        let claims = self.tokens.claims(ClaimsContent {
            subject: admin_id.as_str(),
            session_id: &SessionId::from(token_id.clone()),
            audience: Realm::Admin.audience(),
            role: None,
            password_version: Some(password_version(password_hash)),
            token_id,
            issued: now,
            until: now + ENROLMENT_LIFE,
        });
        let token = self.tokens.sign(TokenUse::Enrolment, &claims);
        token.map(SecretString::from).map_err(|why| Problem::internal(&why))
    }

    /// Learns of keys that were added to the database, before a token is signed.
    async fn learn_keys(&self, conn: &mut PgConnection) -> Result<(), Problem> {
        self.tokens.learn_keys(KEYS_MAX_AGE, std::future::ready(Ok(conn))).await
    }

    fn claims_of(&self, realm: Realm, refresh_token: &str) -> Result<Claims, Problem> {
        self.tokens
            .verify(refresh_token, TokenUse::Refresh, realm.audience())
            .map_err(|_| invalid_refresh_token())
    }

    /// Exchanges a refresh token for new tokens, once. If a token is used again after the grace
    /// time, the session ends, because the token may be stolen.
    ///
    /// # Errors
    /// [`INVALID_REFRESH_TOKEN`], or the problem of a database failure.
    pub(crate) async fn refresh(
        &self,
        conn: &mut PgConnection,
        realm: Realm,
        refresh_token: &str,
        request_id: &str,
        mailing: &Mailing,
    ) -> Result<TokenPair, Problem> {
        let Claims { sub, sid, .. } = self.claims_of(realm, refresh_token)?;
        let subject = realm.subject(sub);
        self.learn_keys(conn).await?;
        let mut tx = conn.begin().await?;
        let result = self.rotate(&mut tx, &subject, &sid, refresh_token).await?;
        if matches!(result, RefreshResult::Reused) {
            self.end_reused(&mut tx, &subject, &sid, request_id).await?;
            mailing.notify(&mut tx, &subject, Notice::RefreshTokenReused).await?;
        }
        tx.commit().await?;
        match result {
            RefreshResult::Next(pair) => Ok(pair),
            RefreshResult::Reused | RefreshResult::Refused => Err(invalid_refresh_token()),
        }
    }

    async fn rotate(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        session_id: &SessionId,
        refresh_token: &str,
    ) -> Result<RefreshResult, Problem> {
        let now = self.clock.now();
        let valid = lock_valid_session(conn, subject, session_id, now).await?;
        let realm = subject.realm();
        let valid = valid.filter(|(session, _)| !self.is_idle(realm, session.last_used_at, now));
        let Some((session, role)) = valid else { return Ok(RefreshResult::Refused) };
        let (role, ends) = (role.as_deref(), session.expires_at);
        let owner = SessionOwner { subject, role, session_id, ends };
        let presented = fingerprint(refresh_token);
        if presented == session.refresh_hash[..] {
            let refresh_id = self.entropy.id(now).to_string();
            let pair = self.pair(&owner, refresh_id.clone(), now, now)?;
            let hash = fingerprint(&pair.refresh_token);
            store::rotate_session(conn, realm, session_id, &hash, &refresh_id, now).await?;
            return Ok(RefreshResult::Next(pair));
        }
        let is_previous = session.previous_refresh_hash.as_deref() == Some(&presented[..]);
        if is_previous && now - session.rotated_at <= GRACE_TIME {
            let pair = self.pair(&owner, session.refresh_id, session.rotated_at, now);
            return pair.map(RefreshResult::Next);
        }
        Ok(RefreshResult::Reused)
    }

    /// Ends a session whose refresh token was used twice, and records that in the audit log.
    async fn end_reused(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        session_id: &SessionId,
        request_id: &str,
    ) -> Result<(), sqlx::Error> {
        self.end(conn, subject, Some(session_id), "refresh token used twice").await?;
        metrics::counter!("gx_refresh_reuse_total").increment(1);
        let (actor, table, person, admin) = match subject {
            Subject::User(id) => (audit::Actor::User(id), "UserSession", Some(id.as_str()), None),
            Subject::Admin(id) => {
                (audit::Actor::Admin(id), "AdminSession", None, Some(id.as_str()))
            }
        };
        tracing::warn!(person, admin, session = %session_id,
            "a refresh token of session {session_id} was used twice");
        let (action, id) = ("session.refresh_reused", Some(session_id.as_str()));
        let entry = audit::Entry::new(actor, action, table, id, Some(request_id));
        audit::append(conn, entry, self.clock.now()).await
    }

    /// Ends one session of a subject, or all of them, and returns their number.
    ///
    /// # Errors
    /// `sqlx::Error` if the statement fails.
    pub async fn end(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        session_id: Option<&SessionId>,
        because: &str,
    ) -> Result<u64, sqlx::Error> {
        let now = self.clock.now();
        store::revoke_sessions(conn, subject, session_id, because, now).await
    }

    /// Returns both tokens. The refresh token depends only on the session, its id and its time,
    /// from which the key that signs follows, too. So it can be issued again.
    fn pair(
        &self,
        owner: &SessionOwner<'_>,
        refresh_id: String,
        refresh_issued: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<TokenPair, Problem> {
        let sign = |token_use, token_id, issued: OffsetDateTime, life: Duration| {
            let claims = self.tokens.claims(ClaimsContent {
                subject: owner.subject.as_str(),
                session_id: owner.session_id,
                audience: owner.subject.realm().audience(),
                role: owner.role,
                password_version: None,
                token_id,
                issued,
                until: owner.ends.min(issued + life),
            });
            self.tokens.sign(token_use, &claims).map_err(|why| Problem::internal(&why))
        };
        let access_id = self.entropy.id(now).to_string();
        Ok(TokenPair {
            access_token: sign(TokenUse::Access, access_id, now, self.access_life)?,
            refresh_token: sign(TokenUse::Refresh, refresh_id, refresh_issued, self.refresh_life)?,
        })
    }
}

struct SessionOwner<'a> {
    subject: &'a Subject,
    role: Option<&'a str>,
    session_id: &'a SessionId,
    ends: OffsetDateTime,
}

/// Locks the session and returns it with the administrator's role, or `None` if the session has
/// ended or its account permits no sign-in.
async fn lock_valid_session(
    conn: &mut PgConnection,
    subject: &Subject,
    session_id: &SessionId,
    now: OffsetDateTime,
) -> Result<Option<(SessionRow, Option<String>)>, sqlx::Error> {
    let session = store::lock_session(conn, session_id, subject).await?;
    let (is_valid, role) = match subject {
        Subject::User(profile_id) => {
            let person = store::person(conn, session_id, profile_id).await?;
            (person.is_some_and(|row| access_of(&row).is_some()), None)
        }
        Subject::Admin(admin_id) => {
            let account = store::administrator(conn, session_id, admin_id).await?;
            let role = account.filter(|row| !row.is_locked).map(|row| row.role);
            (role.is_some(), role)
        }
    };
    let session = session.filter(|_| is_valid);
    let session = session.filter(|session| !session.is_revoked && session.expires_at > now);
    Ok(session.map(|session| (session, role)))
}

/// Returns what a token says of the stored hash of a password. The hash has a salt, so that nothing
/// about the password can be found out from it.
pub(crate) fn password_version(password_hash: &str) -> String {
    hex::encode(&Sha256::digest(password_hash)[..PASSWORD_VERSION_BYTES])
}

fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
