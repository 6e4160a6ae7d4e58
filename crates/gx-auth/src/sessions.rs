//! Sessions: opened after a password, behind every token, ended at once by whoever may.

use std::time::Duration;

use gx_db::PgConnection;
use gx_model::Clock;
use gx_serve::{Client, Entropy, Problem};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::Acquire;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::audit;
use crate::store::{self, NewSession, SessionRow};
use crate::tokens::{Audience, Claims, ClaimsOf, Purpose, TokenSettings, Tokens};

/// A client that repeats a refresh within this time gets the same successor again.
const GRACE: time::Duration = time::Duration::seconds(10);

/// Whose sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    /// People.
    User,
    /// Administrators.
    Admin,
}

impl Realm {
    const fn audience(self) -> Audience {
        match self {
            Self::User => Audience::User,
            Self::Admin => Audience::Admin,
        }
    }
}

/// What a client signs in with from here on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenPair {
    /// Send it as `Authorization: Bearer`.
    pub access_token: String,
    /// Exchange it for new tokens, once.
    pub refresh_token: String,
}

/// Why a refresh token gives no new tokens.
#[derive(Debug)]
pub enum RefreshRefusal {
    /// Not valid, expired, used before, or of a session that has ended.
    Invalid,
    /// A failure on our side.
    Failed(Problem),
}

impl From<sqlx::Error> for RefreshRefusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
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
}

/// What a refresh came to.
enum Turn {
    /// New tokens.
    Next(TokenPair),
    /// The token was used before: the session is over.
    Reused,
    /// Nothing.
    Refused,
}

impl Sessions {
    /// Sessions with tokens of these keys and lifetimes.
    pub fn new(settings: &TokenSettings, tokens: Tokens, clock: Clock, entropy: Entropy) -> Self {
        Self {
            tokens,
            clock,
            entropy,
            access_life: settings.jwt_expiry,
            refresh_life: settings.jwt_refresh_expiry,
            user_life: settings.session_lifetime,
            admin_life: settings.admin_session_lifetime,
        }
    }

    /// The keys.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Opens a session in the caller's transaction. The caller has checked the password.
    ///
    /// # Errors
    /// The database's, or a failure to sign.
    pub async fn open(
        &self,
        conn: &mut PgConnection,
        realm: Realm,
        subject: &str,
        role: Option<&str>,
        client: &Client,
    ) -> Result<TokenPair, Problem> {
        let now = self.clock.now();
        let life = if realm == Realm::User { self.user_life } else { self.admin_life };
        let session_id = self.entropy.id(now).to_string();
        let refresh_id = self.entropy.id(now).to_string();
        let owner = Owner { realm, subject, role, session_id: &session_id, ends: now + life };
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
        match realm {
            Realm::User => store::insert_user_session(conn, &new).await?,
            Realm::Admin => store::insert_admin_session(conn, &new).await?,
        }
        Ok(pair)
    }

    /// Exchanges a refresh token for new tokens, once. Used again after the grace time, it
    /// ends its session: somebody else has a copy.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn refresh(
        &self,
        conn: &mut PgConnection,
        realm: Realm,
        refresh_token: &str,
        request_id: &str,
    ) -> Result<TokenPair, RefreshRefusal> {
        let claims = self
            .tokens
            .verify(refresh_token, Purpose::Refresh, realm.audience())
            .map_err(|_| RefreshRefusal::Invalid)?;
        let mut tx = conn.begin().await?;
        let turn = self.turn(&mut tx, realm, &claims, refresh_token).await?;
        if matches!(turn, Turn::Reused) {
            self.end_reused(&mut tx, realm, &claims, request_id).await?;
        }
        tx.commit().await?;
        match turn {
            Turn::Next(pair) => Ok(pair),
            Turn::Reused | Turn::Refused => Err(RefreshRefusal::Invalid),
        }
    }

    async fn turn(
        &self,
        conn: &mut PgConnection,
        realm: Realm,
        claims: &Claims,
        refresh_token: &str,
    ) -> Result<Turn, RefreshRefusal> {
        let now = self.clock.now();
        let Some((session, role)) = lock_in_good_standing(conn, realm, claims, now).await? else {
            return Ok(Turn::Refused);
        };
        let owner = Owner {
            realm,
            subject: &claims.sub,
            role: role.as_deref(),
            session_id: &claims.sid,
            ends: session.expires_at,
        };
        let presented = fingerprint(refresh_token);
        if presented == session.refresh_hash[..] {
            let refresh_id = self.entropy.id(now).to_string();
            let pair = self.pair(&owner, refresh_id.clone(), now, now);
            let pair = pair.map_err(RefreshRefusal::Failed)?;
            let hash = fingerprint(&pair.refresh_token);
            match realm {
                Realm::User => {
                    store::rotate_user_session(conn, &claims.sid, &hash, &refresh_id, now).await?;
                }
                Realm::Admin => {
                    store::rotate_admin_session(conn, &claims.sid, &hash, &refresh_id, now).await?;
                }
            }
            return Ok(Turn::Next(pair));
        }
        let is_previous = session.previous_refresh_hash.as_deref() == Some(&presented[..]);
        if is_previous && now - session.rotated_at <= GRACE {
            let pair = self.pair(&owner, session.refresh_id, session.rotated_at, now);
            return pair.map(Turn::Next).map_err(RefreshRefusal::Failed);
        }
        Ok(Turn::Reused)
    }

    async fn end_reused(
        &self,
        conn: &mut PgConnection,
        realm: Realm,
        claims: &Claims,
        request_id: &str,
    ) -> Result<(), sqlx::Error> {
        self.end(conn, realm, &claims.sub, Some(&claims.sid), "refresh token used twice").await?;
        metrics::counter!("gx_refresh_reuse_total").increment(1);
        tracing::warn!(subject = %claims.sub, session = %claims.sid, "a refresh token was used twice");
        let entry = audit::Entry {
            actor: match realm {
                Realm::User => audit::Actor::User(&claims.sub),
                Realm::Admin => audit::Actor::Admin(&claims.sub),
            },
            action: "session.refresh_reused",
            target_type: if realm == Realm::User { "UserSession" } else { "AdminSession" },
            target_id: Some(&claims.sid),
            before: None,
            after: None,
            request_id: Some(request_id),
        };
        audit::append(conn, entry, self.clock.now()).await
    }

    /// Ends one session of a subject, or all of them; gives how many.
    ///
    /// # Errors
    /// The database's.
    pub async fn end(
        &self,
        conn: &mut PgConnection,
        realm: Realm,
        subject: &str,
        session_id: Option<&str>,
        because: &str,
    ) -> Result<u64, sqlx::Error> {
        let now = self.clock.now();
        match realm {
            Realm::User => {
                store::revoke_user_sessions(conn, subject, session_id, because, now).await
            }
            Realm::Admin => {
                store::revoke_admin_sessions(conn, subject, session_id, because, now).await
            }
        }
    }

    /// Both tokens. The refresh token is a function of the session, its id and its time, so
    /// that the same one can be given twice.
    fn pair(
        &self,
        owner: &Owner<'_>,
        refresh_id: String,
        refresh_issued: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<TokenPair, Problem> {
        let sign = |purpose, token_id, issued: OffsetDateTime, life: Duration| {
            let claims = self.tokens.claims(ClaimsOf {
                subject: owner.subject,
                session_id: owner.session_id,
                audience: owner.realm.audience(),
                role: owner.role,
                token_id,
                issued,
                until: owner.ends.min(issued + life),
            });
            self.tokens.sign(purpose, &claims).map_err(|why| Problem::internal(&why))
        };
        let access_id = self.entropy.id(now).to_string();
        Ok(TokenPair {
            access_token: sign(Purpose::Access, access_id, now, self.access_life)?,
            refresh_token: sign(Purpose::Refresh, refresh_id, refresh_issued, self.refresh_life)?,
        })
    }
}

struct Owner<'a> {
    realm: Realm,
    subject: &'a str,
    role: Option<&'a str>,
    session_id: &'a str,
    ends: OffsetDateTime,
}

/// The session under lock, unless it or its owner's account is no longer good; with an
/// administrator's role.
async fn lock_in_good_standing(
    conn: &mut PgConnection,
    realm: Realm,
    claims: &Claims,
    now: OffsetDateTime,
) -> Result<Option<(SessionRow, Option<String>)>, sqlx::Error> {
    let (session, role) = match realm {
        Realm::User => {
            let session = store::lock_user_session(conn, &claims.sid, &claims.sub).await?;
            let person = store::person(conn, &claims.sid, &claims.sub).await?;
            let good = person.is_some_and(|row| crate::gate::access_of(&row).is_some());
            (session.filter(|_| good), None)
        }
        Realm::Admin => {
            let session = store::lock_admin_session(conn, &claims.sid, &claims.sub).await?;
            let account = store::administrator(conn, &claims.sid, &claims.sub).await?;
            let role = account.filter(|row| !row.is_locked).map(|row| row.role);
            (session.filter(|_| role.is_some()), role)
        }
    };
    let session = session.filter(|session| !session.is_revoked && session.expires_at > now);
    Ok(session.map(|session| (session, role)))
}

fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
