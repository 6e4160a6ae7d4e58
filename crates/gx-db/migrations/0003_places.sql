-- Beside each fact of the read model stands the place on the chain that wrote it: block,
-- transaction in the block, event in the transaction. An older event never overwrites a newer
-- fact, so an event that cannot be applied yet holds back no other event.
--
-- A place of -1 means: written by a release before this version. That release held back every
-- later event of the same account, so such a fact is older than each event that is not applied
-- yet. The defaults are constants: no table is rewritten.

-- The release before writes an owner for each person. From here on a person who is unknown
-- here has rows without an owner until an account is found.
ALTER TABLE "LedgerUser"
    ALTER COLUMN "profileId" DROP NOT NULL,
    -- A freeze may be known before the creation, which is a dead letter then.
    ALTER COLUMN "countryCode" DROP NOT NULL,
    ALTER COLUMN "createdTxId" DROP NOT NULL,
    ALTER COLUMN "createdAt" DROP NOT NULL,
    ADD COLUMN "createdCommandId" text,
    ADD COLUMN "grantBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "grantTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "grantEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "freezeBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "freezeTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "freezeEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "freezeSeenAt" timestamptz(3),
    ADD CONSTRAINT "LedgerUser_created" CHECK (
        ("createdTxId" IS NULL) = ("createdAt" IS NULL)
        AND ("createdTxId" IS NULL) = ("countryCode" IS NULL)
        AND ("createdTxId" IS NOT NULL
             OR "profileId" IS NULL AND "createdCommandId" IS NULL AND "genesisTxId" IS NULL))
        NOT VALID;
COMMENT ON COLUMN "LedgerUser"."profileId" IS
    'The owner; NULL as long as no account here has reserved the id or asked for its creation.';
COMMENT ON COLUMN "LedgerUser"."createdTxId" IS
    'NULL where only a freeze is known yet, because the creation is a dead letter.';
COMMENT ON COLUMN "LedgerUser"."createdCommandId" IS
    'The command that created the user; NULL where a release before version 3 wrote the row.';
COMMENT ON COLUMN "LedgerUser"."freezeSeenAt" IS
    'The latest ledger time of a freeze or of the end of one.';

ALTER TABLE "Wallet"
    DROP CONSTRAINT "Wallet_user_has_owner",
    ADD COLUMN "balanceBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "balanceTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "balanceEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "lockBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "lockTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "lockEventIndex" integer NOT NULL DEFAULT -1,
    ADD CONSTRAINT "Wallet_user_has_id" CHECK (
        (kind = 'USER') = ("fabricUserId" IS NOT NULL)
        AND (kind = 'USER' OR "profileId" IS NULL))
        NOT VALID;
COMMENT ON COLUMN "Wallet"."profileId" IS
    'The owner of a person''s wallet, as in LedgerUser.';
COMMENT ON COLUMN "Wallet"."asOfBlock" IS
    'The block of the newest change of the balance or of the lock; lastTxId and updatedAt belong to it.';

ALTER TABLE "LedgerCountry"
    ADD COLUMN "factsBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "factsTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "factsEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "countersBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "countersTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "countersEventIndex" integer NOT NULL DEFAULT -1;

ALTER TABLE "LedgerSystem"
    ADD COLUMN "bootstrapBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "bootstrapTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "bootstrapEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "pauseBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "pauseTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "pauseEventIndex" integer NOT NULL DEFAULT -1;

-- The copies of a rebuild.
ALTER TABLE gx_rebuild."LedgerUser"
    ALTER COLUMN "profileId" DROP NOT NULL,
    ALTER COLUMN "countryCode" DROP NOT NULL,
    ALTER COLUMN "createdTxId" DROP NOT NULL,
    ALTER COLUMN "createdAt" DROP NOT NULL,
    ADD COLUMN "createdCommandId" text,
    ADD COLUMN "grantBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "grantTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "grantEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "freezeBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "freezeTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "freezeEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "freezeSeenAt" timestamptz(3),
    ADD CONSTRAINT "LedgerUser_created" CHECK (
        ("createdTxId" IS NULL) = ("createdAt" IS NULL)
        AND ("createdTxId" IS NULL) = ("countryCode" IS NULL)
        AND ("createdTxId" IS NOT NULL
             OR "profileId" IS NULL AND "createdCommandId" IS NULL AND "genesisTxId" IS NULL))
        NOT VALID;
ALTER TABLE gx_rebuild."Wallet"
    DROP CONSTRAINT "Wallet_user_has_owner",
    ADD COLUMN "balanceBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "balanceTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "balanceEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "lockBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "lockTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "lockEventIndex" integer NOT NULL DEFAULT -1,
    ADD CONSTRAINT "Wallet_user_has_id" CHECK (
        (kind = 'USER') = ("fabricUserId" IS NOT NULL)
        AND (kind = 'USER' OR "profileId" IS NULL))
        NOT VALID;
ALTER TABLE gx_rebuild."LedgerCountry"
    ADD COLUMN "factsBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "factsTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "factsEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "countersBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "countersTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "countersEventIndex" integer NOT NULL DEFAULT -1;
ALTER TABLE gx_rebuild."LedgerSystem"
    ADD COLUMN "bootstrapBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "bootstrapTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "bootstrapEventIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "pauseBlock" bigint NOT NULL DEFAULT -1,
    ADD COLUMN "pauseTxIndex" integer NOT NULL DEFAULT -1,
    ADD COLUMN "pauseEventIndex" integer NOT NULL DEFAULT -1;

-- A task says how often it was begun, how far it came, and may end without being carried out.
-- The table is small: its rows are operators' requests.
ALTER TABLE "ProjectorTask"
    DROP CONSTRAINT "ProjectorTask_state_known",
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN progress jsonb,
    ADD CONSTRAINT "ProjectorTask_state_known" CHECK (
        state IN ('WAITING', 'DONE', 'FAILED', 'CANCELLED')),
    ADD CONSTRAINT "ProjectorTask_attempts_range" CHECK (attempts >= 0);
COMMENT ON COLUMN "ProjectorTask".attempts IS
    'How often a projector began the task, or its next part, and did not live to say so. Counted before the work; a projector that lives takes its count back.';
COMMENT ON COLUMN "ProjectorTask".progress IS
    'What was done so far, for a task that is carried out in parts.';
