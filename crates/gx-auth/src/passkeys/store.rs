//! SQL of passkeys. The rows of people and of administrators are in the same tables; a statement
//! gets the owner as two ids, of which one is NULL.

use gx_db::{PgConnection, SessionId};
use time::OffsetDateTime;

use super::webauthn::{NewCredential, StoredCredential, VerifiedAssertion};
use crate::realm::Subject;
use crate::second_factor::Owner;

/// A passkey without its key.
pub(super) struct PasskeyRow {
    pub(super) passkey_id: String,
    pub(super) name: String,
    pub(super) is_backed_up: bool,
    pub(super) created_at: OffsetDateTime,
    pub(super) last_used_at: Option<OffsetDateTime>,
}

/// A credential that an account has.
pub(super) struct KnownCredential {
    pub(super) credential_id: Vec<u8>,
    pub(super) transports: Vec<String>,
}

/// The names of an account that authenticators show.
pub(super) struct AccountNames {
    pub(super) email: String,
    pub(super) display_name: String,
}

/// A challenge to be inserted.
pub(super) struct NewChallenge<'a> {
    pub(super) challenge_id: &'a str,
    pub(super) challenge: &'a [u8],
    pub(super) realm: &'a str,
    /// The account that adds a passkey.
    pub(super) user_handle: Option<&'a [u8]>,
    /// The session that adds a passkey.
    pub(super) session_id: Option<&'a str>,
    pub(super) expires_at: OffsetDateTime,
}

/// A passkey to be inserted.
pub(super) struct NewPasskey<'a> {
    pub(super) passkey_id: &'a str,
    pub(super) user_handle: &'a [u8],
    pub(super) credential: &'a NewCredential,
    pub(super) transports: &'a [String],
    pub(super) name: &'a str,
    pub(super) now: OffsetDateTime,
}

/// A passkey with its key and its owner.
pub(super) struct FoundPasskey {
    pub(super) passkey_id: String,
    pub(super) subject: Subject,
    pub(super) credential: StoredCredential,
}

/// Stores a challenge.
pub(super) async fn insert_challenge(
    conn: &mut PgConnection,
    new: &NewChallenge<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "PasskeyChallenge" ("challengeId", challenge, realm, "userHandle",
               "sessionId", "expiresAt")
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        new.challenge_id,
        new.challenge,
        new.realm,
        new.user_handle,
        new.session_id,
        new.expires_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Uses up a challenge of a sign-in, and returns it. `None` if it was used or has expired.
pub(super) async fn use_sign_in_challenge(
    conn: &mut PgConnection,
    realm: &str,
    challenge_id: &str,
    now: OffsetDateTime,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"DELETE FROM "PasskeyChallenge"
           WHERE "challengeId" = $1 AND realm = $2 AND "userHandle" IS NULL AND "expiresAt" > $3
           RETURNING challenge"#,
        challenge_id,
        realm,
        now,
    )
    .fetch_optional(conn)
    .await
}

/// Uses up a challenge with which this session adds a passkey, and returns it with the user handle.
/// `None` if it was used, has expired, or is of another account or session.
pub(super) async fn use_own_challenge(
    conn: &mut PgConnection,
    owner: Owner<'_>,
    session_id: &SessionId,
    challenge_id: &str,
    now: OffsetDateTime,
) -> Result<Option<(Vec<u8>, Vec<u8>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"DELETE FROM "PasskeyChallenge" c USING "PasskeyUser" u
           WHERE c."challengeId" = $1 AND c."sessionId" = $2 AND c."expiresAt" > $3
             AND u."userHandle" = c."userHandle" AND (u."profileId" = $4 OR u."adminId" = $5)
           RETURNING c.challenge, u."userHandle" AS user_handle"#,
        challenge_id,
        session_id.as_str(),
        now,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.challenge, row.user_handle)))
}

/// Returns the user handle of an account, which gets `drawn` if it has none. The account's row is
/// locked.
pub(super) async fn user_handle(
    conn: &mut PgConnection,
    owner: Owner<'_>,
    drawn: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<u8>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT "userHandle" FROM "PasskeyUser" WHERE "profileId" = $1 OR "adminId" = $2"#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(found) = found {
        return Ok(found);
    }
    sqlx::query!(
        r#"INSERT INTO "PasskeyUser" ("userHandle", "profileId", "adminId", "createdAt")
           VALUES ($1, $2, $3, $4)"#,
        drawn,
        owner.profile_id,
        owner.admin_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(drawn.to_vec())
}

/// Returns the names of an account.
pub(super) async fn account_names(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<AccountNames, sqlx::Error> {
    sqlx::query_as!(
        AccountNames,
        r#"SELECT email AS "email!",
                  concat_ws(' ', "firstName", nullif("lastName", '')) AS "display_name!"
           FROM "UserProfile" WHERE "profileId" = $1
           UNION ALL
           SELECT email, "displayName" FROM "AdminUser" WHERE "adminId" = $2"#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_one(conn)
    .await
}

/// Returns when a session was opened, or `None` if there is no such session.
pub(super) async fn session_opened_at(
    conn: &mut PgConnection,
    owner: Owner<'_>,
    session_id: &SessionId,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "createdAt" AS "created_at!" FROM "UserSession"
           WHERE "sessionId" = $1 AND "profileId" = $2
           UNION ALL
           SELECT "createdAt" FROM "AdminSession" WHERE "sessionId" = $1 AND "adminId" = $3"#,
        session_id.as_str(),
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_optional(conn)
    .await
}

/// Returns the credentials of an account.
pub(super) async fn credentials(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<Vec<KnownCredential>, sqlx::Error> {
    sqlx::query_as!(
        KnownCredential,
        r#"SELECT k."credentialId" AS credential_id, k.transports
           FROM "PasskeyUser" u JOIN "Passkey" k USING ("userHandle")
           WHERE u."profileId" = $1 OR u."adminId" = $2
           ORDER BY k."passkeyId""#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_all(conn)
    .await
}

/// Returns the passkeys of an account, the oldest first.
pub(super) async fn list(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<Vec<PasskeyRow>, sqlx::Error> {
    sqlx::query_as!(
        PasskeyRow,
        r#"SELECT k."passkeyId" AS passkey_id, k.name, k."isBackedUp" AS is_backed_up,
                  k."createdAt" AS created_at, k."lastUsedAt" AS last_used_at
           FROM "PasskeyUser" u JOIN "Passkey" k USING ("userHandle")
           WHERE u."profileId" = $1 OR u."adminId" = $2
           ORDER BY k."passkeyId""#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_all(conn)
    .await
}

/// Returns whether an account has a passkey.
pub(super) async fn exist(conn: &mut PgConnection, owner: Owner<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM "PasskeyUser" u JOIN "Passkey" k USING ("userHandle")
                          WHERE u."profileId" = $1 OR u."adminId" = $2) AS "exist!""#,
        owner.profile_id,
        owner.admin_id,
    )
    .fetch_one(conn)
    .await
}

/// Stores a passkey. Returns `false` if an account has its credential already.
pub(super) async fn insert(
    conn: &mut PgConnection,
    new: &NewPasskey<'_>,
) -> Result<bool, sqlx::Error> {
    let credential = new.credential;
    let done = sqlx::query!(
        r#"INSERT INTO "Passkey" ("passkeyId", "userHandle", "credentialId", "publicKey",
               "signCount", aaguid, transports, "isBackupEligible", "isBackedUp", name, "createdAt")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
           ON CONFLICT ("credentialId") DO NOTHING"#,
        new.passkey_id,
        new.user_handle,
        credential.id,
        credential.public_key,
        i64::from(credential.sign_count),
        credential.aaguid.as_slice(),
        new.transports,
        credential.is_backup_eligible,
        credential.is_backed_up,
        new.name,
        new.now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Returns the passkey with this credential, or `None` if there is none.
pub(super) async fn by_credential(
    conn: &mut PgConnection,
    credential_id: &[u8],
) -> Result<Option<FoundPasskey>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT k."passkeyId" AS passkey_id, k."userHandle" AS user_handle,
                  k."publicKey" AS public_key, k."isBackupEligible" AS is_backup_eligible,
                  u."profileId" AS profile_id, u."adminId" AS admin_id
           FROM "Passkey" k JOIN "PasskeyUser" u USING ("userHandle")
           WHERE k."credentialId" = $1"#,
        credential_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|row| {
        let person = row.profile_id.map(|id| Subject::User(id.into()));
        let subject = person.or_else(|| row.admin_id.map(|id| Subject::Admin(id.into())))?;
        let credential = StoredCredential {
            public_key: row.public_key,
            user_handle: row.user_handle,
            is_backup_eligible: row.is_backup_eligible,
        };
        Some(FoundPasskey { passkey_id: row.passkey_id, subject, credential })
    }))
}

/// Locks a passkey and returns its counter of signatures, or `None` if it was removed.
pub(super) async fn lock_sign_count(
    conn: &mut PgConnection,
    passkey_id: &str,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT "signCount" FROM "Passkey" WHERE "passkeyId" = $1 FOR UPDATE"#,
        passkey_id,
    )
    .fetch_optional(conn)
    .await
}

/// Stores the use of a passkey. The counter only grows, so that each use of a copy that is behind
/// is seen.
pub(super) async fn set_used(
    conn: &mut PgConnection,
    passkey_id: &str,
    verified: VerifiedAssertion,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"UPDATE "Passkey" SET "signCount" = greatest("signCount", $2), "isBackedUp" = $3,
               "lastUsedAt" = $4
           WHERE "passkeyId" = $1"#,
        passkey_id,
        i64::from(verified.sign_count),
        verified.is_backed_up,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes a passkey of an account. Returns `false` if the account has no such passkey.
pub(super) async fn delete(
    conn: &mut PgConnection,
    owner: Owner<'_>,
    passkey_id: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"DELETE FROM "Passkey" k USING "PasskeyUser" u
           WHERE k."passkeyId" = $1 AND u."userHandle" = k."userHandle"
             AND (u."profileId" = $2 OR u."adminId" = $3)"#,
        passkey_id,
        owner.profile_id,
        owner.admin_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes all passkeys of an account, and the challenges with which more could be added. Returns
/// the number of passkeys.
pub(super) async fn delete_all(
    conn: &mut PgConnection,
    owner: Owner<'_>,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"DELETE FROM "PasskeyChallenge" c USING "PasskeyUser" u
           WHERE u."userHandle" = c."userHandle" AND (u."profileId" = $1 OR u."adminId" = $2)"#,
        owner.profile_id,
        owner.admin_id,
    )
    .execute(&mut *conn)
    .await?;
    let done = sqlx::query!(
        r#"DELETE FROM "Passkey" k USING "PasskeyUser" u
           WHERE u."userHandle" = k."userHandle" AND (u."profileId" = $1 OR u."adminId" = $2)"#,
        owner.profile_id,
        owner.admin_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
