INSERT INTO "HttpIdempotency" (principal, route, key, fingerprint, status, "contentType", body,
    "createdAt", "expiresAt", "fingerprintKeyVersion")
VALUES ('participant', '/sample', 'keyed', '\x00', 200, 'application/json', '{}', now(), now(), 1);
