//! Adds, lists and retires signing keys in the database. Called by `gx keys signing`; services
//! learn of a change when they look at the table again, at most 30 s later.

use std::time::Duration;

use gx_db::PgConnection;
use jsonwebtoken::EncodingKey;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use time::OffsetDateTime;

use super::file::{self, TokenKeyError};
use super::{SigningKey, store};
use crate::key_ring::KeyRing;
use crate::key_ring::rotation::EncryptedColumn;

/// A signing key of the database, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenKeyItem {
    /// Id that tokens name as `kid`.
    pub key_id: String,
    /// What the key does now.
    pub state: TokenKeyState,
    /// When it was added.
    #[serde(with = "gx_serve::moment")]
    pub created_at: OffsetDateTime,
    /// When it began, or will begin, to sign.
    #[serde(with = "gx_serve::moment")]
    pub signs_from: OffsetDateTime,
    /// When it was retired.
    #[serde(with = "gx_serve::moment::option")]
    pub retired_at: Option<OffsetDateTime>,
}

/// What a signing key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TokenKeyState {
    /// It is published and will sign later.
    Waiting,
    /// It signs.
    Signing,
    /// A later key signs. Its tokens are accepted until the last of them has expired.
    Replaced,
    /// Its private key is destroyed, and no token of it is accepted.
    Retired,
}

/// Why a key was not added.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// A key that was added before has not begun to sign.
    #[error("signing key {0} was added and does not sign yet; wait until it does, or retire it")]
    Waiting(String),
    /// No key could be created.
    #[error(transparent)]
    Create(#[from] TokenKeyError),
    /// The created key is not usable.
    #[error("the new key cannot be read; try again")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// The database failed.
    #[error("the signing keys cannot be changed; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Why a key was not retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The table has no such key.
    #[error("there is no signing key {0}; take an id from `gx keys signing list`")]
    Unknown(String),
    /// The key is retired.
    #[error("signing key {0} is already retired; nothing is left to do")]
    Retired(String),
    /// No other key signs.
    #[error(
        "signing key {0} signs; add another one with `gx keys signing rotate` and retire this one \
         when that signs"
    )]
    Signing(String),
    /// The database failed.
    #[error("the signing keys cannot be changed; check the database and its log")]
    Database(#[from] sqlx::Error),
}

/// Adds a key that is published now and signs after this time, in the caller's transaction. Returns
/// the key.
///
/// # Errors
/// [`RotateError`] says why; nothing is added then.
pub async fn rotate(
    conn: &mut PgConnection,
    ring: &KeyRing,
    after: Duration,
    now: OffsetDateTime,
) -> Result<TokenKeyItem, RotateError> {
    store::lock(conn).await?;
    let waiting =
        list(conn, now).await?.into_iter().find(|key| key.state == TokenKeyState::Waiting);
    if let Some(waiting) = waiting {
        return Err(RotateError::Waiting(waiting.key_id));
    }
    let der = file::new_key()?;
    let key = SigningKey::ed25519(EncodingKey::from_ed_der(der.expose_secret()))?;
    let key_id = key.id.expect("an Ed25519 key has an id");
    let place = EncryptedColumn::TokenKeySecret.place(&key_id);
    let secret = ring.encrypt(place, der.expose_secret());
    let signs_from = in_whole_seconds(now + after);
    store::insert(conn, &key_id, &secret, now, signs_from).await?;
    let (state, retired_at) = (TokenKeyState::Waiting, None);
    Ok(TokenKeyItem { key_id, state, created_at: now, signs_from, retired_at })
}

/// Returns the keys of the database, in the order in which they sign. The key of the settings signs
/// before them.
///
/// # Errors
/// `sqlx::Error` if the statement fails.
pub async fn list(
    conn: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<Vec<TokenKeyItem>, sqlx::Error> {
    let rows = store::list(conn).await?;
    let begun = rows.iter().rposition(|row| row.retired_at.is_none() && row.signs_from <= now);
    let item = |(at, row): (usize, store::ListedRow)| TokenKeyItem {
        state: match row.retired_at {
            Some(_) => TokenKeyState::Retired,
            None if row.signs_from > now => TokenKeyState::Waiting,
            None if Some(at) == begun => TokenKeyState::Signing,
            None => TokenKeyState::Replaced,
        },
        key_id: row.key_id,
        created_at: row.created_at,
        signs_from: row.signs_from,
        retired_at: row.retired_at,
    };
    Ok(rows.into_iter().enumerate().map(item).collect())
}

/// Destroys a private key, for example one that has leaked, in the caller's transaction. Tokens of
/// it are refused as soon as each service has looked at the table.
///
/// # Errors
/// [`RetireError`] says why; nothing is changed then.
pub async fn retire(
    conn: &mut PgConnection,
    key_id: &str,
    now: OffsetDateTime,
) -> Result<(), RetireError> {
    store::lock(conn).await?;
    let key = list(conn, now).await?.into_iter().find(|key| key.key_id == key_id);
    match key.map(|key| key.state) {
        None => Err(RetireError::Unknown(key_id.to_owned())),
        Some(TokenKeyState::Retired) => Err(RetireError::Retired(key_id.to_owned())),
        Some(TokenKeyState::Signing) => Err(RetireError::Signing(key_id.to_owned())),
        Some(TokenKeyState::Waiting | TokenKeyState::Replaced) => {
            Ok(store::retire(conn, key_id, now).await?)
        }
    }
}

/// Returns the next whole second: times in tokens have no parts of a second, and the key of a token
/// follows from its time.
fn in_whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    let whole = at.replace_nanosecond(0).expect("0 is a valid part of a second");
    if whole < at { whole + time::Duration::SECOND } else { whole }
}
