UPDATE "OutboxCommand" SET together = 'batch', suspicion = '{}' WHERE "commandId" = 'grant';
INSERT INTO "OutboxArchive"
SELECT (jsonb_populate_record(a, '{"number": -3, "commandId": "suspected", "together": "batch",
    "suspicion": {}}')).* FROM "OutboxArchive" a WHERE "commandId" = 'create';
UPDATE "LedgerAttempt" SET "signerRole" = 'ADMIN' WHERE "txId" = 'tx';
INSERT INTO "LedgerAttemptArchive"
SELECT (jsonb_populate_record(a, '{"txId": "signed tx", "signerRole": "ADMIN"}')).*
FROM "LedgerAttemptArchive" a WHERE "txId" = 'old tx';
