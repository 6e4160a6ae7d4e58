INSERT INTO "PasskeyUser" ("userHandle", "profileId", "adminId", "createdAt")
VALUES (decode(repeat('01', 32), 'hex'), 'participant', NULL, now()),
       (decode(repeat('02', 32), 'hex'), NULL, 'admin', now());
INSERT INTO "Passkey" ("passkeyId", "userHandle", "credentialId", "publicKey", "signCount", aaguid,
    transports, "isBackupEligible", "isBackedUp", name, "createdAt", "lastUsedAt")
VALUES ('passkey', decode(repeat('01', 32), 'hex'), '\x01', '\x00', 0, decode(repeat('00', 16), 'hex'),
        '{internal}', true, true, 'Telephone', now(), NULL),
       ('admin-passkey', decode(repeat('02', 32), 'hex'), '\x02', '\x00', 7, decode(repeat('00', 16), 'hex'),
        '{}', false, false, 'Key', now(), now());
INSERT INTO "PasskeyChallenge" ("challengeId", challenge, realm, "userHandle", "sessionId", "expiresAt")
VALUES ('adding', '\x00', 'user', decode(repeat('01', 32), 'hex'), 'session', now()),
       ('signing-in', '\x00', 'admin', NULL, NULL, now());
