-- Indexes of versions 5 and 6 on tables that grow, and payments that can never happen.

-- index: "EventDLQ_heldCommand_idx"
-- Whether the creation that a command brought is a dead letter.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "EventDLQ_heldCommand_idx" ON "EventDLQ" ("commandId")
    WHERE state = 'HELD';
-- index: "LedgerAttempt_judged_idx"
-- The last envelopes that were judged, in the order of the chain: whether the ledger carries
-- anything out at present. An abandoned one counts at the last block that existed.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "LedgerAttempt_judged_idx"
    ON "LedgerAttempt" ((coalesce("blockNumber", "refusedAtHeight" - 1)))
    WHERE "settledAt" IS NOT NULL AND coalesce("blockNumber", "refusedAtHeight" - 1) IS NOT NULL;
-- step: the same of a rebuild's copy, which is empty
CREATE INDEX "LedgerAttempt_judged_idx"
    ON gx_rebuild."LedgerAttempt" ((coalesce("blockNumber", "refusedAtHeight" - 1)))
    WHERE "settledAt" IS NOT NULL AND coalesce("blockNumber", "refusedAtHeight" - 1) IS NOT NULL;
-- batches: cancelled payments are discarded
-- A payment whose id the ledger has cancelled can never happen: its debit is released. Earlier
-- releases left it DEAD, which nobody could retry.
UPDATE "OutboxCommand"
SET status = 'DISCARDED', "settledAt" = now(), "updatedAt" = now()
WHERE "commandId" IN (
    SELECT "commandId" FROM "OutboxCommand"
    WHERE kind = 'TRANSFER' AND status = 'DEAD' AND "settledAt" IS NULL
      AND outcome ->> 'status' = 'CANCELLED'
    LIMIT 1000);
