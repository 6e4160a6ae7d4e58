-- A failure that hits every command says nothing about one. A command keeps what its failures
-- say of it, so that it is charged only when it fails alone and another envelope is valid
-- afterwards, and so that what failed together is next tried in halves.
--
-- A valid envelope of one signer says nothing about another signer's, whose certificate may have
-- expired: so an envelope keeps who signed it.
--
-- All columns come last in their tables, in the archive and in a rebuild's copies: the
-- archive takes whole rows.

ALTER TABLE "OutboxCommand" ADD COLUMN together text, ADD COLUMN suspicion jsonb;
ALTER TABLE "OutboxArchive" ADD COLUMN together text, ADD COLUMN suspicion jsonb;
ALTER TABLE gx_rebuild."OutboxCommand" ADD COLUMN together text, ADD COLUMN suspicion jsonb;
COMMENT ON COLUMN "OutboxCommand".together IS
    'Tag of the commands with which its next envelope may be shared; null: any. Set when an envelope or a proposal of several failed: its halves go separately.';
COMMENT ON COLUMN "OutboxCommand".suspicion IS
    '{since, alone}: when it first failed in each class, and the failure that it met alone, which is charged once another envelope is valid afterwards.';

ALTER TABLE "LedgerAttempt" ADD COLUMN "signerRole" text;
ALTER TABLE "LedgerAttemptArchive" ADD COLUMN "signerRole" text;
ALTER TABLE gx_rebuild."LedgerAttempt" ADD COLUMN "signerRole" text;
COMMENT ON COLUMN "LedgerAttempt"."signerRole" IS
    'Role whose key signed the envelope; null: an earlier release stored it.';
