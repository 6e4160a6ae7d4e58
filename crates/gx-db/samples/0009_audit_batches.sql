INSERT INTO "AuditEntry" (at, "actorType", action, "targetType")
VALUES (now(), 'SYSTEM', 'sample', 'system');
INSERT INTO "AuditEntry" (at, "actorType", "actorId", action, "targetType", "targetId", "requestId",
    before, after)
VALUES (now(), 'ADMIN', 'admin', 'sample', 'user', 'participant', 'request', '{}', '{}');
INSERT INTO "AuditUnsealed" (seq, at) SELECT max(seq), now() FROM "AuditEntry";
INSERT INTO "AuditBatch" (number, "sealedAt", entries, root, "chainSeq", "chainHash",
    "previousHash", hash)
VALUES (0, now(), 2, '\x02', 2, '\x02', '\x00', '\x03');
INSERT INTO "AuditSealed" (seq, batch, position, "leafHash")
SELECT min(seq), 0, 0, '\x04' FROM "AuditEntry";
