//! SQL of what GX keeps about a person. Called by the parent module. Rows are objects for the
//! export: hashes, secrets and what reviewers write for each other are left out.

use gx_db::{PgConnection, ProfileId};
use serde_json::Value;

/// The place of a row in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowKey {
    pub(super) major: i64,
    pub(super) minor: i32,
    pub(super) id: String,
}

/// A row of a list.
pub(super) struct ExportRow {
    pub(super) major: i64,
    pub(super) minor: i32,
    pub(super) id: String,
    pub(super) item: Value,
}

impl RowKey {
    /// The place before the first row.
    pub(super) const fn start() -> Self {
        Self { major: i64::MIN, minor: i32::MIN, id: String::new() }
    }
}

/// Returns the facts about a person and the account.
pub(super) async fn profile(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Value, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT jsonb_build_object(
               'profileId', "profileId", 'firstName', "firstName",
               'lastName', nullif("lastName", ''), 'email', email, 'mailbox', mailbox,
               'emailVerifiedAt', "emailVerifiedAt", 'phoneNum', "phoneNum",
               'identityNum', "identityNum", 'dateOfBirth', "dateOfBirth", 'gender', gender,
               'nationalityCountryCode', "nationalityCountryCode", 'status', status,
               'denialFinality', "denialFinality", 'denialReason', "denialReason",
               'reviewedAt', "reviewedAt", 'reviewSince', "reviewSince",
               'isLocked', "isLocked", 'lockReason', "lockReason", 'lockedAt', "lockedAt",
               'fabricUserId', "fabricUserId", 'onchainStatus', "onchainStatus",
               'onchainRegisteredAt', "onchainRegisteredAt", 'lastSyncedAt', "lastSyncedAt",
               'createdAt', "createdAt", 'updatedAt', "updatedAt", 'closedAt', "closedAt")
               AS "profile!"
           FROM "UserProfile" WHERE "profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_one(conn)
    .await
}

/// Returns the wallet and the place on the ledger. Amounts are in Qirat.
pub(super) async fn wallet(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT jsonb_build_object(
               'walletId', w."walletId", 'fabricUserId', w."fabricUserId",
               'countryCode', u."countryCode", 'balance', w.balance, 'asOfBlock', w."asOfBlock",
               'isFrozen', u."isFrozen", 'frozenReason', u."frozenReason",
               'genesisAmount', u."genesisAmount", 'createdTxId', u."createdTxId",
               'createdAt', w."createdAt", 'updatedAt', w."updatedAt") AS "wallet!"
           FROM "Wallet" w LEFT JOIN "LedgerUser" u ON u."fabricUserId" = w."accountId"
           WHERE w."profileId" = $1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns sessions of the person after the key.
pub(super) async fn sessions(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT 0::bigint AS "major!", 0 AS "minor!", "sessionId" AS "id!",
               jsonb_build_object(
                   'sessionId', "sessionId", 'createdAt', "createdAt",
                   'lastUsedAt', "lastUsedAt", 'expiresAt', "expiresAt",
                   'revokedAt', "revokedAt", 'revokedBecause', "revokedBecause",
                   'userAgent', "userAgent", 'clientAddress', "clientAddress") AS "item!"
           FROM "UserSession" WHERE "profileId" = $1 AND "sessionId" > $2
           ORDER BY "sessionId" LIMIT $3"#,
        profile_id.as_str(),
        after.id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns devices from which the person has signed in, after the key.
pub(super) async fn devices(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT 0::bigint AS "major!", 0 AS "minor!", encode("deviceHash", 'hex') AS "id!",
               jsonb_build_object('createdAt', "createdAt", 'lastUsedAt', "lastUsedAt",
                   'expiresAt', "expiresAt") AS "item!"
           FROM "KnownDevice" WHERE "profileId" = $1 AND encode("deviceHash", 'hex') > $2
           ORDER BY 3 LIMIT $3"#,
        profile_id.as_str(),
        after.id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns passkeys and the authenticator of the person, after the key.
pub(super) async fn factors(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT 0::bigint AS "major!", 0 AS "minor!", id AS "id!", item AS "item!" FROM (
               SELECT p."passkeyId" AS id, jsonb_build_object('kind', 'PASSKEY', 'name', p.name,
                   'createdAt', p."createdAt", 'lastUsedAt', p."lastUsedAt",
                   'isBackedUp', p."isBackedUp", 'transports', p.transports) AS item
               FROM "PasskeyUser" u JOIN "Passkey" p ON p."userHandle" = u."userHandle"
               WHERE u."profileId" = $1
               UNION ALL
               SELECT "factorId", jsonb_build_object('kind', 'TOTP', 'createdAt', "createdAt",
                   'confirmedAt', "confirmedAt")
               FROM "TotpFactor" WHERE "profileId" = $1
           ) AS factor
           WHERE id > $2 ORDER BY id LIMIT $3"#,
        profile_id.as_str(),
        after.id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns mails and links to the person, and notifications, after the key. What a mail says is not
/// kept once it was sent.
pub(super) async fn messages(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT 0::bigint AS "major!", 0 AS "minor!", id AS "id!", item AS "item!" FROM (
               SELECT "mailId" AS id, jsonb_build_object('medium', 'MAIL', 'kind', kind,
                   'state', state, 'createdAt', "createdAt", 'settledAt', "settledAt") AS item
               FROM "QueuedMail" WHERE "profileId" = $1
               UNION ALL
               SELECT "tokenId", jsonb_build_object('medium', 'LINK', 'kind', purpose,
                   'address', address, 'createdAt', "createdAt", 'expiresAt', "expiresAt")
               FROM "MailToken" WHERE "profileId" = $1
               UNION ALL
               SELECT "notificationId", jsonb_build_object('medium', 'NOTIFICATION', 'kind', kind,
                   'content', payload, 'createdAt', "createdAt", 'readAt', "readAt")
               FROM "Notification" WHERE "profileId" = $1
           ) AS message
           WHERE id > $2 ORDER BY id LIMIT $3"#,
        profile_id.as_str(),
        after.id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns submissions for review with their decisions, after the key.
pub(super) async fn submissions(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT submission::bigint AS "major!", 0 AS "minor!", '' AS "id!",
               jsonb_build_object('submission', submission, 'status', status,
                   'submittedAt', "submittedAt", 'decidedAt', "decidedAt",
                   'reasonCode', "reasonCode", 'finality', finality,
                   'publicComment', "publicComment") AS "item!"
           FROM "KYCVerification" WHERE "profileId" = $1 AND submission > $2::bigint
           ORDER BY submission LIMIT $3"#,
        profile_id.as_str(),
        after.major,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns movements of the person's wallet after the key, with the remarks of payers. Amounts are
/// in Qirat.
pub(super) async fn transactions(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT "blockNumber" AS "major!", "eventIndex" AS "minor!", id AS "id!",
               jsonb_build_object('id', id, 'onChainTxId', "onChainTxId",
                   'blockNumber', "blockNumber", 'type', type, 'direction', direction,
                   'counterparty', counterparty, 'amount', amount, 'fee', fee, 'remark', remark,
                   'at', at) AS "item!"
           FROM "Transaction" LEFT JOIN "TransferRemark" USING ("commandId")
           WHERE "accountId" = (SELECT w."accountId" FROM "Wallet" w WHERE w."profileId" = $1)
             AND ("blockNumber", "eventIndex", id) > ($2, $3, $4)
           ORDER BY "blockNumber", "eventIndex", id LIMIT $5"#,
        profile_id.as_str(),
        after.major,
        after.minor,
        after.id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns commands about the person after the key.
pub(super) async fn commands(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT number AS "major!", 0 AS "minor!", '' AS "id!",
               jsonb_build_object('commandId', "commandId", 'kind', kind, 'status', status,
                   'createdAt', "createdAt", 'settledAt', "settledAt", 'txId', "txId",
                   'blockNumber', "blockNumber") AS "item!"
           FROM "OutboxHistory" WHERE "profileId" = $1 AND number > $2
           ORDER BY number LIMIT $3"#,
        profile_id.as_str(),
        after.major,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns requests of the person whose answers are kept for repetitions, after the key.
pub(super) async fn requests(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT 0::bigint AS "major!", 0 AS "minor!", route || ' ' || key AS "id!",
               jsonb_build_object('route', route, 'key', key, 'createdAt', "createdAt",
                   'expiresAt', "expiresAt") AS "item!"
           FROM "HttpIdempotency" WHERE principal = $1 AND route || ' ' || key > $2
           ORDER BY 3 LIMIT $3"#,
        profile_id.as_str(),
        after.id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns entries of the audit log about the person and the documents, after the key. Legal holds
/// and notes of reviewers are left out.
pub(super) async fn audit_entries(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    after: &RowKey,
    limit: i64,
) -> Result<Vec<ExportRow>, sqlx::Error> {
    sqlx::query_as!(
        ExportRow,
        r#"SELECT seq AS "major!", 0 AS "minor!", '' AS "id!",
               jsonb_build_object('at', at, 'action', action, 'by', "actorType",
                   'targetType', "targetType", 'targetId', "targetId") AS "item!"
           FROM (
               (SELECT seq, at, action, "actorType", "targetType", "targetId"
                FROM "AuditEntry"
                WHERE "targetType" = 'UserProfile' AND "targetId" = $1 AND seq > $2
                  AND action NOT IN ('user.legal_hold_set', 'user.legal_hold_ended',
                                     'user.note_added')
                ORDER BY seq LIMIT $3)
               UNION ALL
               (SELECT e.seq, e.at, e.action, e."actorType", e."targetType", e."targetId"
                FROM "KYCDocument" d JOIN "AuditEntry" e
                    ON e."targetType" = 'KYCDocument' AND e."targetId" = d."documentId"
                WHERE d."profileId" = $1 AND e.seq > $2
                ORDER BY e.seq LIMIT $3)
           ) AS entry
           ORDER BY seq LIMIT $3"#,
        profile_id.as_str(),
        after.major,
        limit,
    )
    .fetch_all(conn)
    .await
}
