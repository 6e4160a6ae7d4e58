-- A person of the ledger whom nobody here owns is adopted: an account reserves the id, and the
-- projector is asked to set the owner.

-- The table is small: its rows are operators' requests.
ALTER TABLE "ProjectorTask"
    DROP CONSTRAINT "ProjectorTask_kind_known",
    ADD CONSTRAINT "ProjectorTask_kind_known" CHECK (kind IN (
        'REPLAY_DEAD_EVENTS', 'VERIFY_PROJECTION', 'REBUILD_PROJECTION', 'ADOPT_PERSON'));
