-- The audit log without a line of writers in front of it: entries are inserted freely, and sealed
-- in batches later. "AuditLog" stays as the chain that earlier releases wrote and, until the last
-- of them stops, still write.

CREATE TABLE "AuditEntry" (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz(3) NOT NULL,
    "actorType"  text           NOT NULL,
    "actorId"    text,
    action       text           NOT NULL,
    "targetType" text           NOT NULL,
    "targetId"   text,
    before       jsonb,
    after        jsonb,
    "requestId"  text,
    CONSTRAINT "AuditEntry_actorType_known" CHECK ("actorType" IN ('USER', 'ADMIN', 'SYSTEM'))
);
COMMENT ON TABLE "AuditEntry" IS
    'Who did what. Numbers of transactions that were rolled back are missing, and that is no fault.';
CREATE INDEX "AuditEntry_target_idx" ON "AuditEntry" ("targetType", "targetId", seq);
-- Lists show the chain's rows and the entries by one number. The distance is room for the rows that
-- earlier releases write while they are being replaced.
SELECT setval(pg_get_serial_sequence('"AuditEntry"', 'seq'), max(seq) + 1000000)
FROM "AuditLog" HAVING max(seq) IS NOT NULL;

CREATE TABLE "AuditUnsealed" (
    seq bigint PRIMARY KEY,
    at  timestamptz(3) NOT NULL
);
COMMENT ON TABLE "AuditUnsealed" IS
    'The entries that wait to be sealed, each from the transaction that inserted it.';

CREATE TABLE "AuditBatch" (
    number         bigint PRIMARY KEY,
    "sealedAt"     timestamptz(3) NOT NULL,
    -- Of batch 0, the rows of the chain.
    entries        bigint         NOT NULL,
    root           bytea          NOT NULL,
    -- The last row of "AuditLog" when the batch was sealed.
    "chainSeq"     bigint         NOT NULL,
    "chainHash"    bytea          NOT NULL,
    "previousHash" bytea          NOT NULL,
    hash           bytea          NOT NULL,
    CONSTRAINT "AuditBatch_hash_key" UNIQUE (hash)
);

CREATE TABLE "AuditSealed" (
    seq        bigint PRIMARY KEY,
    batch      bigint  NOT NULL REFERENCES "AuditBatch" (number),
    position   integer NOT NULL,
    "leafHash" bytea   NOT NULL,
    CONSTRAINT "AuditSealed_batch_position_key" UNIQUE (batch, position)
);

CREATE TRIGGER "AuditEntry_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "AuditEntry"
    FOR EACH STATEMENT EXECUTE FUNCTION "AuditLog_append_only"();
CREATE TRIGGER "AuditBatch_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "AuditBatch"
    FOR EACH STATEMENT EXECUTE FUNCTION "AuditLog_append_only"();
CREATE TRIGGER "AuditSealed_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "AuditSealed"
    FOR EACH STATEMENT EXECUTE FUNCTION "AuditLog_append_only"();
