INSERT INTO "KYCDocument" ("documentId", "profileId", type, status, "storageKey", sha256, size,
    "mimeType", "uploadedAt", "wrappedKey", facts, "numberFingerprint", "fingerprintKeyVersion",
    "pageCount", "scannedAt", "erasedAt")
VALUES ('encrypted', 'participant', 'PASSPORT', 'STORED', 'encrypted', repeat('0b', 32), 1,
        'image/png', now(), '\x01', '\x02', '\x03', 1, 1, now(), NULL),
       ('erased', 'participant', 'PASSPORT', 'STORED', 'erased', repeat('00', 32), 1,
        'image/png', now(), NULL, NULL, NULL, NULL, NULL, NULL, now());
INSERT INTO "DocumentObject" ("storageKey", "profileId", state, since)
VALUES ('upload', 'participant', 'UPLOAD', now());
INSERT INTO "PersonErasure" ("recordName", "profileId", "reasonCode", "erasedAt", "appliedAt")
VALUES (repeat('0c', 32), 'gone', 'REQUESTED', now(), now());
