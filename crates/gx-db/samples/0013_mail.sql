INSERT INTO "QueuedMail" ("mailId", kind, "profileId", "adminId", content, "contentKeyVersion", state,
    attempts, claims, "nextAttemptAt", "expiresAt", "lastFailure", "createdAt", "settledAt")
VALUES
    ('waiting', 'EMAIL_VERIFICATION', 'participant', NULL, '\x00', 1, 'WAITING', 0, 0, now(), now(),
     NULL, now(), NULL),
    ('failed', 'PASSWORD_CHANGED', NULL, 'admin', '\x00', 1, 'FAILED', 1, 2, now(), now(),
     'SMTP 550', now(), now()),
    ('sent', 'PASSWORD_RESET', NULL, NULL, NULL, 1, 'SENT', 0, 1, now(), now(), NULL, now(), now());
INSERT INTO "MailToken" ("tokenId", purpose, "profileId", "adminId", address, "tokenHash", "codeHash",
    "createdAt", "codeExpiresAt", "expiresAt")
VALUES
    ('verify', 'VERIFY_EMAIL', 'participant', NULL, 'a@gxtest.com', '\x00', '\x00', now(), now(), now()),
    ('reset', 'RESET_PASSWORD', NULL, 'admin', 'b@gxtest.com', '\x01', NULL, now(), now(), now());
INSERT INTO "KnownDevice" ("deviceHash", "profileId", "adminId", "clientHash", "createdAt",
    "lastUsedAt", "expiresAt")
VALUES
    ('\x00', 'participant', NULL, '\x00', now(), now(), now()),
    ('\x01', NULL, 'admin', '\x00', now(), now(), now());
UPDATE "UserProfile" SET "emailVerifiedAt" = now() WHERE "profileId" = 'participant';
INSERT INTO "AdminUser" ("adminId", email, "displayName", role, "passwordHash", "createdAt",
    "updatedAt", "emailVerifiedAt")
VALUES ('verified-admin', 'verified@gxtest.com', 'Verified', 'AUDITOR', 'x', now(), now(), now());
