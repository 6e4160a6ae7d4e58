-- What version 3 left unchecked so that it held its locks for a moment only: the rows that were
-- there before it, and the indexes.

-- step: people are created whole
ALTER TABLE "LedgerUser" VALIDATE CONSTRAINT "LedgerUser_created";
ALTER TABLE gx_rebuild."LedgerUser" VALIDATE CONSTRAINT "LedgerUser_created";
-- step: people's wallets have an id
ALTER TABLE "Wallet" VALIDATE CONSTRAINT "Wallet_user_has_id";
ALTER TABLE gx_rebuild."Wallet" VALIDATE CONSTRAINT "Wallet_user_has_id";
-- index: "LedgerUser_unowned_idx"
-- People whose owner is looked for.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "LedgerUser_unowned_idx" ON "LedgerUser" ("fabricUserId")
    WHERE "profileId" IS NULL;
-- index: "LedgerUser_uncreated_idx"
-- People of whom only a freeze is known: hardly ever anybody, and asked for with each creation.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "LedgerUser_uncreated_idx" ON "LedgerUser" ("fabricUserId")
    WHERE "createdTxId" IS NULL;
-- index: "EventDLQ_heldPlace_idx"
-- Held events in the chain's order, for a replay and for counting them.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "EventDLQ_heldPlace_idx"
    ON "EventDLQ" (channel, "blockNumber", "txIndex", "eventIndex") WHERE state = 'HELD';
-- index: "EventDLQ_heldId_idx"
-- Held events by number, for lists.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "EventDLQ_heldId_idx" ON "EventDLQ" ("deadEventId")
    WHERE state = 'HELD';
