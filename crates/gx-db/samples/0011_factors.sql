INSERT INTO "TotpFactor" ("factorId", "profileId", "adminId", secret, "secretKeyVersion", failures,
    "lastFailureAt", "createdAt", "confirmedAt")
VALUES
    ('factor', 'participant', NULL, '\x00', 1, 0, NULL, now(), NULL),
    ('admin-factor', NULL, 'admin', '\x00', 1, 1, now(), now(), now());
INSERT INTO "RecoveryCode" ("factorId", hash) VALUES ('admin-factor', '\x00');
