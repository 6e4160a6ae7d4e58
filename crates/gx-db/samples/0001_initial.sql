-- Rows for the tables of this version. Tests apply every later migration over them.

INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "phoneNum", "passwordHash",
    "dateOfBirth", gender, "nationalityCountryCode", "biometricHash", "createdAt", "updatedAt")
VALUES
    ('applicant', 'Ann', 'Other', 'ann@example.com', NULL, 'x', '1990-01-01', 'female', NULL,
     NULL, now(), now()),
    ('participant', 'Bob', 'Other', 'bob@example.com', '+60123456789', 'x', '1990-01-01', 'male',
     'MY', repeat('0a', 32), now(), now()),
    ('imported', 'Eve', 'Other', 'eve@example.com', NULL, 'x', '1990-01-01', 'female', 'MY',
     'not a hash', now(), now());
UPDATE "UserProfile" SET status = 'PENDING_ADMIN_APPROVAL' WHERE "profileId" = 'participant';
UPDATE "UserProfile" SET status = 'APPROVED_PENDING_ONCHAIN' WHERE "profileId" = 'participant';
UPDATE "UserProfile"
SET status = 'ACTIVE', "onchainStatus" = 'REGISTERED', "onchainRegisteredAt" = now(),
    "fabricUserId" = 'MY 3C6 AUN617 0UMCP 7983'
WHERE "profileId" = 'participant';

INSERT INTO "UserSession" ("sessionId", "profileId", "refreshId", "refreshHash", "rotatedAt",
    "lastUsedAt", "expiresAt", "createdAt")
VALUES ('session', 'participant', 'refresh', '\x00', now(), now(), now(), now());
INSERT INTO "AdminUser" ("adminId", email, "displayName", "passwordHash", role, "createdAt",
    "updatedAt")
VALUES ('admin', 'admin@example.com', 'Admin', 'x', 'SUPER_ADMIN', now(), now());
INSERT INTO "AdminSession" ("sessionId", "adminId", "refreshId", "refreshHash", "rotatedAt",
    "lastUsedAt", "expiresAt", "createdAt")
VALUES ('session', 'admin', 'refresh', '\x00', now(), now(), now(), now());
INSERT INTO "AuditLog" (seq, at, "actorType", action, "targetType", "previousHash", hash)
VALUES (1, now(), 'SYSTEM', 'sample', 'system', '\x00', '\x01');
INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status, "contentType", body,
    "createdAt", "expiresAt")
VALUES ('participant', 'POST /sample', 'key', '\x00', 200, 'application/json', '\x7b7d', now(),
    now());
INSERT INTO "Notification" ("notificationId", "profileId", kind, payload, "createdAt")
VALUES ('notification', 'participant', 'APPROVED', '{}', now());

INSERT INTO "KYCVerification" ("verificationId", "profileId", submission, "submittedAt")
VALUES ('verification', 'participant', 1, now());
INSERT INTO "KYCDocument" ("documentId", "profileId", type, status, "storageKey", sha256, size,
    "mimeType", "uploadedAt")
VALUES ('document', 'participant', 'PASSPORT', 'STORED', 'key', repeat('0a', 32), 1, 'image/png',
    now());
INSERT INTO "FabricIdReservation" ("fabricUserId", "profileId", "commandId", "reservedAt")
VALUES ('MY 3C6 AUN617 0UMCP 7983', 'participant', 'create', now());

INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey", lane,
    touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt")
VALUES ('grant', 'DISTRIBUTE_GENESIS', '{}', 'ADMIN', 'user', 0, '{user}', 'sample', now(), now(),
    now());
INSERT INTO "OutboxTry" ("commandIds", lanes, "startedAt") VALUES ('{grant}', '{0}', now());
INSERT INTO "LedgerAttempt" ("txId", purpose, "commandIds", touches, envelope, "genesisHash",
    "nextSendAt", "createdAt")
VALUES ('tx', 'EXECUTE', '{grant}', '{user}', '\x00', '\x00', now(), now());
SELECT "Archive_month"(now());
INSERT INTO "OutboxArchive" (number, "commandId", kind, payload, "signerRole", "aggregateKey", lane,
    touches, "requestedBy", status, attempts, failures, returned, "nextAttemptAt", "createdAt",
    "updatedAt", "settledAt")
VALUES (-1, 'create', 'CREATE_USER', '{}', 'ADMIN', 'user', 0, '{user}', 'sample', 'COMMITTED', 1,
    '{}', false, now(), now(), now(), now());
INSERT INTO "LedgerAttemptArchive" ("txId", purpose, "commandIds", state, sends, "nextSendAt",
    "createdAt", "settledAt")
VALUES ('old tx', 'EXECUTE', '{create}', 'VALID', 1, now(), now(), now());

INSERT INTO "LedgerTip" (channel, height, writer, "firstSeenAt", "contactAt")
VALUES ('gxchannel', 3, 'sample', now(), now());
INSERT INTO "ProjectorState" (channel, "blockNumber", "blockHash", "genesisHash", "updatedAt")
VALUES ('gxchannel', 2, '\x00', '\x00', now());
INSERT INTO "ProjectorTask" ("taskId", channel, kind, arguments, "requestedBy", "requestedAt")
VALUES ('task', 'gxchannel', 'VERIFY_PROJECTION', '{}', 'sample', now());
INSERT INTO "EventLog" (channel, "blockNumber", "txIndex", "eventIndex", "txId", "commandId",
    "eventName", payload, "ledgerAt")
VALUES ('gxchannel', 2, 0, 0, 'old tx', 'create', 'UserCreated', '{}', now());
INSERT INTO "EventDLQ" (channel, "blockNumber", "txIndex", "eventIndex", "txId", "commandId",
    aggregates, payload, reason, "ledgerAt", "createdAt")
VALUES ('gxchannel', 2, 0, 1, 'old tx', 'create', '{user}', '{}', 'sample', now(), now());

INSERT INTO "LedgerSystem" (channel) VALUES ('gxchannel');
INSERT INTO "LedgerCountry" ("countryCode", name, "sharePpb") VALUES ('MY', 'Malaysia', 1);
INSERT INTO "LedgerPool" ("poolId", "startBalance") VALUES ('sample', 1) ON CONFLICT DO NOTHING;
INSERT INTO "LedgerPoolMove" ("poolId", "txId", amount, at, kind)
VALUES ('sample', 'old tx', 1, now(), 'FEE');
INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId", "createdAt")
VALUES ('MY 3C6 AUN617 0UMCP 7983', 'participant', 'MY', 'old tx', now());
INSERT INTO "Wallet" ("walletId", "accountId", kind, "fabricUserId", "profileId", balance,
    "asOfBlock", "lastTxId", "createdAt", "updatedAt")
VALUES ('wallet', 'MY 3C6 AUN617 0UMCP 7983', 'USER', 'MY 3C6 AUN617 0UMCP 7983', 'participant', 1,
    2, 'old tx', now(), now());
INSERT INTO "Transaction" (id, "accountId", counterparty, direction, type, amount, fee,
    "onChainTxId", "commandId", "blockNumber", "eventIndex", at)
VALUES ('transaction', 'MY 3C6 AUN617 0UMCP 7983', 'treasury_MY', 'IN', 'TRANSFER', 1, 0, 'old tx',
    'create', 2, 0, now());
INSERT INTO "TransferRemark" ("commandId", remark) VALUES ('create', 'sample');

-- Rows with a value in every column that may be NULL.

UPDATE "UserProfile"
SET "deletedAt" = now(), "denialFinality" = 'RETRY', "denialReason" = 'sample',
    "identityNum" = 'A1', "lastSyncedAt" = now(), "lockNotes" = 'sample', "lockReason" = 'OTHER',
    "lockedAt" = now(), "lockedBy" = 'admin', "reviewedAt" = now(), "reviewedBy" = 'admin'
WHERE "profileId" = 'imported';
INSERT INTO "UserSession"
SELECT (jsonb_populate_record(s, '{"sessionId": "ended", "refreshId": "ended", "refreshHash": "\\x01",
    "clientAddress": "192.0.2.1", "userAgent": "sample", "previousRefreshHash": "\\x00",
    "revokedAt": "2026-01-01", "revokedBecause": "sample"}')).* FROM "UserSession" s;
INSERT INTO "AdminSession"
SELECT (jsonb_populate_record(s, '{"sessionId": "ended", "refreshId": "ended", "refreshHash": "\\x01",
    "clientAddress": "192.0.2.1", "userAgent": "sample", "previousRefreshHash": "\\x00",
    "revokedAt": "2026-01-01", "revokedBecause": "sample"}')).* FROM "AdminSession" s;
INSERT INTO "AuditLog" (seq, at, "actorType", "actorId", action, "targetType", "targetId",
    "requestId", before, after, "previousHash", hash)
VALUES (2, now(), 'ADMIN', 'admin', 'sample', 'user', 'participant', 'request', '{}', '{}', '\x01',
    '\x02');
INSERT INTO "Notification"
SELECT (jsonb_populate_record(n, '{"notificationId": "read", "readAt": "2026-01-01"}')).*
FROM "Notification" n;
INSERT INTO "KYCVerification"
SELECT (jsonb_populate_record(v, '{"verificationId": "denied", "submission": 2,
    "status": "DENIED", "decidedAt": "2026-01-01", "decidedBy": "admin", "reasonCode": "OTHER",
    "finality": "RETRY", "publicComment": "sample", "privateComment": "sample"}')).*
FROM "KYCVerification" v;
INSERT INTO "KYCDocument"
SELECT (jsonb_populate_record(d, '{"documentId": "identity card", "verificationId": "denied",
    "type": "NATIONAL_ID", "side": "front", "documentNumber": "A1", "issuingCountry": "MY",
    "issuedDate": "2020-01-01", "expiryDate": "2030-01-01", "storageKey": "other"}')).*
FROM "KYCDocument" d;
INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey", lane,
    touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt", "blockNumber", "giveUp",
    "lastError", "profileId", "requestId", "settledAt", "submittedAt", "txId", outcome, status)
VALUES ('refused', 'DISTRIBUTE_GENESIS', '{}', 'ADMIN', 'user', 0, '{user}', 'sample', now(),
    now(), now(), 2, '{}', 'sample', 'participant', 'request', now(), now(), 'tx', '{}', 'REFUSED');
INSERT INTO "OutboxCommand" ("commandId", kind, payload, "signerRole", "aggregateKey", lane,
    touches, "requestedBy", "nextAttemptAt", "createdAt", "updatedAt", prerequisite, status)
VALUES ('blocked', 'TRANSFER', '{}', 'ADMIN', 'user', 0, '{user}', 'sample', now(), now(), now(),
    '{}', 'BLOCKED');
UPDATE "OutboxLane" SET owner = 'sample' WHERE lane = 0;
INSERT INTO "LedgerAttempt" ("txId", purpose, "commandIds", touches, envelope, "genesisHash",
    "nextSendAt", "createdAt", state, "settledAt", "blockNumber", "refusedAtHeight", "errorClass",
    "errorDetail", "validationCode")
VALUES ('invalid tx', 'EXECUTE', '{grant}', '{user}', '\x00', '\x00', now(), now(), 'INVALID',
    now(), 2, 2, 'INVALID', 'sample', 'MVCC_READ_CONFLICT');
INSERT INTO "OutboxArchive" (number, "commandId", kind, payload, "signerRole", "aggregateKey", lane,
    touches, "requestedBy", status, attempts, failures, returned, "nextAttemptAt", "createdAt",
    "updatedAt", "settledAt", "blockNumber", "giveUp", "lastError", "profileId", "requestId",
    "submittedAt", "txId", outcome)
VALUES (-2, 'refused long ago', 'TRANSFER', '{}', 'ADMIN', 'user', 0, '{user}', 'sample', 'REFUSED',
    1, '{}', false, now(), now(), now(), now(), 2, '{}', 'sample', 'participant', 'request', now(),
    'old tx', '{}');
INSERT INTO "LedgerAttemptArchive" ("txId", purpose, "commandIds", state, sends, "nextSendAt",
    "createdAt", "settledAt", "blockNumber", "errorClass", "errorDetail", "validationCode")
VALUES ('old invalid tx', 'EXECUTE', '{create}', 'INVALID', 1, now(), now(), now(), 2, 'INVALID',
    'sample', 'MVCC_READ_CONFLICT');
INSERT INTO "ProjectorTask" ("taskId", channel, kind, arguments, "requestedBy", "requestedAt",
    state, "finishedAt", report)
VALUES ('done', 'gxchannel', 'VERIFY_PROJECTION', '{}', 'sample', now(), 'DONE', now(), '{}');
INSERT INTO "EventDLQ" (channel, "blockNumber", "txIndex", "eventIndex", "txId", "commandId",
    "eventName", aggregates, payload, reason, state, "resolvedAt", "ledgerAt", "createdAt")
VALUES ('gxchannel', 2, 0, 2, 'old tx', 'create', 'UserCreated', '{user}', '{}', 'sample',
    'REPLAYED', now(), now(), now());
INSERT INTO "LedgerSystem" (channel, "bootstrappedAt", "bootstrappedTxId", "isPaused",
    "pauseReason", "pausedAt")
VALUES ('otherchannel', now(), 'old tx', true, 'sample', now());
INSERT INTO "LedgerUser" ("fabricUserId", "profileId", "countryCode", "createdTxId", "createdAt",
    "frozenReason", "genesisAmount", "genesisPhase", "genesisRefusal", "genesisTxId")
VALUES ('MY AED AUN617 0UMCP 7983', 'applicant', 'MY', 'old tx', now(), 'COURT_ORDER', 1, 1,
    'sample', 'old tx');
INSERT INTO "Wallet" ("walletId", "accountId", kind, balance, "asOfBlock", "lastTxId", "createdAt",
    "updatedAt")
VALUES ('treasury', 'treasury_MY', 'TREASURY', 1, 2, 'old tx', now(), now());
