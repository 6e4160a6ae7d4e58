INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status, "contentType", body,
    "createdAt", "expiresAt", "fingerprintKeyVersion")
VALUES ('participant', '/sample', 'keyed', '\x00', 200, 'application/json', '{}', now(), now(), 1);
INSERT INTO "TokenKey" ("keyId", secret, "secretKeyVersion", "createdAt", "signsFrom", "retiredAt")
VALUES ('signing', '\x00', 1, now(), now(), NULL),
       ('retired', NULL, 1, now(), now() - interval '1 day', now());
INSERT INTO "AuditText" (seq, field, salt, text, "erasedBy")
SELECT min(seq), 'reason', '\x01'::bytea, 'a text', NULL FROM "AuditEntry"
UNION ALL SELECT min(seq), 'notes', NULL, NULL, max(seq) FROM "AuditEntry";
